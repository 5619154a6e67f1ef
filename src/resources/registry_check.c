#include "base/thread.h"
#include "resources/registry_image.h"
#include "resources/registry_regex.h"
#include "resources/registry_versions.h"

#include <string.h>

/* Requests at once: a registry takes some 30 ms for each, and a repository may have thousands of tags. */
#define REQUESTS_MAX 8

/* ---- many tags at once ---- */

typedef struct {
        Registry *registry;
        const RegistryRun *run;
        bool created; /* also when the image was made */
        const GPtrArray *tags;
        GPtrArray *digests; /* as many as tags; each slot is one job's */
        GPtrArray *times;
        Mutex lock; /* of failure */
        GError *failure;
} Lookup;

typedef struct {
        Lookup *lookup;
        guint index;
} LookupJob;

static bool image_created(const Lookup *lookup, const char *digest, char **ret, GError **error) {
        g_auto(Image) image = { 0 };
        if (!image_fetch(lookup->registry, lookup->run, digest, &image, error))
                return false;
        *ret = g_strdup(value_get_string(image.config, "created", ""));
        return true;
}

static bool lookup_one(const Lookup *lookup, guint index, GError **error) {
        const char *tag = lookup->tags->pdata[index];
        char *digest = NULL, *created = NULL;
        g_autoptr(GError) failure = NULL;
        if (registry_digest(lookup->registry, tag, &digest, &failure) &&
            (!lookup->created || image_created(lookup, digest, &created, &failure))) {
                lookup->digests->pdata[index] = digest;
                if (lookup->created)
                        lookup->times->pdata[index] = created;
                return true;
        }
        g_free(digest);
        if (error_is(failure, ERROR_NOT_FOUND)) /* deleted since the tags were listed */
                return true;
        g_propagate_prefixed_error(error, g_steal_pointer(&failure), "get tag digest: ");
        return false;
}

static void lookup_run(void *data) {
        g_autofree LookupJob *job = data;
        Lookup *lookup = job->lookup;
        g_autoptr(GError) failure = NULL;
        mutex_lock(&lookup->lock);
        bool failed = lookup->failure != NULL;
        mutex_unlock(&lookup->lock);
        if (failed || lookup_one(lookup, job->index, &failure))
                return;
        MUTEX_SCOPE(&lookup->lock);
        if (!lookup->failure)
                lookup->failure = g_steal_pointer(&failure);
}

static bool lookup_all(Lookup *lookup, GError **error) {
        mutex_init(&lookup->lock);
        ThreadPool *pool = thread_pool_new("lookup", REQUESTS_MAX);
        for (guint i = 0; i < lookup->tags->len; i++) {
                LookupJob *job = g_new(LookupJob, 1);
                *job = (LookupJob){ .lookup = lookup, .index = i };
                thread_pool_push(pool, lookup_run, job);
        }
        thread_pool_free(pool);
        mutex_destroy(&lookup->lock);
        if (!lookup->failure)
                return true;
        g_propagate_error(error, g_steal_pointer(&lookup->failure));
        return false;
}

static bool digests_of(const GPtrArray *tags, GPtrArray *digests, void *data, GError **error) {
        Lookup lookup = { .registry = data, .tags = tags, .digests = digests };
        return lookup_all(&lookup, error);
}

/* ---- the three modes ---- */

/* *ret is new, NULL for what is not there. */
static bool digest_or_none(Registry *registry, const char *reference, char **ret, GError **error) {
        g_autoptr(GError) failure = NULL;
        if (registry_digest(registry, reference, ret, &failure))
                return true;
        if (error_is(failure, ERROR_NOT_FOUND))
                return true;
        g_propagate_error(error, g_steal_pointer(&failure));
        return false;
}

static bool check_tag(const RegistryRun *run, Registry *registry, Value **ret, GError **error) {
        const char *tag = registry_source(run, "tag");
        const char *given = value_get_string(run->version, "digest", "");
        g_autofree char *now = NULL, *before = NULL;
        g_autoptr(Value) list = value_list();
        if (!digest_or_none(registry, tag, &now, error))
                return false;
        if (now && *given && !g_str_equal(given, now)) {
                if (!digest_or_none(registry, given, &before, error))
                        return false;
                if (before)
                        value_list_add(list, registry_version(tag, given));
        }
        if (now)
                value_list_add(list, registry_version(tag, now));
        *ret = g_steal_pointer(&list);
        return true;
}

typedef struct {
        const char *tag, *digest, *created;
} Dated;

