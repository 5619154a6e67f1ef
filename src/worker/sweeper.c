#include "worker/sweeper.h"

#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "http/url.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Short builds leave more than a worker may have long before the interval is over: from so many
 * containers on, a new one is reason to sweep, and so is one refused for want of a place; but not more often than this. */
#define CROWD 32
#define PAUSE_MIN DURATION_SECOND
#define INTERVAL (30 * DURATION_SECOND)
#define CONTAINERS_AT_ONCE 5
#define VOLUMES_AT_ONCE 3

struct Sweeper {
        HttpClient *client;
        char *worker; /* as a query value */
        Containers *containers;
        Volumes *volumes;
        Duration interval;
        int64_t containers_at_once, volumes_at_once;
        Cancel *cancel;
        Thread *thread;
        int crowded; /* eventfd */
};

/* What containers and volumes have in common here. */
typedef struct {
        const char *name; /* in paths: "containers" */
        GPtrArray *(*list)(Sweeper *sweeper);
        bool (*destroy)(Sweeper *sweeper, const char *handle, GError **error);
} Kind;

static GPtrArray *list_containers(Sweeper *sweeper) {
        return containers_list(sweeper->containers, NULL);
}

static GPtrArray *list_volumes(Sweeper *sweeper) {
        g_autoptr(GPtrArray) volumes = volumes_list(sweeper->volumes, NULL);
        GPtrArray *handles = g_ptr_array_new_with_free_func(g_free);
        for (guint i = 0; i < volumes->len; i++) {
                const VolumeResponse *volume = g_ptr_array_index(volumes, i);
                g_ptr_array_add(handles, g_strdup(volume->handle));
        }
        return handles;
}

static bool destroy_container(Sweeper *sweeper, const char *handle, GError **error) {
        return containers_destroy(sweeper->containers, handle, error);
}

static bool destroy_volume(Sweeper *sweeper, const char *handle, GError **error) {
        return volumes_destroy(sweeper->volumes, handle, error);
}

static const Kind kinds[] = {
        { "containers", list_containers, destroy_container },
        { "volumes", list_volumes, destroy_volume },
};

/* ---- talking ---- */

static bool report(Sweeper *sweeper, const Kind *kind, GError **error) {
        static const char *const headers[] = { "Content-Type: application/json", NULL };
        g_autoptr(GPtrArray) handles = kind->list(sweeper);
        g_autoptr(Value) list = value_list();
        for (guint i = 0; i < handles->len; i++)
                value_list_add(list, value_string(g_ptr_array_index(handles, i)));
        size_t length;
        g_autofree char *body = json_write(list, JSON_COMPACT, &length);
        g_autofree char *url = g_strdup_printf("http://web/api/v1/%s/report?worker_name=%s",
                                               kind->name, sweeper->worker);
        HttpCall call = {
                .method = "PUT", .url = url, .headers = headers, .body = body, .body_length = length
        };
        g_auto(HttpReply) reply = { 0 };
        if (!http_call(sweeper->client, &call, sweeper->cancel, &reply, error))
                return false;
        if (reply.status == 204)
                return true;
        g_set_error(error, ERROR, ERROR_PROTOCOL, "report %s: bad response (%d)", kind->name,
                    reply.status);
        return false;
}

/* Returns new: the handles the web node wants removed. */
static Value *unwanted(Sweeper *sweeper, const Kind *kind, GError **error) {
        g_autofree char *url = g_strdup_printf("http://web/api/v1/%s/destroying?worker_name=%s",
                                               kind->name, sweeper->worker);
        HttpCall call = { .method = "GET", .url = url };
        g_auto(HttpReply) reply = { 0 };
        if (!http_call(sweeper->client, &call, sweeper->cancel, &reply, error))
                return NULL;
        if (reply.status != 200) {
                g_set_error(error, ERROR, ERROR_PROTOCOL, "destroying %s: bad response (%d)",
                            kind->name, reply.status);
                return NULL;
        }
        return json_parse(reply.body, reply.length, NULL, error);
}

/* ---- removing ---- */

typedef struct {
        Sweeper *sweeper;
        const Kind *kind;
        char *handle;
} Removal;

