/* How a container comes about, against a worker that only records what it is asked: a Weir worker or an upstream one. */
#include "../store/house.h"

#include "base/json.h"
#include "base/thread.h"
#include "http/server.h"
#include "pool/pool.h"
#include "wire/garden.h"

typedef struct {
        HttpServer *http;
        Mutex lock;
        GString *calls;         /* "METHOD path\n" each */
        Value *container;       /* the last body of POST /containers */
        const char *extensions; /* NULL: upstream */
        Store *sweeps;          /* not NULL: the janitor comes by at every request */
        const char *full;       /* so many containers are refused with this: */
        unsigned refusals;
        Cancel *abort; /* not NULL: fires at the first refusal */
} Stranger;

static void answer_full(Stranger *stranger, HttpRequest *request) {
        const GardenError refusal = { .message = (char *) stranger->full };
        g_autoptr(Value) answer = garden_error_value(&refusal);
        stranger->refusals--;
        if (stranger->abort)
                cancel_fire(stranger->abort, CANCEL_ABORT);
        http_answer_json(request, garden_error_status(refusal.kind), answer);
}

static void answer_container(Stranger *stranger, HttpRequest *request, Value *body) {
        const char *root = value_get_string(body, "rootfs", "");
        value_free(stranger->container);
        stranger->container = value_ref(body);
        if (stranger->refusals > 0) {
                answer_full(stranger, request);
                return;
        }
        if (!stranger->extensions && g_str_has_prefix(root, "raw://" GARDEN_VOLUME_PREFIX)) {
                http_answer_text(request, 500,
                                 "{\"Message\":\"directory must be an absolute path\"}");
                return;
        }
        http_answer_text(request, 200, "{\"Handle\":\"h\"}");
}

/* The janitor, and a worker's report from before what is being made was there. */
static void sweep(Store *store) {
        g_autoptr(GPtrArray) handles = g_ptr_array_new();
        int64_t marked, deleted;
        OK(volume_report(store, "w", handles, clock_now(), &error));
        OK(volume_sweep(store, clock_now(), DURATION_MINUTE, &marked, &deleted, &error));
        g_assert_cmpint(marked, ==, 0);
        g_assert_cmpint(deleted, ==, 0);
}

static void serve(HttpRequest *request, void *data) {
        Stranger *stranger = data;
        g_autoptr(GError) error = NULL;
        size_t length;
        g_autofree char *text = http_body(request, 0, &length, &error);
        bool stream = strstr(http_path(request), "/stream-in") != NULL;
        g_autoptr(Value) body = length > 0 && !stream ? json_parse(text, length, NULL, &error)
                                                      : NULL;
        g_assert_no_error(error);

        if (stranger->sweeps)
                sweep(stranger->sweeps);
        MUTEX_SCOPE(&stranger->lock);
        g_string_append_printf(stranger->calls, "%s %s\n", http_method(request),
                               http_path(request));
        if (stranger->extensions)
                http_header_set(request, GARDEN_EXTENSIONS_HEADER, stranger->extensions);
        if (g_str_equal(http_path(request), "/containers"))
                answer_container(stranger, request, body);
        else if (g_str_equal(http_path(request), "/volumes")) {
                g_autofree char *answer = g_strdup_printf("{\"handle\":\"%s\",\"path\":\"/v/%s\"}",
                                                          value_get_string(body, "handle", ""),
                                                          value_get_string(body, "handle", ""));
                http_answer_text(request, 201, answer);
        } else
                http_answer_text(request, 200, "{}");
}

static void stranger_open(Stranger *stranger, House *house, const char *extensions) {
        const HttpServerSpec spec = {
                .address = "127.0.0.1", .handler = serve, .data = stranger, .name = "stranger"
        };
        mutex_init(&stranger->lock);
        stranger->calls = g_string_new(NULL);
        stranger->extensions = extensions;
        stranger->http = OK(http_server_start(&spec, &error));
        unsigned port = http_server_port(stranger->http);
        g_autofree char *text = g_strdup_printf(
                "{'name':'w','addr':'127.0.0.1:%u','baggageclaim_url':'http://127.0.0.1:%u',"
                "'platform':'linux','version':'3.0','tags':[],'start_time':5,"
                "'resource_types':[{'type':'git','image':'/g','version':'1'}]}",
                port, port);
        g_autoptr(Value) payload = json(text);
        WorkerRegistration registration = { .payload = payload, .ttl = DURATION_MINUTE };
        OK(worker_register(house->store, &registration, NULL, &error));
}

