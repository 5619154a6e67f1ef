#include "fly/builds.h"

#include "fly/address.h"
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
                else
                        fly_fail(error, "failed to get %s %s", number ? "build" : "job",
                                 cause->message);
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
                g_autoptr(GError) cause = NULL;
                if (!api_call(fly, &(ApiCall){ .path = path }, &reply, &cause) ||
                    !(list = api_decode(&reply, &cause))) {
                        fly_fail(error, "failed to get builds %s", cause->message);
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
        const ItemRef job = { .pipeline = { address.pipeline, address.vars }, .name = address.job };
        if (job.name && job.pipeline.name)
                return build_of_job(fly, &job, address.build, error);
        if (address.build)
                return g_strdup(address.build);
        fly_fail(error, "No build found in URL");
        return NULL;
}
