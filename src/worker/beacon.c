#include "worker/beacon.h"

#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "http/url.h"
#include "worker/sweeper.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RETRY (1 * DURATION_SECOND)
/* The web node may be starting as we are: the first tries follow each other faster. */
#define RETRY_FIRST (20 * DURATION_MILLISECOND)
#define POKE_PAUSE (1 * DURATION_SECOND)
#define INTERVAL (30 * DURATION_SECOND)
#define CALL_TIMEOUT (60 * DURATION_SECOND)
/* How often the disk is looked at. */
#define DISK_PERIOD (1 * DURATION_SECOND)

struct Beacon {
        Value *worker;
        char *name; /* as a path segment */
        char *ttl;
        Containers *containers;
        Volumes *volumes;
        char *disk;
        uint64_t disk_reserve;
        bool disk_low; /* the thread's */
        Duration interval;
        HttpClient *client;
        Cancel *cancel;
        int poked, ended;
        Mutex lock; /* of what follows */
        bool draining, drained;
        BeaconDrain drain;
        Thread *thread;
        Sweeper *sweeper;
};

Value *beacon_worker_value(const BeaconWorker *worker) {
        Value *map = value_map(), *tags = value_list();
        for (guint i = 0; worker->tags && i < worker->tags->len; i++)
                value_list_add(tags, value_string(g_ptr_array_index(worker->tags, i)));
        value_map_set_string(map, "addr", worker->address);
        value_map_set_string(map, "baggageclaim_url", worker->baggageclaim_url);
        value_map_set_string_opt(map, "certs_path", worker->certs_path);
        value_map_set_string_opt(map, "http_proxy_url", worker->http_proxy);
        value_map_set_string_opt(map, "https_proxy_url", worker->https_proxy);
        value_map_set_string_opt(map, "no_proxy", worker->no_proxy);
        value_map_set_int(map, "active_containers", 0);
        value_map_set_int(map, "active_volumes", 0);
        value_map_set_int(map, "active_tasks", 0);
        value_map_set_int(map, "max_active_tasks", worker->max_active_tasks);
        value_map_set(map, "resource_types",
                      worker->resource_types ? value_ref(worker->resource_types) : value_null());
        value_map_set_string(map, "platform", worker->platform);
        value_map_set(map, "tags", tags);
        value_map_set_string(map, "team", worker->team ? worker->team : "");
        value_map_set_string(map, "name", worker->name);
        value_map_set_string(map, "version", worker->version);
        value_map_set_int(map, "start_time", worker->start_time);
        value_map_set_bool(map, "ephemeral", worker->ephemeral);
        value_map_set_string(map, "state", "");
        return map;
}

/* ---- calls ---- */

/* With what is active now. Returns new. */
static char *make_body(Beacon *beacon, size_t *ret_length) {
        g_autoptr(Value) body = value_copy(beacon->worker);
        g_autoptr(GPtrArray) containers = containers_list(beacon->containers, NULL);
        g_autoptr(GPtrArray) volumes = volumes_list(beacon->volumes, NULL);
        value_map_set_int(body, "active_containers", containers->len);
        value_map_set_int(body, "active_volumes", volumes->len);
        if (beacon->disk_low) /* ours: upstream's web node ignores it */
                value_map_set_bool(body, "disk_low", true);
        return json_write(body, JSON_COMPACT, ret_length);
}

static bool call_web(Beacon *beacon, const char *method, const char *path, Cancel *cancel,
                     HttpReply *ret, GError **error) {
        static const char *const headers[] = { "Content-Type: application/json", NULL };
        g_autofree char *url = g_strconcat("http://web", path, NULL);
        size_t length;
        g_autofree char *body = make_body(beacon, &length);
        HttpCall call = { .method = method,
                          .url = url,
                          .headers = headers,
                          .body = body,
                          .body_length = length };
        return http_call(beacon->client, &call, cancel, ret, error);
}

/* As call_web, and only a 200 is good. */
static bool call_well(Beacon *beacon, const char *method, const char *path, Cancel *cancel,
                      HttpReply *ret, GError **error) {
        g_auto(HttpReply) reply = { 0 };
        if (!call_web(beacon, method, path, cancel, &reply, error))
                return false;
        if (reply.status != 200) {
                g_set_error(error, ERROR, ERROR_PROTOCOL, "%s %s: bad response (%d): %s", method,
                            path, reply.status, reply.body ? reply.body : "");
                return false;
        }
        if (ret) {
                *ret = reply;
                reply = (HttpReply){ 0 };
        }
        return true;
}

