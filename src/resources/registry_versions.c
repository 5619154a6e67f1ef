#include "resources/registry_versions.h"

#include <string.h>

typedef struct {
        const char *tag;
        LooseVersion version;
        char *digest; /* NULL: not known */
        bool bare;
} Candidate;

static void candidate_free(void *data) {
        Candidate *candidate = data;
        loose_version_clear(&candidate->version);
        g_free(candidate->digest);
        g_free(candidate);
}

Value *registry_version(const char *tag, const char *digest) {
        Value *version = value_map();
        value_map_set_string(version, "tag", tag);
        value_map_set_string(version, "digest", digest);
        return version;
}

/* ---- one tag ---- */

static bool has_known_prefix(const char *pre_release, const Value *prefixes) {
        static const char *const known[] = { "alpha", "beta", "rc" };
        for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
                if (g_str_has_prefix(pre_release, known[i]))
                        return true;
        for (size_t i = 0; i < value_length(prefixes); i++)
                if (g_str_has_prefix(pre_release, value_text(value_at(prefixes, i))))
                        return true;
        return false;
}

/* A dash in a pre-release begins some other variant, unless the pipeline has prefixes of its own. */
static bool pre_release_allowed(const VersionRules *rules, const char *pre_release) {
        if (!*pre_release)
                return true;
        if (!rules->pre_releases || !has_known_prefix(pre_release, rules->prefixes))
                return false;
        return value_length(rules->prefixes) > 0 || !strchr(pre_release, '-');
}

/* What of the tag is a version. Returns new; NULL: it is of another variant. */
static char *version_text(const VersionRules *rules, const char *tag) {
        if (!*rules->variant)
                return g_strdup(tag);
        g_autofree char *suffix = g_strconcat("-", rules->variant, NULL);
        if (!g_str_has_suffix(tag, suffix))
                return NULL;
        return g_strndup(tag, strlen(tag) - strlen(suffix));
}

/* Returns new; NULL: the tag is no version that the rules allow. */
static Candidate *candidate_new(const VersionRules *rules, const char *tag) {
        g_autofree Candidate *candidate = g_new0(Candidate, 1);
        candidate->tag = tag;
        candidate->bare = g_str_equal(tag, *rules->variant ? rules->variant : "latest");
        if (candidate->bare)
                return g_steal_pointer(&candidate);
        g_autofree char *text = version_text(rules, tag);
        if (!text || !loose_version_parse(text, &candidate->version))
                return NULL;
        if ((rules->constraint &&
             !version_constraint_meets(rules->constraint, &candidate->version)) ||
            !pre_release_allowed(rules, candidate->version.pre_release)) {
                loose_version_clear(&candidate->version);
                return NULL;
        }
        return g_steal_pointer(&candidate);
}

/* ---- all of them ---- */

static GPtrArray *candidates_of(const VersionSearch *search) {
        GPtrArray *candidates = g_ptr_array_new_with_free_func(candidate_free);
        for (guint i = 0; i < search->tags->len; i++) {
                Candidate *candidate = candidate_new(search->rules, search->tags->pdata[i]);
                if (candidate)
                        g_ptr_array_add(candidates, candidate);
        }
        return candidates;
}

static bool find_digests(const VersionSearch *search, GPtrArray *candidates, GError **error) {
        g_autoptr(GPtrArray) tags = g_ptr_array_new();
        g_autoptr(GPtrArray) digests = g_ptr_array_new();
        for (guint i = 0; i < candidates->len; i++)
                g_ptr_array_add(tags, (char *) ((Candidate *) candidates->pdata[i])->tag);
        g_ptr_array_set_size(digests, (int) tags->len);
        bool found = search->digests(tags, digests, search->data, error);
        for (guint i = 0; i < candidates->len; i++) {
                Candidate *candidate = candidates->pdata[i];
                g_free(candidate->digest);
                candidate->digest = digests->pdata[i];
        }
        return found;
}

