#include "fly/builds.h"

#include "http/url.h"

#include <string.h>

#define PAGES_MAX 1000

static char *id_of(const Value *build) {
        return g_strdup_printf("%" G_GINT64_FORMAT, value_get_int(build, "id", 0));
}

char *build_of_job(Fly *fly, const ItemRef *job, const char *number, GError **error) {
        g_autofree char *segment = number ? url_encode_path(number) : NULL;
        g_autofree char *tail = segment ? g_strconcat("/builds/", segment, NULL) : g_strdup("");
        g_autofree char *path = path_item(fly, "jobs", job, tail, NULL);
        g_autoptr(GError) cause = NULL;
        g_autoptr(Value) found = api_get(fly, path, &cause);

        if (!found) {
                if (fly_error_is(cause, FLY_NOT_FOUND))
                        fly_fail(error, number ? "build not found" : "job not found");
                else {
                        g_propagate_prefixed_error(error, g_steal_pointer(&cause),
                                                   number ? "failed to get build "
                                                          : "failed to get job ");
                }
                return NULL;
        }
        if (number)
                return id_of(found);
        const Value *build = value_get(found, "next_build");
        if (value_is_null(build))
                build = value_get(found, "finished_build");
        if (!value_is_null(build))
                return id_of(build);
        fly_fail(error, "job has no builds");
        return NULL;
}

/* The path and query behind `rel="next"`. Returns new, or NULL. */
static char *next_page(const HttpReply *reply) {
        for (size_t i = 0; i < reply->headers->len; i++) {
                const char *line = reply->headers->pdata[i];
                const char *from = strchr(line, '<'), *to = from ? strchr(from, '>') : NULL;
                if (g_ascii_strncasecmp(line, "link:", 5) != 0 || !to || !strstr(to, "\"next\""))
                        continue;
                g_autofree char *url = g_strndup(from + 1, (size_t) (to - from - 1));
                const char *query = strchr(url, '?');
                return g_strconcat("/api/v1/builds", query ? query : "", NULL);
        }
        return NULL;
}

char *build_latest(Fly *fly, GError **error) {
        g_autofree char *path = g_strdup("/api/v1/builds?limit=100");

        for (size_t page = 0; path && page < PAGES_MAX; page++) {
                g_auto(HttpReply) reply = { 0 };
                g_autoptr(Value) list = NULL;
                if (!api_call(fly, &(ApiCall){ .path = path }, &reply, error) ||
                    !(list = api_decode(&reply, error))) {
                        g_prefix_error(error, "failed to get builds ");
                        return NULL;
                }
                for (size_t i = 0; i < value_length(list); i++)
                        if (!*value_get_string(value_at(list, i), "job_name", ""))
                                return id_of(value_at(list, i));
                char *next = next_page(&reply);
                g_free(path);
                path = next;
        }
        fly_fail(error, "no builds match job");
        return NULL;
}

/* ---- by the address in a browser ---- */

typedef struct {
        char *team, *build;
        ItemRef job;
} Address;

static void address_clear(Address *address) {
        g_free(address->team);
        g_free(address->build);
        item_ref_clear(&address->job);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Address, address_clear)

static bool address_vars(const char *query, Address *address, GError **error) {
        g_auto(GStrv) pairs = g_strsplit(query, "&", -1);
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GPtrArray) values = g_ptr_array_new_with_free_func(g_free);

        for (size_t i = 0; pairs[i]; i++) {
                const char *equals = strchr(pairs[i], '=');
                size_t length = equals ? (size_t) (equals - pairs[i]) : strlen(pairs[i]);
                char *name = url_decode(pairs[i], length, true, error);
                char *value = name ? url_decode(equals ? equals + 1 : "",
                                                equals ? strlen(equals + 1) : 0, true, error)
                                   : NULL;
                g_ptr_array_add(names, name);
                g_ptr_array_add(values, value);
                if (!value)
                        return false;
        }
        GError *cause = NULL;
        address->job.pipeline.vars = url_parse_instance_vars((const char *const *) names->pdata,
                                                             (const char *const *) values->pdata,
                                                             names->len, &cause);
        if (cause)
                g_propagate_error(error, cause);
        return !cause;
}

/* Pairs of segments: /teams/T/pipelines/P/jobs/J/builds/N */
static bool address_parse(const char *path, Address *address, GError **error) {
        const char *query = strchr(path, '?');
        g_autofree char *plain = query ? g_strndup(path, (size_t) (query - path)) : g_strdup(path);
        g_auto(GStrv) parts = g_strsplit(*plain == '/' ? plain + 1 : plain, "/", -1);
        const struct {
                const char *name;
                char **field;
        } fields[] = { { "teams", &address->team },
                       { "pipelines", &address->job.pipeline.name },
                       { "jobs", &address->job.name },
                       { "builds", &address->build } };

        for (size_t i = 0; parts[i] && parts[i + 1]; i += 2)
                for (size_t j = 0; j < G_N_ELEMENTS(fields); j++)
                        if (g_str_equal(parts[i], fields[j].name)) {
                                g_free(*fields[j].field);
                                *fields[j].field = url_decode(parts[i + 1], strlen(parts[i + 1]),
                                                              false, error);
                                if (!*fields[j].field)
                                        return false;
                        }
        return !query || address_vars(query + 1, address, error);
}

char *build_of_url(Fly *fly, const char *url, const char *team, GError **error) {
        g_auto(Address) address = { 0 };
        size_t length = strlen(fly->target->api);

        if (strncmp(url, fly->target->api, length) != 0 || (url[length] && url[length] != '/')) {
                fly_fail(error, "URL doesn't match target (%s)", fly->target->api);
                return NULL;
        }
        if (!address_parse(url + length, &address, error))
                return NULL;
        if (address.team && !g_str_equal(address.team, fly->team)) {
                fly_fail(error,
                         "Team in URL doesn't match the provided team name or current team "
                         "of the target  (%s)",
                         fly->team);
                return NULL;
        }
        if (address.job.name && address.job.pipeline.name)
                return build_of_job(fly, &address.job, address.build, error);
        if (address.build)
                return g_strdup(address.build);
        fly_fail(error, "No build found in URL");
        return NULL;
}