static void stranger_close(Stranger *stranger) {
        http_server_stop(stranger->http, DURATION_SECOND);
        g_string_free(stranger->calls, true);
        value_free(stranger->container);
        mutex_destroy(&stranger->lock);
}

/* A step of a check without a row: it needs no build. Each plan_id is another container. */
static ContainerNeed need_of(const char *plan_id) {
        return (ContainerNeed){
                .owner = { .kind = CONTAINER_OWNER_MEMORY_CHECK,
                           .check_key = "k",
                           .plan_id = plan_id },
                .metadata = { .type = "get" },
                .need = { .resource_type = "git" },
                .base_type = "git",
                .working_directory = "/tmp/build/get",
        };
}

static PoolContainer *make(Pool *pool, const char *plan_id) {
        const ContainerNeed need = need_of(plan_id);
        return OK(pool_container(pool, &need, NULL, NULL, &error));
}

static void forget_calls(Stranger *stranger) {
        MUTEX_SCOPE(&stranger->lock);
        g_string_truncate(stranger->calls, 0);
}

static void a_weir_worker_makes_the_volumes_with_the_container(House *house) {
        Stranger stranger = { 0 };
        stranger_open(&stranger, house, GARDEN_EXTENSIONS);
        Pool *pool = pool_new(&(PoolSpec){ .store = house->store });
        /* The first brings the base type's files here, and what the worker can do. */
        pool_container_free(make(pool, "1"));
        forget_calls(&stranger);

        g_autoptr(PoolContainer) container = make(pool, "2");
        g_assert_cmpstr(stranger.calls->str, ==, "POST /containers\n");
        const Value *volumes = value_get(stranger.container, "weir_volumes");
        g_assert_cmpuint(value_length(volumes), ==, 3); /* root, scratch, working directory */
        g_autofree char *root = g_strconcat(
                "raw://volume:", value_get_string(value_at(volumes, 0), "handle", NULL), NULL);
        g_assert_cmpstr(value_get_string(stranger.container, "rootfs", NULL), ==, root);
        g_autoptr(Container) row = NULL;
        g_autofree char *handle = g_strdup(pool_container_handle(container));
        pool_container_free(g_steal_pointer(&container)); /* the row is marked by then */
        row = OK(container_get(house->store, handle, &error));
        g_assert_cmpint(row->state, ==, CONTAINER_CREATED);
        g_autoptr(GPtrArray) rows = OK(volume_list_of_container(house->store, row->id, &error));
        g_assert_cmpuint(rows->len, ==, 3);
        for (guint i = 0; i < rows->len; i++)
                g_assert_cmpint(((Volume *) rows->pdata[i])->state, ==, VOLUME_CREATED);
        pool_free(pool);
        stranger_close(&stranger);
}

static void an_upstream_worker_is_asked_for_each_volume(House *house) {
        Stranger stranger = { 0 };
        stranger_open(&stranger, house, NULL);
        Pool *pool = pool_new(&(PoolSpec){ .store = house->store });
        pool_container_free(make(pool, "1"));
        forget_calls(&stranger);

        g_autoptr(PoolContainer) container = make(pool, "2");
        g_assert_cmpstr(stranger.calls->str, ==,
                        "POST /volumes\nPOST /volumes\nPOST /volumes\nPOST /containers\n");
        g_assert_null(value_get(stranger.container, "weir_volumes"));
        g_assert_true(
                g_str_has_prefix(value_get_string(stranger.container, "rootfs", ""), "raw:///v/"));
        pool_container_free(g_steal_pointer(&container));
        pool_free(pool);
        stranger_close(&stranger);
}

