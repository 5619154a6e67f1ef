#include "web/web.h"

#include "api/api.h"
#include "base/files.h"
#include "base/log.h"
#include "checker/checker.h"
#include "janitor/janitor.h"
#include "scheduler/scheduler.h"
#include "web/listen.h"
#include "web/metrics.h"
#include "web/settings.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* How long requests and running builds may take to come to a point where they can be left. */
#define STOP_GRACE (3 * DURATION_SECOND)
#define ENGINE_GRACE (5 * DURATION_SECOND)

/* What a burst of work needed is given back to the system so often: the allocator itself keeps it, in pieces. */
#define TRIM_MILLISECONDS 10000

/* What stands still in the database lets go after this part of the lease, so that the others renew theirs in time. */
#define STANDSTILL_PART 3

/* Twice the workers' heartbeat. */
#define WORKER_PATIENCE DURATION_MINUTE

#define WORKER_SOCKET "worker.sock"
#define WORKER_CONNECTIONS_MAX 64

/* Everything that runs, in the order in which it starts. */
typedef struct {
        const WebOptions *options;
        char *work_directory, *external_url, *node, *own_fly;
        Value *main_team, *type_defaults;
        int listener;
        uint16_t port;

        Store *store;
        Auth *auth;
        Pool *pool;
        StepSettings settings;
        Engine *engine;
        Checker *checker;
        Scheduler *scheduler;
        Janitor *janitor;
        Api *api;
        HttpServer *server, *worker_server, *metrics_server;
        Metrics *metrics;
} Web;

/* ---- before anything is touched ---- */

static bool check_work_directory(const Web *web, GError **error) {
        if (access(web->work_directory, F_OK) == 0 &&
            access(web->work_directory, R_OK | W_OK | X_OK) < 0) {
                error_set_errno(error, errno, "work directory %s", web->work_directory);
                return false;
        }
        return true;
}

static bool take_port(Web *web, GError **error) {
        const WebOptions *options = web->options;
        if (options->listener > 0) {
                web->listener = (int) options->listener;
                return listen_port(web->listener, &web->port, error);
        }
        web->listener = listen_open(options->bind_ip, options->bind_port, &web->port, error);
        return web->listener >= 0;
}

static char *make_external_url(const Web *web) {
        char *url = web->options->external_url ? g_strdup(web->options->external_url)
                                               : listen_url(web->options->bind_ip, web->port);
        for (size_t length = strlen(url); length > 0 && url[length - 1] == '/';)
                url[--length] = '\0';
        return url;
}

static bool prepare(Web *web, PoolSpec *pool, GError **error) {
        const WebOptions *options = web->options;

        web->work_directory = g_canonicalize_filename(options->work_dir, NULL);
        web->main_team = settings_main_team(options, error);
        if (!web->main_team || !settings_check(options, error) ||
            !settings_placement(options, pool, error) ||
            !settings_type_defaults(options, &web->type_defaults, error) ||
            !check_work_directory(web, error) || !take_port(web, error))
                return false;
        web->external_url = make_external_url(web);
        web->node = g_strdup_printf("%s/%d", g_get_host_name(), (int) getpid());
        return true;
}

/* ---- starting ---- */

static bool open_store(Web *web, GError **error) {
        const WebOptions *options = web->options;
        bool postgres = web_options_postgres(options);
        g_autofree char *path = g_build_filename(web->work_directory, STORE_DATABASE, NULL);
        g_autofree char *logs = g_build_filename(web->work_directory, STORE_LOGS, NULL);
        g_autofree char *conninfo = postgres ? settings_conninfo(options) : NULL;
        StoreSpec spec = { .db = { .kind = postgres ? DB_POSTGRES : DB_SQLITE,
                                   .path = path,
                                   .conninfo = conninfo,
                                   .readers = postgres ? (size_t) options->backend_max_conns : 0,
                                   .standstill = options->node_lease / STANDSTILL_PART,
                                   .encryption_key = options->encryption_key,
                                   .old_encryption_key = options->old_encryption_key },
                           .log_directory = logs,
                           .node = web->node };

        if (!directory_make(web->work_directory, 0700, error))
                return false;
        web->store = store_open(&spec, error);
        return web->store && team_save_main(web->store, web->main_team, error) &&
               component_register_all(web->store, options->gc_interval, error) &&
               worker_listen_again(web->store, WORKER_PATIENCE, error);
}

