/* cc.xml: the state of a team's jobs for desktop watchers (reference 01 §22.2). */
#include "api/handlers.h"

#include "config/instance_vars.h"
#include "http/url.h"

#include <string.h>

/* As Go's encoding/xml writes attributes. */
static void append_attribute(GString *xml, const char *name, const char *text) {
        static const struct {
                char character;
                const char *escaped;
        } table[] = {
                { '"', "&#34;" }, { '\'', "&#39;" }, { '&', "&amp;" },  { '<', "&lt;" },
                { '>', "&gt;" },  { '\t', "&#x9;" }, { '\n', "&#xA;" }, { '\r', "&#xD;" },
        };

        g_string_append_printf(xml, " %s=\"", name);
        for (; *text; text++) {
                size_t i = 0;
                while (i < G_N_ELEMENTS(table) && table[i].character != *text)
                        i++;
                if (i < G_N_ELEMENTS(table))
                        g_string_append(xml, table[i].escaped);
                else
                        g_string_append_c(xml, *text);
        }
        g_string_append_c(xml, '"');
}

static const char *cc_status(const char *status) {
        return g_str_equal(status, "succeeded") ? "Success"
               : g_str_equal(status, "failed")  ? "Failure"
                                                : "Exception";
}

/* Scheme and host of the external URL: a path in it is dropped, as upstream does. Returns new. */
static char *origin_of(const char *url) {
        const char *host = strstr(url, "://");
        const char *path = host ? strchr(host + 3, '/') : NULL;

        return path ? g_strndup(url, (size_t) (path - url)) : g_strdup(url);
}

static char *web_url(const ApiCall *call, const Job *job) {
        g_autofree char *origin = origin_of(call->api->spec.external_url);
        g_autofree char *team = url_encode_path(job->team_name);
        g_autofree char *pipeline = url_encode_path(job->pipeline_name);
        g_autofree char *name = url_encode_path(job->name);
        g_autofree char *vars = url_instance_vars(job->instance_vars);

        return g_strdup_printf("%s/teams/%s/pipelines/%s/jobs/%s%s%s", origin, team, pipeline, name,
                               *vars ? "?" : "", vars);
}

static void append_project(GString *xml, const ApiCall *call, const JobSummary *summary) {
        const Job *job = summary->job;
        g_autoptr(GDateTime)
                end = g_date_time_new_from_unix_utc(time_seconds(summary->finished->end));
        g_autofree char *time = g_date_time_format(end, "%Y-%m-%dT%H:%M:%SZ");
        g_autofree char *pipeline = pipeline_reference_format(job->pipeline_name,
                                                              job->instance_vars);
        g_autofree char *name = g_strconcat(pipeline, "/", job->name, NULL);
        g_autofree char *url = web_url(call, job);

        g_string_append(xml, "<Project");
        append_attribute(xml, "activity", summary->next ? "Building" : "Sleeping");
        append_attribute(xml, "lastBuildLabel", summary->finished->name);
        append_attribute(xml, "lastBuildStatus", cc_status(summary->finished->status));
        append_attribute(xml, "lastBuildTime", time);
        append_attribute(xml, "name", name);
        append_attribute(xml, "webUrl", url);
        g_string_append(xml, "></Project>");
}

/* Of the team's pipelines that the caller may see, in their order. */
void get_cc(ApiCall *call) {
        g_autoptr(GString) xml = g_string_new("<Projects>");
        g_autoptr(GError) error = NULL;

        if (!call_team(call))
                return;
        const Visibility visibility = access_visibility(call->access, ROLE_VIEWER);
        g_autoptr(GPtrArray)
                pipelines = pipeline_list(call->store, call->team->id, &visibility, &error);
        for (size_t i = 0; pipelines && i < pipelines->len; i++) {
                const Pipeline *pipeline = pipelines->pdata[i];
                g_autoptr(GPtrArray)
                        jobs = job_summary_list(call->store, pipeline->id, NULL, &error);
                for (size_t j = 0; jobs && j < jobs->len; j++)
                        if (((JobSummary *) jobs->pdata[j])->finished)
                                append_project(xml, call, jobs->pdata[j]);
                if (!jobs)
                        break;
        }
        if (error) {
                call_failed(call, error);
                return;
        }
        g_string_append(xml, "</Projects>");
        http_answer(call->request, 200, "application/xml", xml->str, xml->len);
}