static void an_upstream_worker_may_take_a_weir_workers_place(House *house) {
        Stranger stranger = { 0 };
        stranger_open(&stranger, house, GARDEN_EXTENSIONS);
        Pool *pool = pool_new(&(PoolSpec){ .store = house->store });
        pool_container_free(make(pool, "1"));
        forget_calls(&stranger);
        {
                MUTEX_SCOPE(&stranger.lock);
                stranger.extensions = NULL;
        }

        pool_container_free(make(pool, "2"));
        g_assert_cmpstr(stranger.calls->str, ==,
                        "POST /containers\n" /* refused: then as ever */
                        "POST /volumes\nPOST /volumes\nPOST /volumes\nPOST /containers\n");
        pool_free(pool);
        stranger_close(&stranger);
}

/* ---- a worker that is full (corrections no. 37) ---- */

static const struct {
        const char *text, *reason; /* NULL: another error */
} refusals[] = {
        { "new container: checking container capacity: max containers reached",
          "max containers reached" },
        { "new container: no address left for a container", "no address left for a container" },
        { "starting task: cni net setup: plugin type=\"bridge\" failed (add): failed to allocate for "
          "range 0: no IP addresses available in range set: 10.80.0.1-10.80.255.254",
          "no IP addresses available in range set" },
        { "new container: garden spec to oci spec: rootfs must not be empty", NULL },
};

static void note_full(const char *worker, const char *reason, void *data) {
        g_string_append_printf(data, "%s: %s\n", worker, reason);
}

static void a_full_worker_is_asked_until_it_has_a_place(House *house) {
        for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++) {
                Stranger stranger = { .full = refusals[i].text, .refusals = 3 };
                g_autoptr(GString) said = g_string_new(NULL);
                const PoolWatch watch = { .full = note_full, .data = said };
                g_autofree char *plan_id = g_strdup_printf("full %zu", i);
                const ContainerNeed need = need_of(plan_id);
                stranger_open(&stranger, house, GARDEN_EXTENSIONS);
                Pool *pool = pool_new(&(PoolSpec){ .store = house->store });

                if (refusals[i].reason) {
                        g_autofree char *once = g_strdup_printf("w: %s\n", refusals[i].reason);
                        pool_container_free(OK(pool_container(pool, &need, &watch, NULL, &error)));
                        g_assert_cmpuint(stranger.refusals, ==, 0);
                        g_assert_cmpstr(said->str, ==, once);
                } else {
                        FAILS(pool_container(pool, &need, &watch, NULL, &error), ERROR_PROTOCOL);
                        g_assert_cmpstr(said->str, ==, "");
                }
                pool_free(pool);
                stranger_close(&stranger);
        }
}

/* Its steps' containers stay until it ends: the wait would be for itself. */
static void a_build_that_fills_a_worker_alone_fails(House *house) {
        Stranger stranger = { .full = refusals[0].text, .refusals = 1000 };
        ContainerNeed need = need_of("own");
        stranger_open(&stranger, house, GARDEN_EXTENSIONS);
        Pool *pool = pool_new(&(PoolSpec){ .store = house->store });
        need.metadata.build_id = 7;

        FAILS_SAYING(pool_container(pool, &need, NULL, NULL, &error),
                     "find or create container on worker w: new container: checking container "
                     "capacity: max containers reached");
        stranger.refusals = 0;
        pool_container_free(make(pool, "another's"));
        stranger.refusals = 10;
        need.owner.plan_id = "again";
        pool_container_free(OK(pool_container(pool, &need, NULL, NULL, &error)));
        pool_free(pool);
        stranger_close(&stranger);
}

static void an_abort_ends_the_wait_for_a_place(House *house) {
        g_autoptr(Cancel) cancel = cancel_new(NULL);
        Stranger stranger = { .full = refusals[0].text, .refusals = 1000, .abort = cancel };
        const ContainerNeed need = need_of("aborted");
        stranger_open(&stranger, house, NULL);
        Pool *pool = pool_new(&(PoolSpec){ .store = house->store });

        FAILS(pool_container(pool, &need, NULL, cancel, &error), ERROR_CANCELLED);
        pool_free(pool);
        stranger_close(&stranger);
}