static void remove_one(void *data) {
        Removal *removal = data;
        g_autoptr(GError) error = NULL;
        if (!removal->kind->destroy(removal->sweeper, removal->handle, &error) &&
            !error_is(error, ERROR_NOT_FOUND))
                log_error("sweeper", "destroy-failed", error, "kind", removal->kind->name, "handle",
                          removal->handle);
        g_free(removal->handle);
        g_free(removal);
}

static void remove_all(Sweeper *sweeper, const Kind *kind, const Value *handles, size_t at_once) {
        if (value_length(handles) == 0)
                return;
        g_autoptr(ThreadPool) pool = thread_pool_new("sweep", at_once);
        for (size_t i = 0; i < value_length(handles); i++) {
                const char *handle = value_text(value_at(handles, i));
                if (!handle || cancel_fired(sweeper->cancel))
                        continue;
                Removal *removal = g_new0(Removal, 1);
                *removal = (Removal){ sweeper, kind, g_strdup(handle) };
                thread_pool_push(pool, remove_one, removal);
        }
}

/* Each part's failure leaves the others to go on. */
static void sweep(Sweeper *sweeper, const Kind *kind, size_t at_once) {
        g_autoptr(GError) error = NULL, failure = NULL;
        if (!report(sweeper, kind, &error) && !cancel_fired(sweeper->cancel))
                log_error("sweeper", "report-failed", error, "kind", kind->name);
        g_autoptr(Value) handles = unwanted(sweeper, kind, &failure);
        if (handles)
                remove_all(sweeper, kind, handles, at_once);
        else if (!cancel_fired(sweeper->cancel))
                log_error("sweeper", "sweep-failed", failure, "kind", kind->name);
}

/* Until the interval is over or it is crowded. Returns false when it is to end. */
static bool wait_for_turn(Sweeper *sweeper) {
        Duration regular = clock_monotonic() + sweeper->interval;
        g_autoptr(GError) error = NULL;
        uint64_t count;
        if (!cancel_sleep(sweeper->cancel, MIN(sweeper->interval, PAUSE_MIN), NULL))
                return false;
        if (!cancel_poll(sweeper->cancel, sweeper->crowded, POLLIN, regular, &error))
                return error_is(error, ERROR_TIMEOUT);
        (void) !read(sweeper->crowded, &count, sizeof(count));
        return true;
}

static void sweeper_run(void *data) {
        Sweeper *sweeper = data;
        while (wait_for_turn(sweeper)) {
                g_autoptr(GError) error = NULL;
                sweep(sweeper, &kinds[0], (size_t) sweeper->containers_at_once);
                sweep(sweeper, &kinds[1], (size_t) sweeper->volumes_at_once);
                containers_tidy(sweeper->containers);
                if (!volumes_clean(sweeper->volumes, &error))
                        log_error("sweeper", "clean-failed", error);
        }
}

Sweeper *sweeper_start(const SweeperSpec *spec) {
        Sweeper *sweeper = g_new0(Sweeper, 1);
        sweeper->client = spec->client;
        sweeper->worker = url_encode_query(spec->worker);
        sweeper->containers = spec->containers;
        sweeper->volumes = spec->volumes;
        sweeper->interval = spec->interval ? spec->interval : INTERVAL;
        sweeper->containers_at_once = spec->containers_at_once ? spec->containers_at_once
                                                               : CONTAINERS_AT_ONCE;
        sweeper->volumes_at_once = spec->volumes_at_once ? spec->volumes_at_once : VOLUMES_AT_ONCE;
        sweeper->cancel = cancel_new(NULL);
        sweeper->crowded = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        sweeper->thread = thread_start("sweeper", sweeper_run, sweeper);
        return sweeper;
}

void sweeper_poke(Sweeper *sweeper) {
        g_autoptr(GPtrArray) handles = list_containers(sweeper);
        uint64_t one = 1;
        if (containers_take_refused(sweeper->containers) || handles->len >= CROWD)
                (void) !write(sweeper->crowded, &one, sizeof(one));
}

void sweeper_stop(Sweeper *sweeper) {
        if (!sweeper)
                return;
        cancel_fire(sweeper->cancel, CANCEL_SHUTDOWN);
        thread_join(sweeper->thread);
        cancel_free(sweeper->cancel);
        fd_close(sweeper->crowded);
        g_free(sweeper->worker);
        g_free(sweeper);
}