typedef enum { HEALTHY, UNHEALTHY, OVER } Beat;

static Beat heartbeat(Beacon *beacon) {
        g_auto(HttpReply) reply = { 0 };
        g_autoptr(GError) error = NULL;
        g_autofree char *path = g_strdup_printf("/api/v1/workers/%s/heartbeat?ttl=%s", beacon->name,
                                                beacon->ttl);
        if (!call_web(beacon, "PUT", path, beacon->cancel, &reply, &error)) {
                if (!cancel_fired(beacon->cancel))
                        log_error("beacon", "heartbeat-failed", error);
                return UNHEALTHY;
        }
        if (reply.status == 404)
                return OVER;
        g_autoptr(Value) state = json_parse(reply.body, reply.length, NULL, &error);
        if (reply.status != 200 || !state) {
                log_error("beacon", "heartbeat-failed", error, "status", LOG_INT(reply.status));
                return UNHEALTHY;
        }
        return g_str_equal(value_get_string(state, "state", ""), "landed") ? OVER : HEALTHY;
}

/* quiet: a failure is not worth a line. */
static bool register_worker(Beacon *beacon, bool quiet) {
        g_autoptr(GError) error = NULL;
        g_autofree char *path = g_strconcat("/api/v1/workers?ttl=", beacon->ttl, NULL);
        if (call_well(beacon, "POST", path, beacon->cancel, NULL, &error)) {
                log_info("beacon", "registered", "worker", beacon->name);
                return true;
        }
        if (!quiet && !cancel_fired(beacon->cancel))
                log_error("beacon", "register-failed", error);
        return false;
}

/* Asks for what beacon_drain() was told, once. */
static void ask_drain(Beacon *beacon) {
        static const char *const verbs[] = { [BEACON_LAND] = "land", [BEACON_RETIRE] = "retire" };
        BeaconDrain kind;
        {
                MUTEX_SCOPE(&beacon->lock);
                if (!beacon->draining || beacon->drained)
                        return;
                kind = beacon->drain;
        }
        g_auto(HttpReply) reply = { 0 };
        g_autoptr(GError) error = NULL;
        g_autofree char *path = g_strdup_printf("/api/v1/workers/%s/%s", beacon->name, verbs[kind]);
        if (!call_web(beacon, "PUT", path, beacon->cancel, &reply, &error) ||
            (reply.status != 200 && !(kind == BEACON_RETIRE && reply.status == 404))) {
                log_error("beacon", "drain-failed", error, "status", LOG_INT(reply.status));
                return;
        }
        log_info("beacon", "draining", "how", verbs[kind]);
        MUTEX_SCOPE(&beacon->lock);
        beacon->drained = true;
}

/* ---- the loop ---- */

/* Low from less than twice the reserve on, until there is half as much again: it does not flutter at the border. */
static bool look_at_disk(Beacon *beacon) {
        uint64_t left, total;
        if (!beacon->disk || !disk_free(beacon->disk, &left, &total, NULL))
                return false;
        uint64_t mark = beacon->disk_reserve * (beacon->disk_low ? 3 : 2);
        bool low = left < mark;
        if (low == beacon->disk_low)
                return false;
        beacon->disk_low = low;
        log_info("beacon", low ? "disk-low" : "disk-has-room", "free", LOG_INT(left), "total",
                 LOG_INT(total));
        return true;
}

/* Waits until `due`, a poke, or a change of the disk; false when stopped. */
static bool wait_turn(Beacon *beacon, Duration due) {
        for (;;) {
                g_autoptr(GError) error = NULL;
                uint64_t count;
                Duration next = MIN(due, clock_monotonic() + DISK_PERIOD);
                if (cancel_poll(beacon->cancel, beacon->poked, POLLIN, next, &error)) {
                        (void) !read(beacon->poked, &count, sizeof(count));
                        look_at_disk(beacon);
                        return true;
                }
                if (cancel_fired(beacon->cancel))
                        return false;
                if (look_at_disk(beacon) || clock_monotonic() >= due)
                        return true;
        }
}