/* ---- what the janitor must leave alone ---- */

static void a_sweep_takes_nothing_that_is_being_made(House *house) {
        static const char *const kinds[] = { GARDEN_EXTENSIONS, NULL };
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
                Stranger stranger = { .sweeps = house->store };
                stranger_open(&stranger, house, kinds[i]);
                Pool *pool = pool_new(&(PoolSpec){ .store = house->store });
                g_autofree char *plan_id = g_strdup_printf("%zu", i);
                g_autoptr(PoolContainer) container = make(pool, plan_id);
                g_autofree char *handle = g_strdup(pool_container_handle(container));
                pool_container_free(g_steal_pointer(&container));
                g_autoptr(Container) row = OK(container_get(house->store, handle, &error));
                g_autoptr(GPtrArray)
                        rows = OK(volume_list_of_container(house->store, row->id, &error));
                g_assert_cmpuint(rows->len, ==, 3);
                for (guint v = 0; v < rows->len; v++)
                        g_assert_cmpint(((Volume *) rows->pdata[v])->state, ==, VOLUME_CREATED);
                pool_free(pool);
                stranger_close(&stranger);
        }
}

typedef struct {
        Store *store;
        size_t left; /* pieces */
} Upload;

static ssize_t next_piece(void *ret, size_t length, void *data, GError **error) {
        Upload *upload = data;
        sweep(upload->store);
        if (upload->left == 0)
                return 0;
        upload->left--;
        *(char *) ret = 'x';
        return 1;
}

static void a_sweep_leaves_an_upload_under_way_alone(House *house) {
        Stranger stranger = { .sweeps = house->store };
        Upload upload = { house->store, 3 };
        const PlacementNeed need = { .team_id = house->team_id };
        g_autofree char *worker = NULL, *handle = NULL;
        int64_t id;
        stranger_open(&stranger, house, NULL);
        Pool *pool = pool_new(&(PoolSpec){ .store = house->store });

        OK(pool_artifact_upload(pool, &need, next_piece, &upload, NULL, &id, &error));
        sweep(house->store);
        OK(worker_artifact_volume(house->store, id, house->team_id, &worker, &handle, &error));
        g_assert_cmpstr(worker, ==, "w");
        pool_free(pool);
        stranger_close(&stranger);
}

static ssize_t broken_piece(void *ret, size_t length, void *data, GError **error) {
        g_set_error(error, ERROR, ERROR_IO, "the client is gone");
        return -1;
}

static void an_upload_that_broke_off_is_swept(House *house) {
        Stranger stranger = { 0 };
        const PlacementNeed need = { .team_id = house->team_id };
        int64_t id, marked, deleted;
        stranger_open(&stranger, house, NULL);
        Pool *pool = pool_new(&(PoolSpec){ .store = house->store });

        FAILS(pool_artifact_upload(pool, &need, broken_piece, NULL, NULL, &id, &error), ERROR_IO);
        OK(volume_sweep(house->store, clock_now(), DURATION_MINUTE, &marked, &deleted, &error));
        g_assert_cmpint(marked, ==, 1);
        pool_free(pool);
        stranger_close(&stranger);
}

static void add(void) {
        house_add("/pool/container/swept", a_sweep_takes_nothing_that_is_being_made);
        house_add("/pool/upload/swept", a_sweep_leaves_an_upload_under_way_alone);
        house_add("/pool/upload/broken", an_upload_that_broke_off_is_swept);
        house_add("/pool/container/weir", a_weir_worker_makes_the_volumes_with_the_container);
        house_add("/pool/container/upstream", an_upstream_worker_is_asked_for_each_volume);
        house_add("/pool/container/full", a_full_worker_is_asked_until_it_has_a_place);
        house_add("/pool/container/full/alone", a_build_that_fills_a_worker_alone_fails);
        house_add("/pool/container/full/aborted", an_abort_ends_the_wait_for_a_place);
        house_add("/pool/container/replaced", an_upstream_worker_may_take_a_weir_workers_place);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
