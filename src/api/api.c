/* From a request to its handler: headers, routing, who calls, what they may do. */
#include "api/call.h"

#include "api/pages.h"
#include "base/log.h"
#include "base/thread.h"
#include "http/url.h"

#include <string.h>

/* ---- parameters ---- */

const char *call_param(const ApiCall *call, const char *name) {
        for (size_t i = 0; i < call->param_count; i++)
                if (strlen(name) == call->params[i].length &&
                    strncmp(call->params[i].name, name, call->params[i].length) == 0)
                        return call->params[i].value;
        g_assert_not_reached();
}

static bool has_param(const ApiCall *call, const char *name) {
        for (size_t i = 0; i < call->param_count; i++)
                if (strlen(name) == call->params[i].length &&
                    strncmp(call->params[i].name, name, call->params[i].length) == 0)
                        return true;
        return false;
}

Cancel *call_cancel(ApiCall *call) {
        return http_request_cancel(call->request);
}

/* ---- answers ---- */

void call_empty(ApiCall *call, int status) {
        http_answer(call->request, status, NULL, NULL, 0);
}

void call_text(ApiCall *call, int status, const char *text) {
        http_answer_text(call->request, status, text);
}

void call_answer(ApiCall *call, int status, Value *value) {
        g_autoptr(Value) owned = value;

        http_answer_json(call->request, status, owned);
}

void call_failed(ApiCall *call, const GError *error) {
        if (error_is(error, ERROR_NOT_FOUND)) {
                call_empty(call, 404);
                return;
        }
        log_error("api", "request-failed", error, "action", call->route->action);
        call_empty(call, 500);
}

void call_done(ApiCall *call, bool done, const GError *error) {
        if (done)
                call_empty(call, 200);
        else
                call_failed(call, error);
}

void call_errors(ApiCall *call, int status, const GPtrArray *errors) {
        Value *answer = value_map(), *list = value_list();

        for (size_t i = 0; i < errors->len; i++)
                value_list_add(list, value_string(g_ptr_array_index(errors, i)));
        value_map_set(answer, "errors", list);
        call_answer(call, status, answer);
}

/* ---- look-ups ---- */

Value *call_json(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        size_t length, used;
        g_autofree char *body = http_body(call->request, 0, &length, &error);

        if (!body) {
                call_empty(call, error_is(error, ERROR_LIMIT) ? 413 : 400);
                return NULL;
        }
        Value *value = json_parse_first(body, length, NULL, &used, NULL);
        if (!value)
                call_empty(call, 400);
        return value;
}

bool call_id(ApiCall *call, const char *param, int64_t *ret) {
        const char *text = call_param(call, param);
        char *end;
        gint64 id = g_ascii_strtoll(text, &end, 10);

        if (!*text || *end) {
                call_empty(call, 400);
                return false;
        }
        *ret = id;
        return true;
}

Team *call_team(ApiCall *call) {
        g_autoptr(GError) error = NULL;

        if (!call->team)
                call->team = team_find(call->store, call_param(call, "team_name"), &error);
        if (!call->team)
                call_failed(call, error);
        return call->team;
}

Pipeline *call_pipeline(ApiCall *call) {
        g_autoptr(GError) error = NULL;

        if (call->pipeline)
                return call->pipeline;
        if (!call_team(call))
                return NULL;
        call->pipeline = pipeline_find(call->store, call->team->id,
                                       call_param(call, "pipeline_name"), call->instance_vars,
                                       &error);
        if (!call->pipeline)
                call_failed(call, error);
        return call->pipeline;
}

Job *call_job(ApiCall *call) {
        g_autoptr(GError) error = NULL;

        if (!call_pipeline(call))
                return NULL;
        Job *job = job_find(call->store, call->pipeline->id, call_param(call, "job_name"), &error);
        if (!job)
                call_failed(call, error);
        return job;
}

Resource *call_resource(ApiCall *call, ResourceKind kind, const char *param) {
        g_autoptr(GError) error = NULL;

        if (!call_pipeline(call))
                return NULL;
        Resource *resource = resource_find(call->store, kind, call->pipeline->id,
                                           call_param(call, param), &error);
        if (!resource)
                call_failed(call, error);
        return resource;
}

bool call_sees_team(const ApiCall *call, const char *team_name) {
        return access_allows(call->access, team_name, ROLE_VIEWER);
}

uint64_t call_plan_counter(ApiCall *call, uint64_t step) {
        MUTEX_SCOPE(&call->api->counts.mutex);
        uint64_t before = call->api->counts.counter;
        call->api->counts.counter += step;
        return before;
}

/* ---- guards: each answers itself and returns false when it refuses ---- */

static bool refuse(ApiCall *call, int status) {
        call_text(call, status, status == 401 ? "not authorized" : "forbidden");
        return false;
}

static bool is_known(ApiCall *call) {
        return access_is_authenticated(call->access) || refuse(call, 401);
}

