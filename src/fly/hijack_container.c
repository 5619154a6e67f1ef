#include "fly/hijack.h"

#include "base/json.h"
#include "fly/address.h"
#include "fly/builds.h"
#include "fly/select.h"
#include "http/url.h"

#include <string.h>

#define EXPIRED "they may have expired if your build hasn't recently finished."

/* What is asked for, by the names of the API's query. */
typedef struct {
        char *pipeline, *vars, *job, *build, *check, *step, *type, *attempt;
} Search;

static void search_clear(Search *search) {
        char *const texts[] = { search->pipeline, search->vars, search->job,  search->build,
                                search->check,    search->step, search->type, search->attempt };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                g_free(texts[i]);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Search, search_clear)

/* ---- what is searched for ---- */

static char *vars_text(const Value *vars) {
        return value_length(vars) > 0 ? json_write(vars, JSON_SORTED, NULL) : NULL;
}

static bool search_url(Fly *fly, const char *url, Search *search, GError **error) {
        g_auto(Address) address = { 0 };

        if (!address_parse(url, &address, error))
                return false;
        if (!g_str_equal(address.server, fly->target->api))
                return fly_fail(error, "URL doesn't match that of target");
        if (g_strcmp0(address.team, fly->team) != 0)
                return fly_fail(error, "Team in URL doesn't match the current team of the target");
        search->pipeline = g_steal_pointer(&address.pipeline);
        search->vars = vars_text(address.vars);
        search->job = g_steal_pointer(&address.job);
        search->build = g_steal_pointer(&address.build);
        search->check = g_steal_pointer(&address.resource);
        return true;
}

static void replace(char **field, const char *text) {
        if (!text || !*text)
                return;
        g_free(*field);
        *field = g_strdup(text);
}

static void search_item(Search *search, const ItemRef *item, char **field) {
        g_autofree char *vars = vars_text(item->pipeline.vars);

        replace(&search->pipeline, item->pipeline.name);
        replace(&search->vars, vars);
        replace(field, item->name);
}

/* Options override what the address says. */
static bool search_fill(Fly *fly, const HijackOptions *options, Search *search, GError **error) {
        g_auto(ItemRef) job = { 0 }, check = { 0 };

        if (options->check &&
            !item_ref_parse(options->check, ITEM_RESOURCE, "-c, --check", &check, error))
                return false;
        if (options->job && !item_ref_parse(options->job, ITEM_JOB, "-j, --job", &job, error))
                return false;
        if (options->url && !search_url(fly, options->url, search, error))
                return false;
        if (options->check)
                search_item(search, &check, &search->check);
        if (options->job)
                search_item(search, &job, &search->job);
        replace(&search->build, options->build);
        replace(&search->step, options->step);
        replace(&search->type, options->step_type);
        replace(&search->attempt, options->attempt);
        return true;
}