/* RFC 3339 in UTC, as images say it, sorts as text. */
static int by_created(gconstpointer a, gconstpointer b, gpointer unused) {
        return strcmp(((const Dated *) a)->created, ((const Dated *) b)->created);
}

static Value *dated_versions(const Lookup *lookup) {
        g_autoptr(GArray) all = g_array_new(false, false, sizeof(Dated));
        for (guint i = 0; i < lookup->tags->len; i++) {
                const Dated one = { lookup->tags->pdata[i], lookup->digests->pdata[i],
                                    lookup->created ? lookup->times->pdata[i] : "" };
                if (one.digest)
                        g_array_append_val(all, one);
        }
        if (lookup->created) /* stable */
                g_qsort_with_data(all->data, (int) all->len, sizeof(Dated), by_created, NULL);
        Value *list = value_list();
        for (guint i = 0; i < all->len; i++) {
                const Dated *one = &g_array_index(all, Dated, i);
                value_list_add(list, registry_version(one->tag, one->digest));
        }
        return list;
}

static bool check_regex(const RegistryRun *run, Registry *registry, Value **ret, GError **error) {
        g_autoptr(GRegex) regex = registry_regex(registry_source(run, "tag_regex"), error);
        g_autoptr(GPtrArray) tags = NULL;
        if (!regex || !registry_tags(registry, &tags, error))
                return false;
        g_autoptr(GPtrArray) matching = g_ptr_array_new();
        for (guint i = 0; i < tags->len; i++)
                if (g_regex_match(regex, tags->pdata[i], 0, NULL))
                        g_ptr_array_add(matching, tags->pdata[i]);
        g_autoptr(GPtrArray) digests = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GPtrArray) times = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_set_size(digests, (int) matching->len);
        g_ptr_array_set_size(times, (int) matching->len);
        Lookup lookup = {
                .registry = registry,
                .run = run,
                .created = value_get_bool(run->source, "created_at_sort", false),
                .tags = matching,
                .digests = digests,
                .times = times,
        };
        if (!lookup_all(&lookup, error))
                return false;
        *ret = dated_versions(&lookup);
        return true;
}

static bool check_semver(const RegistryRun *run, Registry *registry, Value **ret, GError **error) {
        const char *text = registry_source(run, "semver_constraint");
        g_autoptr(VersionConstraint) constraint = NULL;
        g_autoptr(GPtrArray) tags = NULL;
        if (*text) {
                constraint = version_constraint_parse(text, error);
                if (!constraint) {
                        g_prefix_error(error, "parse semver constraint: ");
                        return false;
                }
        }
        if (!registry_tags(registry, &tags, error)) {
                g_prefix_error(error, "list repository tags: ");
                return false;
        }
        const VersionRules rules = {
                .variant = registry_source(run, "variant"),
                .constraint = constraint,
                .pre_releases = value_get_bool(run->source, "pre_releases", false),
                .prefixes = value_get(run->source, "pre_release_prefixes"),
        };
        const VersionSearch search = {
                .rules = &rules,
                .tags = tags,
                .given_tag = run->version ? value_get_string(run->version, "tag", NULL) : NULL,
                .given_digest = value_get_string(run->version, "digest", NULL),
                .digests = digests_of,
                .data = registry,
        };
        return registry_versions(&search, ret, error);
}

static bool check_in(const RegistryRun *run, bool mirror, Value **ret, GError **error) {
        g_autoptr(Registry) registry = registry_of(run, STRICT_CHECK, mirror);
        if (*registry_source(run, "tag"))
                return check_tag(run, registry, ret, error);
        if (*registry_source(run, "tag_regex"))
                return check_regex(run, registry, ret, error);
        return check_semver(run, registry, ret, error);
}

/* ---- check ---- */

/* A mirror that fails, or has nothing, is no reason to fail. */
static bool check_mirror(const RegistryRun *run, Value **ret) {
        g_autoptr(GError) failure = NULL;
        g_autoptr(Value) versions = NULL;
        g_autofree char *repository = g_strconcat(run->mirror.registry, "/", run->mirror.path,
                                                  NULL);
        if (check_in(run, true, &versions, &failure) && value_length(versions) > 0) {
                *ret = g_steal_pointer(&versions);
                return true;
        }
        registry_warn("checking mirror %s failed: %s", repository,
                      failure ? failure->message : "tag not found");
        return false;
}

bool registry_check(RegistryRun *run, Value **ret, GError **error) {
        if (run->mirror.path && check_mirror(run, ret))
                return true;
        if (check_in(run, false, ret, error))
                return true;
        g_prefix_error(error, "checking origin %s/%s failed: ", run->name.registry, run->name.path);
        return false;
}