static bool guard_worker(ApiCall *call) {
        g_autoptr(GError) error = NULL;

        if (!is_known(call))
                return false;
        if (access_is_system(call->access) || access_is_admin(call->access))
                return true;
        const char *name = has_param(call, "worker_name") ? call_param(call, "worker_name") : "";
        g_autoptr(Worker) worker = worker_find(call->store, name, &error);
        if (!worker) {
                call_failed(call, error);
                return false;
        }
        if (worker->team_name && access_allows(call->access, worker->team_name, call->route->role))
                return true;
        return refuse(call, 403);
}

static bool guard_pipeline(ApiCall *call) {
        if (!call_pipeline(call))
                return false;
        if (call->pipeline->public ||
            access_allows(call->access, call->team->name, call->route->role))
                return true;
        return is_known(call) && refuse(call, 403);
}

static bool load_build(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        int64_t id;

        if (!call_id(call, "build_id", &id))
                return false;
        call->build = build_get(call->store, id, &error);
        if (!call->build)
                call_failed(call, error);
        return call->build != NULL;
}

static bool guard_build(ApiCall *call) {
        bool write = call->route->guard == GUARD_BUILD_WRITE;

        if (write && !is_known(call))
                return false;
        if (!load_build(call))
                return false;
        const Build *build = call->build;
        if (access_is_authenticated(call->access) &&
            access_allows_id(call->access, build->team_id, call->route->role))
                return true;
        if (!write && build->pipeline_id && build->pipeline_public &&
            (call->route->guard == GUARD_BUILD_ANY || (build->job_id && build->job_public)))
                return true;
        return is_known(call) && refuse(call, 403);
}

static bool may_pass(ApiCall *call) {
        switch (call->route->guard) {
        case GUARD_OPEN:
                return !access_has_token(call->access) || is_known(call);
        case GUARD_AUTHENTICATED:
                return is_known(call);
        case GUARD_ANY_TEAM:
                return is_known(call) &&
                       (access_allows_any(call->access, call->route->role) || refuse(call, 403));
        case GUARD_TEAM:
                return is_known(call) && (access_allows(call->access, call_param(call, "team_name"),
                                                        call->route->role) ||
                                          refuse(call, 403));
        case GUARD_ADMIN:
                return is_known(call) && (access_is_admin(call->access) || refuse(call, 403));
        case GUARD_SYSTEM:
                return is_known(call) && (access_is_system(call->access) || refuse(call, 403));
        case GUARD_WORKER:
                return guard_worker(call);
        case GUARD_PIPELINE:
                return guard_pipeline(call);
        case GUARD_BUILD_ANY:
        case GUARD_BUILD_PUBLIC:
        case GUARD_BUILD_WRITE:
                return guard_build(call);
        }
        g_assert_not_reached();
}

/* Before anybody is asked who they are: reference 01 §3.6. */
static bool is_not_archived(ApiCall *call) {
        if (!call->route->rejects_archived)
                return true;
        if (!call_pipeline(call))
                return false;
        if (!call->pipeline->archived)
                return true;
        call_text(call, 409, "action not allowed for an archived pipeline\n");
        return false;
}

/* ---- routing ---- */

/* Matches segment by segment; captured ones are the request's, already decoded. */
static bool matches(ApiCall *call, const char *pattern) {
        size_t count = http_segments(call->request), index = 0;

        call->param_count = 0;
        while (*pattern == '/') {
                const char *start = ++pattern;
                pattern += strcspn(pattern, "/");
                const char *segment = http_segment(call->request, index++);
                size_t length = (size_t) (pattern - start);
                if (!segment)
                        return false;
                if (*start != ':') {
                        if (strlen(segment) != length || strncmp(segment, start, length) != 0)
                                return false;
                        continue;
                }
                if (!*segment)
                        return false;
                g_assert(call->param_count < CALL_PARAMS);
                call->params[call->param_count].name = start + 1;
                call->params[call->param_count].length = length - 1;
                call->params[call->param_count++].value = segment;
        }
        return index == count;
}

static const char *effective_method(const HttpRequest *request) {
        const char *method = http_method(request);

        return g_str_equal(method, "HEAD") ? "GET" : method;
}

static const Route *find_route(ApiCall *call, GString *allowed) {
        const char *method = effective_method(call->request);

        for (const Route *route = api_routes; route->action; route++) {
                if (!matches(call, route->pattern))
                        continue;
                if (g_str_equal(route->method, method))
                        return route;
                if (!strstr(allowed->str, route->method))
                        g_string_append_printf(allowed, "%s%s%s", allowed->len ? ", " : "",
                                               route->method,
                                               g_str_equal(route->method, "GET") ? ", HEAD" : "");
        }
        return NULL;
}

