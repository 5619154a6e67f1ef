/* Signing in and out, and the one static page that stands where the web UI will (reference 07 §4, §6, §7). */
#include "api/pages.h"

#include "http/url.h"

#include <string.h>

#define FORM_MAX ((size_t) 64 * 1024)

/* ---- the token endpoint ---- */

/* name=value pairs of a form. Returns new; NULL when absent or malformed. */
static char *form_field(const char *form, const char *name) {
        g_auto(GStrv) pairs = g_strsplit(form, "&", -1);

        for (size_t i = 0; pairs[i]; i++) {
                const char *equals = strchr(pairs[i], '=');
                if (equals && (size_t) (equals - pairs[i]) == strlen(name) &&
                    strncmp(pairs[i], name, strlen(name)) == 0)
                        return url_decode(equals + 1, strlen(equals + 1), true, NULL);
        }
        return NULL;
}

/* "Basic …" of the header; both parts are URL-encoded inside. */
static void basic_credentials(const HttpRequest *request, char **id, char **secret) {
        const char *header = http_header(request, "Authorization");

        if (!header || g_ascii_strncasecmp(header, "basic ", 6) != 0)
                return;
        gsize length;
        g_autofree char *text = (char *) g_base64_decode(header + 6, &length);
        g_autofree char *pair = g_strndup(text, length);
        const char *colon = strchr(pair, ':');
        if (!colon)
                return;
        *id = url_decode(pair, (size_t) (colon - pair), true, NULL);
        *secret = url_decode(colon + 1, strlen(colon + 1), true, NULL);
}

static void answer_grant(Api *api, HttpRequest *request, const char *form) {
        g_autofree char *id = NULL, *secret = NULL;
        g_autofree char *type = form_field(form, "grant_type"),
                        *user = form_field(form, "username");
        g_autofree char *password = form_field(form, "password"),
                        *scope = form_field(form, "scope");
        g_autoptr(Value) body = NULL;
        int status;

        basic_credentials(request, &id, &secret);
        if (!id) {
                id = form_field(form, "client_id");
                secret = form_field(form, "client_secret");
        }
        const AuthGrant grant = { .grant_type = type,
                                  .client_id = id,
                                  .client_secret = secret,
                                  .username = user,
                                  .password = password,
                                  .scope = scope };
        if (!auth_grant(api->spec.auth, &grant, &status, &body, NULL)) {
                http_answer(request, 500, NULL, NULL, 0);
                return;
        }
        if (status == 200) {
                http_header_set(request, "Cache-Control", "no-store");
                http_header_set(request, "Pragma", "no-cache");
        }
        http_answer_json(request, status, body);
}

static void token_endpoint(Api *api, HttpRequest *request) {
        g_autoptr(GError) error = NULL;
        g_autofree char *form = http_body(request, FORM_MAX, NULL, &error);
        g_autoptr(Value) refusal = NULL;

        if (g_str_equal(http_method(request), "POST") && form) {
                answer_grant(api, request, form);
                return;
        }
        refusal = value_map();
        value_map_set_string(refusal, "error", "invalid_request");
        value_map_set_string(refusal, "error_description",
                             error_is(error, ERROR_LIMIT) ? "request body too large"
                                                          : "method not allowed");
        http_answer_json(request, 400, refusal);
}

/* ---- signing out ---- */

static void log_out(Api *api, HttpRequest *request) {
        static const char *const cookies[] = { "skymarshal_auth", "skymarshal_csrf" };
        g_autofree char *cookie = http_cookie(request, "skymarshal_auth");
        const char *given = http_header(request, "Authorization");
        const char *text = given    ? given
                           : cookie ? g_strstrip(g_strdelimit(cookie, "\"", ' '))
                                    : "";
        const char *space = strrchr(text, ' ');

        if (space)
                auth_revoke(api->spec.auth, space + 1, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(cookies); i++) {
                g_autofree char *expired = g_strdup_printf(
                        "%s=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax", cookies[i]);
                http_header_add(request, "Set-Cookie", expired);
        }
        http_answer(request, 200, NULL, NULL, 0);
}

/* ---- fly login without a password ---- */