static bool register_until_known(Beacon *beacon) {
        for (Duration pause = RETRY_FIRST; !cancel_fired(beacon->cancel);
             pause = MIN(2 * pause, RETRY)) {
                if (register_worker(beacon, pause < RETRY))
                        return true;
                cancel_sleep(beacon->cancel, pause, NULL);
        }
        return false;
}

static void beacon_run(void *data) {
        Beacon *beacon = data;
        uint64_t one = 1;
        look_at_disk(beacon);
        if (!register_until_known(beacon))
                return;
        for (Duration pause = beacon->interval; wait_turn(beacon, clock_monotonic() + pause);) {
                ask_drain(beacon);
                Beat beat = heartbeat(beacon);
                if (beat == OVER) {
                        (void) !write(beacon->ended, &one, sizeof(one));
                        return;
                }
                pause = beat == HEALTHY ? beacon->interval : RETRY;
                if (!cancel_sleep(beacon->cancel, POKE_PAUSE, NULL)) /* pokes gather meanwhile */
                        return;
        }
}

Beacon *beacon_start(const BeaconSpec *spec) {
        Beacon *beacon = g_new0(Beacon, 1);
        HttpClientSpec client = { .unix_path = spec->web_socket,
                                  .total_timeout = CALL_TIMEOUT,
                                  .no_proxy = true };
        beacon->worker = value_ref(spec->worker);
        beacon->name = url_encode_path(value_get_string(spec->worker, "name", ""));
        beacon->containers = spec->containers;
        beacon->volumes = spec->volumes;
        beacon->disk = g_strdup(spec->disk);
        beacon->disk_reserve = spec->disk_reserve;
        beacon->interval = spec->interval ? spec->interval : INTERVAL;
        beacon->ttl = duration_format(2 * beacon->interval);
        beacon->client = http_client_new(&client);
        beacon->cancel = cancel_new(NULL);
        beacon->poked = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        beacon->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        g_assert(beacon->poked >= 0 && beacon->ended >= 0);
        mutex_init(&beacon->lock);
        beacon->thread = thread_start("beacon", beacon_run, beacon);

        SweeperSpec sweeper = { .client = beacon->client,
                                .worker = value_get_string(beacon->worker, "name", ""),
                                .containers = spec->containers,
                                .volumes = spec->volumes,
                                .interval = spec->sweep_interval,
                                .containers_at_once = spec->containers_at_once,
                                .volumes_at_once = spec->volumes_at_once };
        beacon->sweeper = sweeper_start(&sweeper);
        return beacon;
}

void beacon_poke(Beacon *beacon) {
        uint64_t one = 1;
        (void) !write(beacon->poked, &one, sizeof(one));
}

void beacon_containers_changed(Beacon *beacon) {
        beacon_poke(beacon);
        sweeper_poke(beacon->sweeper);
}

void beacon_drain(Beacon *beacon, BeaconDrain kind) {
        {
                MUTEX_SCOPE(&beacon->lock);
                beacon->draining = true;
                beacon->drained = false;
                beacon->drain = kind;
        }
        beacon_poke(beacon);
}

int beacon_ended_fd(Beacon *beacon) {
        return beacon->ended;
}

static void delete_worker(Beacon *beacon) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Cancel) limit = cancel_new_deadline(NULL, CALL_TIMEOUT);
        g_autofree char *path = g_strconcat("/api/v1/workers/", beacon->name, NULL);
        if (!call_well(beacon, "DELETE", path, limit, NULL, &error))
                log_error("beacon", "delete-failed", error);
}

void beacon_stop(Beacon *beacon) {
        if (!beacon)
                return;
        cancel_fire(beacon->cancel, CANCEL_SHUTDOWN);
        sweeper_stop(beacon->sweeper);
        thread_join(beacon->thread);
        uint64_t count;
        bool gone = read(beacon->ended, &count, sizeof(count)) > 0;
        if (beacon->draining && beacon->drain == BEACON_RETIRE && !gone)
                delete_worker(beacon);
        http_client_free(beacon->client);
        cancel_free(beacon->cancel);
        fd_close(beacon->poked);
        fd_close(beacon->ended);
        mutex_destroy(&beacon->lock);
        value_free(beacon->worker);
        g_free(beacon->disk);
        g_free(beacon->name);
        g_free(beacon->ttl);
        g_free(beacon);
}