/* The given version, when its tag still is what it was: nothing below it is looked at. Moves it to the front. */
static bool find_cursor(const VersionSearch *search, GPtrArray *candidates, bool *ret_found,
                        GError **error) {
        *ret_found = false;
        if (!search->given_tag)
                return true;
        for (guint i = 0; i < candidates->len; i++) {
                Candidate *candidate = candidates->pdata[i];
                if (candidate->bare || !g_str_equal(candidate->tag, search->given_tag))
                        continue;
                g_autoptr(GPtrArray) one = g_ptr_array_new();
                g_ptr_array_add(one, candidate);
                if (!find_digests(search, one, error))
                        return false;
                *ret_found = g_strcmp0(candidate->digest, search->given_digest) == 0;
                g_ptr_array_insert(candidates, 0, g_ptr_array_steal_index(candidates, i));
                return true;
        }
        return true;
}

static void drop_up_to_first(GPtrArray *candidates) {
        const Candidate *cursor = candidates->pdata[0];
        for (guint i = candidates->len - 1; i > 0; i--) {
                const Candidate *candidate = candidates->pdata[i];
                if (!candidate->bare &&
                    loose_version_compare(&candidate->version, &cursor->version) <= 0)
                        g_ptr_array_remove_index(candidates, i);
        }
}

static size_t count_dots(const char *text) {
        size_t count = 0;
        for (; *text; text++)
                count += *text == '.';
        return count;
}

/* Of two tags of one image: a final version is better than a pre-release, a fuller tag than a shorter. */
static bool is_better(const Candidate *candidate, const Candidate *known) {
        bool final = !*candidate->version.pre_release, known_final = !*known->version.pre_release;
        if (final != known_final)
                return final;
        return count_dots(candidate->tag) > count_dots(known->tag);
}

static int by_version(gconstpointer a, gconstpointer b) {
        const Candidate *const *first = a, *const *second = b;
        int order = loose_version_compare(&(*first)->version, &(*second)->version);
        return order ? order : strcmp((*first)->tag, (*second)->tag);
}

/* Best of each digest, sorted; borrows candidates. *ret_bare: the one whose image has no other, NULL: none. */
static GPtrArray *best_of(const GPtrArray *candidates, const Candidate **ret_bare) {
        g_autoptr(GHashTable) best = g_hash_table_new(g_str_hash, g_str_equal);
        const Candidate *bare = NULL;
        for (guint i = 0; i < candidates->len; i++) {
                Candidate *candidate = candidates->pdata[i];
                if (!candidate->digest)
                        continue;
                if (candidate->bare) {
                        bare = candidate;
                        continue;
                }
                const Candidate *known = g_hash_table_lookup(best, candidate->digest);
                if (!known || is_better(candidate, known))
                        g_hash_table_replace(best, candidate->digest, candidate);
        }
        GPtrArray *sorted = g_ptr_array_new();
        GHashTableIter iterator;
        void *value;
        g_hash_table_iter_init(&iterator, best);
        while (g_hash_table_iter_next(&iterator, NULL, &value))
                g_ptr_array_add(sorted, value);
        g_ptr_array_sort(sorted, by_version);
        *ret_bare = bare && !g_hash_table_contains(best, bare->digest) ? bare : NULL;
        return sorted;
}

bool registry_versions(const VersionSearch *search, Value **ret, GError **error) {
        g_autoptr(GPtrArray) candidates = candidates_of(search);
        bool cursor;
        if (!find_cursor(search, candidates, &cursor, error))
                return false;
        if (cursor)
                drop_up_to_first(candidates);
        if (!find_digests(search, candidates, error))
                return false;
        const Candidate *bare;
        g_autoptr(GPtrArray) sorted = best_of(candidates, &bare);
        Value *list = value_list();
        for (guint i = 0; i < sorted->len; i++) {
                const Candidate *candidate = sorted->pdata[i];
                value_list_add(list, registry_version(candidate->tag, candidate->digest));
        }
        if (bare && !search->rules->constraint)
                value_list_add(list, registry_version(bare->tag, bare->digest));
        *ret = list;
        return true;
}