static bool open_auth(Web *web, GError **error) {
        const WebOptions *options = web->options;
        AuthSpec spec = { .store = web->store,
                          .external_url = web->external_url,
                          .local_users = options->local_users,
                          .duration = options->auth_duration,
                          .signing_key = options->session_signing_key };

        web->auth = auth_new(&spec, error);
        return web->auth != NULL;
}

static void set_step_settings(Web *web) {
        const WebOptions *options = web->options;

        web->settings = (StepSettings){
                .store = web->store,
                .pool = web->pool,
                .external_url = web->external_url,
                .get_timeout = options->get_timeout,
                .put_timeout = options->put_timeout,
                .task_timeout = options->task_timeout,
                .check_timeout = options->check_timeout,
                .checking_interval = options->checking_interval,
                .type_checking_interval = MAX(options->checking_interval,
                                              options->type_checking_interval),
                .task_cpu = options->task_cpu_limit,
                .task_memory = options->task_memory_limit,
                .base_type_defaults = web->type_defaults,
                .redact_secrets = !options->disable_redact_secrets,
                .global_resources = options->global_resources,
        };
}

static void request_check(int64_t resource_id, Time since, void *data) {
        Web *web = data;
        checker_request(web->checker, resource_id, since);
}

static void start_builds(Web *web) {
        const WebOptions *options = web->options;
        EngineSpec engine = { .settings = &web->settings,
                              .node = web->node,
                              .lease = options->node_lease };
        CheckerSpec checker = { .settings = &web->settings,
                                .node = web->node,
                                .lease = options->node_lease,
                                .checks_per_second = (double) options->checks_per_second };
        SchedulerSpec scheduler = { .store = web->store,
                                    .node = web->node,
                                    .lease = options->node_lease,
                                    .threads = (size_t) options->scheduling_max_in_flight,
                                    .base_type_defaults = web->type_defaults,
                                    .checking_interval = options->checking_interval,
                                    .request_check = request_check,
                                    .data = web };
        JanitorSpec janitor = { .store = web->store,
                                .node = web->node,
                                .lease = 2 * options->node_lease,
                                .interval = options->gc_interval,
                                .one_off_grace = options->gc_one_off_grace,
                                .failed_grace = options->gc_failed_grace,
                                .missing_grace = options->gc_missing_grace,
                                .hijack_grace = options->gc_hijack_grace,
                                .stalled_worker_timeout = options->stalled_worker_timeout,
                                .pause_pipelines_after = options->pause_pipelines_after,
                                .default_builds_to_retain = options->default_builds_to_retain,
                                .default_days_to_retain = options->default_days_to_retain,
                                .max_builds_to_retain = options->max_builds_to_retain,
                                .max_days_to_retain = options->max_days_to_retain,
                                .history = { options->gc_builds, options->gc_versions } };

        web->engine = engine_new(&engine);
        web->checker = checker_new(&checker);
        web->scheduler = scheduler_new(&scheduler);
        web->janitor = janitor_new(&janitor);
}

static void append_metrics(GString *text, void *data) {
        Web *web = data;
        metrics_append(web->metrics, web->server, text);
}

/* The fly that is installed beside this program, or built beside it. Returns new, or NULL. */
static char *own_fly(void) {
        static const char *const places[] = { "fly", "../fly/fly", NULL };

        return program_beside(places, R_OK);
}