static int compare_texts(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

char *hijack_query(const char *const *pairs) {
        g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(g_free);

        for (size_t i = 0; pairs[i]; i += 2) {
                if (!pairs[i + 1])
                        continue;
                g_autofree char *value = url_encode_query(pairs[i + 1]);
                g_ptr_array_add(parts, g_strconcat(pairs[i], "=", value, NULL));
        }
        g_ptr_array_sort(parts, compare_texts);
        g_ptr_array_add(parts, NULL);
        return g_strjoinv("&", (char **) parts->pdata);
}

/* Returns new. */
static char *search_query(Fly *fly, const Search *search, GError **error) {
        g_autofree char *latest = NULL;
        const char *job = search->check ? NULL : search->job;
        const char *id = search->check || job ? NULL : search->build;

        if (!search->check && !job && !id && !(id = latest = build_latest(fly, error)))
                return NULL;
        /* The list ends with the first NULL name; NULL values are left out. */
        const char *const pairs[] = {
                "attempt",
                search->check ? NULL : search->attempt,
                "build_id",
                id,
                "build_name",
                job ? search->build : NULL,
                "job_name",
                job,
                "pipeline_name",
                search->check || job ? search->pipeline : NULL,
                "resource_name",
                search->check,
                "step_name",
                search->check ? NULL : search->step,
                "type",
                search->check ? "check" : search->type,
                "vars",
                search->check || job ? search->vars : NULL,
                NULL,
        };
        return hijack_query(pairs);
}

/* ---- what is found ---- */

char *hijack_container_text(const Value *container) {
        static const struct {
                const char *key, *label;
        } parts[] = {
                { "step_name", "step" },        { "resource_name", "resource" }, { "type", "type" },
                { "expires_in", "expires in" }, { "attempt", "attempt" },
        };
        bool check = g_str_equal(value_get_string(container, "type", ""), "check");
        g_autoptr(GString) text = g_string_new(NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
                const char *value = value_get_string(container, parts[i].key, "");
                bool always = g_str_equal(parts[i].key, "type");
                if ((!*value && !always) || (g_str_equal(parts[i].key, "expires_in") && !check))
                        continue;
                g_string_append_printf(text, "%s%s: %s", text->len ? ", " : "", parts[i].label,
                                       value);
        }
        return g_string_free(g_steal_pointer(&text), FALSE);
}

int hijack_compare_containers(const Value *a, const Value *b) {
        static const char *const keys[] = { "resource_name", "step_name", "type" };
        int64_t first = value_get_int(a, "build_id", 0), second = value_get_int(b, "build_id", 0);
        int order = first < second ? -1 : first > second;

        for (size_t i = 0; order == 0 && i < G_N_ELEMENTS(keys); i++)
                order = strcmp(value_get_string(a, keys[i], ""), value_get_string(b, keys[i], ""));
        return order;
}

static int compare_items(const void *a, const void *b) {
        return hijack_compare_containers(*(const Value *const *) a, *(const Value *const *) b);
}

static bool choose(const GPtrArray *found, Value **ret) {
        g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
        int index = 0;

        for (guint i = 0; found->len > 1 && i < found->len; i++)
                g_ptr_array_add(texts, hijack_container_text(g_ptr_array_index(found, i)));
        if (found->len > 1)
                index = select_one("Select a container", texts);
        *ret = index < 0 ? NULL : value_ref(g_ptr_array_index(found, (guint) index));
        return true;
}

static bool find_by_search(Fly *fly, const HijackOptions *options, Value **ret, GError **error) {
        g_auto(Search) search = { 0 };

        if (!search_fill(fly, options, &search, error))
                return false;
        g_autofree char *query = search_query(fly, &search, error);
        g_autofree char *tail = query ? g_strconcat("/containers?", query, NULL) : NULL;
        g_autofree char *path = query ? path_team(fly, tail) : NULL;
        g_autoptr(Value) list = path ? api_get(fly, path, error) : NULL;
        g_autoptr(GPtrArray) found = g_ptr_array_new();

        if (!list)
                return false;
        for (size_t i = 0; i < value_length(list); i++) {
                const char *state = value_get_string(value_at(list, i), "state", "");
                if (g_str_equal(state, "created") || g_str_equal(state, "failed"))
                        g_ptr_array_add(found, (void *) value_at(list, i));
        }
        g_ptr_array_sort(found, compare_items);
        if (found->len > 0)
                return choose(found, ret);
        return fly_fail_plain(error, "no containers matched your search parameters!\n\n" EXPIRED);
}

static bool find_by_handle(Fly *fly, const char *handle, Value **ret, GError **error) {
        g_autofree char *segment = url_encode_path(handle);
        g_autofree char *tail = g_strconcat("/containers/", segment, NULL);
        g_autofree char *path = path_team(fly, tail);

        *ret = api_get(fly, path, NULL);
        return *ret ||
               fly_fail_plain(error, "no containers matched the given handle id!\n\n" EXPIRED);
}

bool hijack_find_container(Fly *fly, const HijackOptions *options, Value **ret, GError **error) {
        return options->handle ? find_by_handle(fly, options->handle, ret, error)
                               : find_by_search(fly, options, ret, error);
}