static bool read_instance_vars(ApiCall *call) {
        size_t count = http_query_count(call->request);
        g_autofree const char **names = g_new0(const char *, count + 1),
                              **values = g_new0(const char *, count + 1);
        g_autoptr(GError) error = NULL;

        if (!has_param(call, "pipeline_name") || count == 0)
                return true;
        for (size_t i = 0; i < count; i++) {
                names[i] = http_query_name_at(call->request, i);
                values[i] = http_query_value_at(call->request, i);
        }
        call->instance_vars = url_parse_instance_vars(names, values, count, &error);
        if (!error)
                return true;
        if (!strstr(call->route->pattern, "/config"))
                call_empty(call, 400);
        else {
                g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
                g_ptr_array_add(errors,
                                g_strdup_printf("instance vars are malformed: %s", error->message));
                call_errors(call, 400, errors);
        }
        return false;
}

static void run(ApiCall *call) {
        http_header_set(call->request, "X-Concourse-Version", API_VERSION);
        http_header_set(call->request, "Vary", "Accept-Encoding");
        if (!read_instance_vars(call) || !is_not_archived(call) || !may_pass(call))
                return;
        if (call->route->handle)
                call->route->handle(call);
        else {
                g_autofree char *text = g_strdup_printf("%s is not part of this version of Weir\n",
                                                        call->route->action);
                call_text(call, 501, text);
        }
}

static void call_clear(ApiCall *call) {
        access_free(call->access);
        value_free(call->instance_vars);
        team_free(call->team);
        pipeline_free(call->pipeline);
        build_free(call->build);
}

/* The cookie stands in for a header that is not there (reference 01 §2.2, §2.3). */
static char *authorization(HttpRequest *request, bool *ret_refused) {
        g_autofree char *cookie = http_cookie(request, "skymarshal_auth");
        g_autofree char *csrf = http_cookie(request, "skymarshal_csrf");
        const char *method = http_method(request), *given = http_header(request, "X-Csrf-Token");
        const char *header = http_header(request, "Authorization");
        bool safe = g_str_equal(method, "GET") || g_str_equal(method, "HEAD") ||
                    g_str_equal(method, "OPTIONS");

        *ret_refused = cookie && !safe && (!given || !*given || g_strcmp0(given, csrf) != 0);
        if (header)
                return g_strdup(header);
        return cookie ? g_strdup(g_strstrip(g_strdelimit(cookie, "\"", ' ')))
                      : NULL; /* it is sent quoted */
}

static void handle_api(Api *api, HttpRequest *request, Access *system) {
        ApiCall call = { .api = api, .store = api->spec.store, .request = request };
        g_autoptr(GString) allowed = g_string_new(NULL);
        g_autoptr(GError) error = NULL;
        bool refused = false;

        call.route = find_route(&call, allowed);
        if (!call.route) {
                if (allowed->len > 0)
                        http_header_set(request, "Allow", allowed->str);
                http_answer_text(request, allowed->len > 0 ? 405 : 404,
                                 allowed->len > 0 ? "Method Not Allowed\n"
                                                  : "404 page not found\n");
                access_free(system);
                return;
        }
        g_autofree char *header = system ? NULL : authorization(request, &refused);
        call.access = system ? system : access_new(api->spec.auth, header, &error);
        if (refused)
                http_answer(request, 401, NULL, NULL, 0);
        else if (!call.access) {
                log_error("api", "access-failed", error);
                http_answer(request, 500, NULL, NULL, 0);
        } else
                run(&call);
        call_clear(&call);
}

static void set_headers(HttpRequest *request) {
        static const char *const headers[][2] = {
                { "X-Frame-Options", "deny" },
                { "Content-Security-Policy", "frame-ancestors 'none'" },
                { "X-Content-Type-Options", "nosniff" },
                { "X-Download-Options", "noopen" },
                { "Cache-Control", "no-store, private" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(headers); i++)
                http_header_set(request, headers[i][0], headers[i][1]);
}

static void count(Api *api, const HttpRequest *request) {
        int class = http_answered(request) / 100;

        MUTEX_SCOPE(&api->counts.mutex);
        api->counts.requests[CLAMP(class, 0, 5)]++;
}

void api_handle(HttpRequest *request, void *data) {
        Api *api = data;

        set_headers(request);
        if (g_str_has_prefix(http_path(request), "/api/v1/") ||
            g_str_has_prefix(http_path(request), "/.well-known/"))
                handle_api(api, request, NULL);
        else
                pages_handle(api, request);
        count(api, request);
}

void api_handle_worker(HttpRequest *request, void *data) {
        Api *api = data;

        set_headers(request);
        handle_api(api, request, access_new_system());
        count(api, request);
}

Api *api_new(const ApiSpec *spec) {
        Api *api = g_new0(Api, 1);

        api->spec = *spec;
        mutex_init(&api->counts.mutex);
        condition_init(&api->counts.watcher_ended);
        api->counts.counter = (uint64_t) time_seconds(clock_now());
        return api;
}

void api_free(Api *api) {
        if (!api)
                return;
        mutex_lock(&api->counts.mutex);
        while (api->counts.watchers > 0)
                condition_wait(&api->counts.watcher_ended, &api->counts.mutex);
        mutex_unlock(&api->counts.mutex);
        condition_destroy(&api->counts.watcher_ended);
        mutex_destroy(&api->counts.mutex);
        g_free(api);
}