static bool serve(Web *web, GError **error) {
        const WebOptions *options = web->options;
        web->own_fly = own_fly();
        ApiSpec api = { .store = web->store,
                        .auth = web->auth,
                        .pool = web->pool,
                        .external_url = web->external_url,
                        .cluster_name = options->cluster_name,
                        .base_type_defaults = web->type_defaults,
                        .checking_interval = options->checking_interval,
                        .intercept_idle_timeout = options->intercept_idle_timeout,
                        .cli_directory = options->cli_artifacts_dir,
                        .cli_program = web->own_fly,
                        .resource_causality = options->resource_causality,
                        .metrics = append_metrics,
                        .data = web };
        g_autofree char *socket = g_build_filename(web->work_directory, WORKER_SOCKET, NULL);
        HttpServerSpec worker = { .unix_path = socket,
                                  .unix_mode = 0600,
                                  .handler = api_handle_worker,
                                  .connections_max = WORKER_CONNECTIONS_MAX,
                                  .name = "worker-socket" };
        HttpServerSpec metrics = { .address = options->prometheus_bind_ip,
                                   .port = (uint16_t) options->prometheus_bind_port,
                                   .handler = api_handle_metrics,
                                   .name = "metrics" };
        HttpServerSpec server = { .listener = web->listener,
                                  .handler = api_handle,
                                  .name = "http" };

        web->api = api_new(&api);
        worker.data = metrics.data = server.data = web->api;
        web->worker_server = http_server_start(&worker, error);
        if (!web->worker_server)
                return false;
        bool measured = options->prometheus_bind_ip && options->prometheus_bind_port > 0;
        if (measured && !(web->metrics_server = http_server_start(&metrics, error)))
                return false;
        web->listener = -1; /* the server's from now on, whether it starts or not */
        web->server = http_server_start(&server, error);
        return web->server != NULL;
}

static bool start(Web *web, GError **error) {
        PoolSpec pool = { .request_timeout = web->options->garden_request_timeout };
        bool ready = prepare(web, &pool, error) && open_store(web, error) && open_auth(web, error);

        if (ready) {
                pool.store = web->store;
                web->pool = pool_new(&pool);
        }
        settings_placement_clear(&pool);
        if (!ready)
                return false;
        set_step_settings(web);
        start_builds(web);
        MetricsSpec metrics = { .store = web->store,
                                .engine = web->engine,
                                .checker = web->checker };
        web->metrics = metrics_new(&metrics);
        return serve(web, error);
}

/* ---- the end ---- */

static void stop_server(HttpServer *server) {
        if (server)
                http_server_stop(server, STOP_GRACE);
}

/* Nobody new comes in, then what runs is left where the next start finds it. */
static void stop(Web *web) {
        stop_server(web->server);
        stop_server(web->metrics_server);
        scheduler_free(web->scheduler);
        if (web->engine)
                engine_free(web->engine, ENGINE_GRACE);
        checker_free(web->checker);
        janitor_free(web->janitor);
        if (web->store) /* the others need not wait for us */
                lease_bucket_release(web->store, web->node, NULL);
        stop_server(web->worker_server);
        metrics_free(web->metrics);
        api_free(web->api);
        pool_free(web->pool);
        auth_free(web->auth);
        store_close(web->store);

        fd_close(web->listener);
        value_free(web->main_team);
        value_free(web->type_defaults);
        g_free(web->work_directory);
        g_free(web->external_url);
        g_free(web->own_fly);
        g_free(web->node);
}

static void wait_for_end(Cancel *shutdown) {
        struct pollfd polls[] = { { .fd = cancel_fd(shutdown), .events = POLLIN } };

        while (!cancel_fired(shutdown)) {
                if (poll(polls, 1, TRIM_MILLISECONDS) < 0 && errno != EINTR)
                        return;
                malloc_trim(0);
        }
}

bool web_run(const WebOptions *options, Cancel *shutdown, GError **error) {
        Web web = { .options = options, .listener = -1 };

        bool started = start(&web, error);
        if (started) {
                g_autofree char *address = listen_name(options->bind_ip, web.port);
                log_info("", "listening", "http", address, "url", web.external_url);
                malloc_trim(0); /* what only the start needed */
                wait_for_end(shutdown);
                log_info("", "stopping");
        }
        stop(&web);
        if (started)
                log_info("", "stopped");
        return started;
}
