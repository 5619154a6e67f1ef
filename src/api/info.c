#include "api/handlers.h"

#include "api/present.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define STALE 2 /* intervals without a run */

void get_info(ApiCall *call) {
        const ApiSpec *spec = &call->api->spec;
        Value *info = value_map(), *flags = value_map();

        value_map_set_string(info, "version", API_VERSION);
        value_map_set_string(info, "worker_version", API_WORKER_VERSION);
        value_map_set_bool(flags, "build_rerun", false);
        value_map_set_bool(flags, "cache_streamed_volumes", true);
        value_map_set_bool(flags, "global_resources", false);
        value_map_set_bool(flags, "resource_causality", spec->resource_causality);
        value_map_set(info, "feature_flags", flags);
        value_map_set_string_opt(info, "external_url", spec->external_url);
        value_map_set_string_opt(info, "cluster_name", spec->cluster_name);
        value_map_set_string(info, "weir_version", WEIR_VERSION);
        call_answer(call, 200, info);
}

void get_creds(ApiCall *call) {
        call_answer(
                call, 200,
                value_map()); /* no credential manager is configured: there is none to configure yet */
}

/* ---- health (reference 01 §20) ---- */

static bool ask_database(DbTx *tx, void *data, GError **error) {
        int64_t now;

        return db_now(tx, &now, error);
}

static void add_workers(ApiCall *call, Value *answer, const char **ret_status) {
        g_autoptr(GPtrArray) workers = worker_list(call->store, NULL);
        Value *map = value_map(), *unhealthy = value_list();
        size_t running = 0;

        for (size_t i = 0; workers && i < workers->len; i++) {
                const Worker *worker = g_ptr_array_index(workers, i);
                if (worker->state == WORKER_RUNNING)
                        running++;
                else
                        value_list_add(unhealthy, value_string(worker->name));
        }
        *ret_status = running > 0 ? "healthy" : "unhealthy";
        value_map_set_string(map, "status", *ret_status);
        value_map_set_int(map, "total", workers ? workers->len : 0);
        value_map_set_int(map, "running", (int64_t) running);
        if (value_length(unhealthy) > 0)
                value_map_set(map, "unhealthy_workers", unhealthy);
        else
                value_free(unhealthy);
        value_map_set(answer, "workers", map);
}

/* Adds its line; false when it is stale: it did not run for twice its interval. */
static bool add_component(Value *list, const Component *component, Time now) {
        Duration age = (now - component->last_ran) * 1000;
        bool stale = !component->paused && component->last_ran > 0 &&
                     age > STALE * component->interval + COMPONENT_LAG;
        g_autofree char *ran = present_time(component->last_ran);
        Value *map = value_map();

        value_map_set_string(map, "name", component->name);
        value_map_set_string(map, "status", stale ? "unhealthy" : "healthy");
        value_map_set_bool(map, "paused", component->paused);
        value_map_set_string(map, "last_ran", ran);
        value_list_add(list, map);
        return !stale;
}

/* Returns whether nothing that builds wait for is stale. */
static bool add_components(ApiCall *call, Value *answer) {
        static const char *const vital[] = { COMPONENT_SCHEDULER, COMPONENT_TRACKER,
                                             COMPONENT_SCANNER };
        g_autoptr(GPtrArray) components = component_list(call->store, NULL);
        Value *list = value_list();
        bool good = true;

        for (size_t i = 0; components && i < components->len; i++) {
                const Component *component = components->pdata[i];
                if (add_component(list, component, clock_now()))
                        continue;
                for (size_t j = 0; j < G_N_ELEMENTS(vital); j++)
                        good = good && !g_str_equal(vital[j], component->name);
        }
        value_map_set(answer, "components", list);
        return good;
}

void get_health(ApiCall *call) {
        g_autofree char *time = present_time(clock_now());
        Value *answer = value_map(), *database = value_map();
        bool reachable = db_read(store_db(call->store), ask_database, NULL, NULL);
        const char *workers;

        value_map_set_string(answer, "status", "");
        value_map_set_string(answer, "timestamp", time);
        value_map_set_string(database, "status", reachable ? "healthy" : "unhealthy");
        if (!reachable)
                value_map_set_string(database, "error", "database unreachable");
        value_map_set(answer, "database", database);
        add_workers(call, answer, &workers);
        bool runs = add_components(call, answer);
        bool works = reachable && g_str_equal(workers, "healthy");
        value_map_set_string(answer, "status", !works ? "failing" : runs ? "ok" : "degraded");
        call_answer(call, works ? 200 : 503, answer);
}

/* ---- users ---- */

void get_user(ApiCall *call) {
        call_answer(call, 200, access_user(call->access));
}

static bool read_date(const char *text, Time *ret) {
        int year, month, day, used = 0;

        if (sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &used) != 3 || text[used] ||
            used != 10)
                return false;
        g_autoptr(GDateTime) date = g_date_time_new_utc(year, month, day, 0, 0, 0);
        if (!date)
                return false;
        *ret = g_date_time_to_unix(date) * 1000000;
        return true;
}

void list_users(ApiCall *call) {
        const char *since = http_query(call->request, "since");
        g_autoptr(GError) error = NULL;
        Time from = 0;

        if (since && *since && !read_date(since, &from)) {
                Value *answer = value_map();
                value_map_set_string(answer, "error", "wrong date format (yyyy-mm-dd)");
                call_answer(call, 400, answer);
                return;
        }
        g_autoptr(GPtrArray) users = user_list(call->store, from, &error);
        if (!users) {
                call_failed(call, error);
                return;
        }
        Value *list = value_list();
        for (size_t i = 0; i < users->len; i++) {
                const User *user = g_ptr_array_index(users, i);
                Value *map = value_map();
                value_map_set_int_opt(map, "id", user->id);
                value_map_set_string_opt(map, "username", user->username);
                value_map_set_string_opt(map, "connector", user->connector);
                value_map_set_int_opt(map, "last_login", time_seconds(user->last_login));
                value_list_add(list, map);
        }
        call_answer(call, 200, list);
}

/* ---- log level ---- */

void get_log_level(ApiCall *call) {
        static const char *const names[] = { "debug", "info", "error", "fatal" };

        call_text(call, 200, names[log_level()]);
}

void set_log_level(ApiCall *call) {
        g_autofree char *body = http_body(call->request, 64, NULL, NULL);
        LogLevel level;

        if (!body || !log_level_parse(body, &level, NULL)) {
                call_empty(call, 400);
                return;
        }
        log_set_level(level);
        call_empty(call, 200);
}
