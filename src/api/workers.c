/* Workers: how they register, keep alive, report and leave (reference 01 §16, §17.3; 06 §2.10). */
#include "api/handlers.h"

#include "api/present.h"

#include <string.h>

void list_workers(ApiCall *call) {
        const Visibility visibility = access_visibility(call->access, ROLE_VIEWER);
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) workers = worker_list_visible(call->store, &visibility, &error);

        if (!workers) {
                call_failed(call, error);
                return;
        }
        Value *list = value_list();
        for (size_t i = 0; i < workers->len; i++)
                value_list_add(list, present_worker(g_ptr_array_index(workers, i)));
        call_answer(call, 200, list);
}

static bool read_ttl(ApiCall *call, Duration *ret) {
        const char *text = http_query(call->request, "ttl");

        *ret = 0;
        if (!text || !*text || duration_parse(text, ret, NULL))
                return true;
        call_text(call, 400, "malformed ttl");
        return false;
}

static bool is_valid(ApiCall *call, const Value *worker) {
        const char *version = value_get_string(worker, "version", "");

        if (strspn(version, "0123456789.") != strlen(version))
                call_text(call, 400, "invalid worker version, only numeric characters are allowed");
        else if (!*value_get_string(worker, "addr", ""))
                call_text(call, 400, "missing garden address");
        else
                return true;
        return false;
}

static bool find_team(ApiCall *call, const char *name, int64_t *ret) {
        *ret = 0;
        if (!*name)
                return true;
        g_autoptr(Team) team = team_find(call->store, name, NULL);
        if (team)
                *ret = team->id;
        else
                call_empty(call, 400);
        return team != NULL;
}

void register_worker(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) body = call_json(call);
        WorkerRegistration registration = { .payload = body };

        if (!body || !is_valid(call, body) || !read_ttl(call, &registration.ttl) ||
            !find_team(call, value_get_string(body, "team", ""), &registration.team_id))
                return;
        call_done(call, worker_register(call->store, &registration, NULL, &error), error);
}

void heartbeat_worker(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        Duration ttl;

        if (!read_ttl(call, &ttl))
                return;
        g_autoptr(Value) body = call_json(call);
        if (!body)
                return;
        const WorkerBeat beat = { .ttl = ttl,
                                  .active_containers = value_get_int(body, "active_containers", 0),
                                  .active_volumes = value_get_int(body, "active_volumes", 0),
                                  .disk_low = value_get_bool(body, "disk_low", false) };
        g_autoptr(Worker) worker = worker_heartbeat(call->store, call_param(call, "worker_name"),
                                                    &beat, &error);

        if (worker)
                call_answer(call, 200, present_worker(worker));
        else
                call_failed(call, error);
}

/* ---- leaving ---- */

/* unknown: the status when it is not there. */
static Worker *find_worker(ApiCall *call, int unknown) {
        g_autoptr(GError) error = NULL;
        Worker *worker = worker_find(call->store, call_param(call, "worker_name"), &error);

        if (error_is(error, ERROR_NOT_FOUND))
                call_empty(call, unknown);
        else if (!worker)
                call_failed(call, error);
        return worker;
}

/* The body must name the worker's team. */
static Worker *find_worker_of_body(ApiCall *call, int unknown) {
        g_autoptr(Value) body = call_json(call);
        g_autoptr(Worker) worker = body ? find_worker(call, unknown) : NULL;

        if (!worker)
                return NULL;
        if (g_str_equal(value_get_string(body, "team", ""),
                        worker->team_name ? worker->team_name : ""))
                return g_steal_pointer(&worker);
        call_empty(call, 400);
        return NULL;
}

void land_worker(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Worker) worker = find_worker_of_body(call, 404);

        if (worker)
                call_done(call, worker_land(call->store, worker->name, &error), error);
}

void retire_worker(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Worker) worker = find_worker_of_body(call, 404);

        if (worker)
                call_done(call, worker_retire(call->store, worker->name, &error), error);
}

void prune_worker(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Worker) worker = find_worker(call, 404);

        if (!worker)
                return;
        if (worker_prune(call->store, worker->name, &error) || !error_is(error, ERROR_DENIED)) {
                call_done(call, error == NULL, error);
                return;
        }
        Value *answer = value_map();
        value_map_set_string(answer, "stderr", "cannot prune running worker");
        call_answer(call, 400, answer);
}

/* One that is not there is a failure here, not a 404. */
void delete_worker(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Worker) worker = find_worker_of_body(call, 500);

        if (worker)
                call_done(call, worker_delete(call->store, worker->name, &error), error);
}

/* ---- reporting and destroying ---- */

typedef GPtrArray *(*ListFn)(Store *store, const char *worker, GError **error);
typedef bool (*ReportFn)(Store *store, const char *worker, const GPtrArray *handles, Time now,
                         GError **error);

static void answer_handles(ApiCall *call, ListFn list) {
        const char *worker = http_query(call->request, "worker_name");
        g_autoptr(GError) error = NULL;

        if (!worker || !*worker) {
                call_empty(call, 400);
                return;
        }
        g_autoptr(GPtrArray) handles = list(call->store, worker, &error);
        if (!handles) {
                call_failed(call, error);
                return;
        }
        Value *answer = value_list();
        for (size_t i = 0; i < handles->len; i++)
                value_list_add(answer, value_string(g_ptr_array_index(handles, i)));
        call_answer(call, 200, answer);
}

/* Borrowed texts; *ret NULL for null. False: it is no list of texts. */
static bool read_handles(const Value *body, GPtrArray **ret) {
        g_autoptr(GPtrArray) handles = g_ptr_array_new();

        if (value_kind(body) == VALUE_NULL) {
                *ret = NULL;
                return true;
        }
        if (value_kind(body) != VALUE_LIST)
                return false;
        for (size_t i = 0; i < value_length(body); i++) {
                const Value *handle = value_at(body, i);
                if (!value_is(handle, VALUE_STRING))
                        return false;
                g_ptr_array_add(handles, (char *) value_text(handle));
        }
        *ret = g_steal_pointer(&handles);
        return true;
}

static void take_report(ApiCall *call, ReportFn report) {
        const char *worker = http_query(call->request, "worker_name");
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) handles = NULL;

        if (!worker || !*worker) {
                call_empty(call, 404);
                return;
        }
        g_autoptr(Value) body = call_json(call);
        if (!body)
                return;
        if (!read_handles(body, &handles))
                call_empty(call, 400);
        else if (report(call->store, worker, handles, clock_steady(), &error))
                call_empty(call, 204);
        else
                call_failed(call, error);
}

void list_destroying_containers(ApiCall *call) {
        answer_handles(call, container_list_destroying);
}

void report_containers(ApiCall *call) {
        take_report(call, container_report);
}

void list_destroying_volumes(ApiCall *call) {
        answer_handles(call, volume_list_destroying);
}

void report_volumes(ApiCall *call) {
        take_report(call, volume_report);
}