static void login_page(HttpRequest *request) {
        static const char page[] =
                "<!doctype html><title>Weir</title><body style=\"font-family:sans-serif;margin:3em;max-width:40em\">"
                "<h1>Sign in</h1><p>This version of Weir has no sign-in page yet. Sign in from the command line:"
                "<pre>fly -t TARGET login -c URL -u USER -p PASSWORD</pre>";

        http_answer(request, 200, "text/html; charset=utf-8", page, strlen(page));
}

/* ---- the front page ---- */

static void append_escaped(GString *html, const char *text) {
        g_autofree char *escaped = g_markup_escape_text(text ? text : "", -1);

        g_string_append(html, escaped);
}

static void append_jobs(GString *html, Store *store, const Pipeline *pipeline) {
        g_autoptr(GPtrArray) jobs = job_summary_list(store, pipeline->id, NULL, NULL);

        g_string_append(html, "<table>");
        for (size_t i = 0; jobs && i < jobs->len; i++) {
                const JobSummary *summary = g_ptr_array_index(jobs, i);
                const JobBuild *build = summary->next ? summary->next : summary->finished;
                g_string_append_printf(html, "<tr><td><i class=\"%s\"></i><td>",
                                       build ? build->status : "none");
                append_escaped(html, summary->job->name);
                if (build)
                        g_string_append_printf(html, "<td>#%s<td>%s", build->name, build->status);
                else
                        g_string_append(html, "<td><td>no builds yet");
        }
        g_string_append(html, "</table>");
}

static void append_pipelines(GString *html, Api *api, const Visibility *visibility) {
        g_autoptr(GPtrArray) pipelines = pipeline_list(api->spec.store, 0, visibility, NULL);

        if (!pipelines || pipelines->len == 0)
                g_string_append(
                        html,
                        "<p>No pipelines to see here. Set one with <code>fly set-pipeline</code>; make it "
                        "public with <code>fly expose-pipeline</code> to see it here without signing in.");
        for (size_t i = 0; pipelines && i < pipelines->len; i++) {
                const Pipeline *pipeline = g_ptr_array_index(pipelines, i);
                g_string_append(html, "<section><h2>");
                append_escaped(html, pipeline->team_name);
                g_string_append(html, " / ");
                append_escaped(html, pipeline->name);
                g_string_append(html, pipeline->paused ? " <small>paused</small></h2>" : "</h2>");
                append_jobs(html, api->spec.store, pipeline);
                g_string_append(html, "</section>");
        }
}

static void front_page(Api *api, HttpRequest *request) {
        static const char head[] =
                "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" "
                "content=\"width=device-width\"><title>Weir</title><style>"
                ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:48rem;"
                "padding:0 1rem}h1{font-size:1.4rem}h2{font-size:1.05rem;margin:1.5rem 0 .4rem}small{opacity:.7}"
                "table{border-collapse:collapse;width:100%}td{padding:.25rem .75rem .25rem 0;border-top:1px solid #8883}"
                "td:first-child{width:1.2rem}i{display:inline-block;width:.8rem;height:.8rem;border-radius:50%;"
                "background:#888}.succeeded{background:#2a9d5c}.failed{background:#d64545}.errored{background:#e08a1e}"
                ".aborted{background:#8b572a}.started{background:#e6b800}.pending{background:#9aa5b1}"
                "</style><body><h1>Weir</h1>";
        g_autoptr(Access) access = access_new(api->spec.auth, NULL, NULL);
        g_autoptr(GString) html = g_string_new(head);

        if (!access) {
                http_answer(request, 500, NULL, NULL, 0);
                return;
        }
        const Visibility visibility = access_visibility(access, ROLE_VIEWER);
        append_pipelines(html, api, &visibility);
        g_string_append(html, "</body></html>\n");
        http_answer(request, 200, "text/html; charset=utf-8", html->str, html->len);
}

void pages_handle(Api *api, HttpRequest *request) {
        const char *path = http_path(request);

        if (g_str_equal(path, "/"))
                front_page(api, request);
        else if (g_str_equal(path, "/sky/issuer/token"))
                token_endpoint(api, request);
        else if (g_str_equal(path, "/sky/logout"))
                log_out(api, request);
        else if (g_str_equal(path, "/login") || g_str_equal(path, "/sky/login"))
                login_page(request);
        else
                http_answer_text(request, 404, "404 page not found\n");
}
