/* How a container comes about, against a worker that only records what it is asked: a Weir worker or an upstream one. */
#include "stranger.h"

static void a_weir_worker_makes_the_volumes_with_the_container(House *house) {
        Stranger stranger = { .extensions = GARDEN_EXTENSIONS };
        Pool *pool = stranger_open(&stranger, house);
        /* The first brings the base type's files here, and what the worker can do. */
        pool_container_free(stranger_container(pool, "1"));
        stranger_forget(&stranger);

        g_autoptr(PoolContainer) container = stranger_container(pool, "2");
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
        stranger_close(&stranger);
}

static void an_upstream_worker_is_asked_for_each_volume(House *house) {
        Stranger stranger = { 0 };
        Pool *pool = stranger_open(&stranger, house);
        pool_container_free(stranger_container(pool, "1"));
        stranger_forget(&stranger);

        g_autoptr(PoolContainer) container = stranger_container(pool, "2");
        g_assert_cmpstr(stranger.calls->str, ==,
                        "POST /volumes\nPOST /volumes\nPOST /volumes\nPOST /containers\n");
        g_assert_null(value_get(stranger.container, "weir_volumes"));
        g_assert_true(
                g_str_has_prefix(value_get_string(stranger.container, "rootfs", ""), "raw:///v/"));
        pool_container_free(g_steal_pointer(&container));
        stranger_close(&stranger);
}

static void an_upstream_worker_may_take_a_weir_workers_place(House *house) {
        Stranger stranger = { .extensions = GARDEN_EXTENSIONS };
        Pool *pool = stranger_open(&stranger, house);
        pool_container_free(stranger_container(pool, "1"));
        stranger_forget(&stranger);
        {
                MUTEX_SCOPE(&stranger.lock);
                stranger.extensions = NULL;
        }

        pool_container_free(stranger_container(pool, "2"));
        g_assert_cmpstr(stranger.calls->str, ==,
                        "POST /containers\n" /* refused: then as ever */
                        "POST /volumes\nPOST /volumes\nPOST /volumes\nPOST /containers\n");
        stranger_close(&stranger);
}

/* ---- found again ---- */

static void what_the_worker_has_is_found_again(House *house) {
        Stranger stranger = { .extensions = GARDEN_EXTENSIONS };
        Pool *pool = stranger_open(&stranger, house);
        g_autoptr(PoolContainer) made = stranger_container(pool, "1");
        g_autofree char *handle = g_strdup(pool_container_handle(made));
        g_assert_true(pool_container_created(made));
        pool_container_free(g_steal_pointer(&made));
        stranger_forget(&stranger);

        g_autoptr(PoolContainer) found = stranger_container(pool, "1");
        g_assert_false(pool_container_created(found));
        g_assert_cmpstr(pool_container_handle(found), ==, handle);
        g_assert_cmpstr(stranger.calls->str, ==, "GET /containers\n");
        g_autoptr(Artifact) artifact = pool_container_artifact(found, "/tmp/build/get");
        g_assert_nonnull(artifact);
        pool_container_free(g_steal_pointer(&found));
        stranger_close(&stranger);
}

static void what_the_worker_lost_is_made_anew(House *house) {
        Stranger stranger = { .extensions = GARDEN_EXTENSIONS };
        Pool *pool = stranger_open(&stranger, house);
        g_autoptr(PoolContainer) made = stranger_container(pool, "1");
        g_autofree char *handle = g_strdup(pool_container_handle(made));
        pool_container_free(g_steal_pointer(&made));
        stranger_lose_container(&stranger);

        g_autoptr(PoolContainer) again = stranger_container(pool, "1");
        g_assert_true(pool_container_created(again));
        g_assert_cmpstr(pool_container_handle(again), !=, handle);
        g_autoptr(Container) row = OK(container_get(house->store, handle, &error));
        g_assert_cmpint(row->state, ==, CONTAINER_DESTROYING);
        pool_container_free(g_steal_pointer(&again));
        stranger_close(&stranger);
}

static void what_was_left_half_made_is_made_under_its_name(House *house) {
        Stranger stranger = { .extensions = GARDEN_EXTENSIONS };
        const ContainerOwner owner = { .kind = CONTAINER_OWNER_MEMORY_CHECK,
                                       .check_key = "k",
                                       .plan_id = "1" };
        Pool *pool = stranger_open(&stranger, house);
        g_autoptr(Container) row = OK(container_create(
                house->store, "w", &owner, &(ContainerMetadata){ .type = "get" }, 0, &error));

        g_autoptr(PoolContainer) container = stranger_container(pool, "1");
        g_assert_true(pool_container_created(container));
        g_assert_cmpstr(pool_container_handle(container), ==, row->handle);
        pool_container_free(g_steal_pointer(&container));
        stranger_close(&stranger);
}

static void by_its_handle_it_is_found_where_it_still_is(House *house) {
        Stranger stranger = { .extensions = GARDEN_EXTENSIONS };
        Pool *pool = stranger_open(&stranger, house);
        g_autoptr(PoolContainer) made = stranger_container(pool, "1");
        g_autofree char *handle = g_strdup(pool_container_handle(made));
        pool_container_free(g_steal_pointer(&made));

        pool_container_free(OK(pool_container_find(pool, handle, NULL, &error)));
        FAILS(pool_container_find(pool, "unknown", NULL, &error), ERROR_NOT_FOUND);
        stranger_lose_container(&stranger);
        FAILS(pool_container_find(pool, handle, NULL, &error), ERROR_NOT_FOUND);
        stranger_close(&stranger);
}

/* ---- what the janitor must leave alone ---- */

static void a_sweep_takes_nothing_that_is_being_made(House *house) {
        static const char *const kinds[] = { GARDEN_EXTENSIONS, NULL };
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
                Stranger stranger = { .extensions = kinds[i], .sweeps = house->store };
                Pool *pool = stranger_open(&stranger, house);
                g_autofree char *plan_id = g_strdup_printf("%zu", i);
                g_autoptr(PoolContainer) container = stranger_container(pool, plan_id);
                g_autofree char *handle = g_strdup(pool_container_handle(container));
                pool_container_free(g_steal_pointer(&container));
                g_autoptr(Container) row = OK(container_get(house->store, handle, &error));
                g_autoptr(GPtrArray)
                        rows = OK(volume_list_of_container(house->store, row->id, &error));
                g_assert_cmpuint(rows->len, ==, 3);
                for (guint v = 0; v < rows->len; v++)
                        g_assert_cmpint(((Volume *) rows->pdata[v])->state, ==, VOLUME_CREATED);
                stranger_close(&stranger);
        }
}

typedef struct {
        Store *store;
        size_t left; /* pieces */
} Upload;

static ssize_t next_piece(void *ret, size_t length, void *data, GError **error) {
        Upload *upload = data;
        stranger_sweep(upload->store);
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
        Pool *pool = stranger_open(&stranger, house);

        OK(pool_artifact_upload(pool, &need, next_piece, &upload, NULL, &id, &error));
        stranger_sweep(house->store);
        OK(worker_artifact_volume(house->store, id, house->team_id, &worker, &handle, &error));
        g_assert_cmpstr(worker, ==, "w");
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
        Pool *pool = stranger_open(&stranger, house);

        FAILS(pool_artifact_upload(pool, &need, broken_piece, NULL, NULL, &id, &error), ERROR_IO);
        OK(volume_sweep(house->store, clock_now(), DURATION_MINUTE, &marked, &deleted, &error));
        g_assert_cmpint(marked, ==, 1);
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
                Stranger stranger = { .extensions = GARDEN_EXTENSIONS,
                                      .full = refusals[i].text,
                                      .refusals = 3 };
                g_autoptr(GString) said = g_string_new(NULL);
                const PoolWatch watch = { .full = note_full, .data = said };
                g_autofree char *plan_id = g_strdup_printf("full %zu", i);
                const ContainerNeed need = stranger_need(plan_id);
                Pool *pool = stranger_open(&stranger, house);

                if (refusals[i].reason) {
                        g_autofree char *once = g_strdup_printf("w: %s\n", refusals[i].reason);
                        pool_container_free(OK(pool_container(pool, &need, &watch, NULL, &error)));
                        g_assert_cmpuint(stranger.refusals, ==, 0);
                        g_assert_cmpstr(said->str, ==, once);
                } else {
                        FAILS(pool_container(pool, &need, &watch, NULL, &error), ERROR_PROTOCOL);
                        g_assert_cmpstr(said->str, ==, "");
                }
                stranger_close(&stranger);
        }
}

/* Its steps' containers stay until it ends: the wait would be for itself. */
static void a_build_that_fills_a_worker_alone_fails(House *house) {
        Stranger stranger = { .extensions = GARDEN_EXTENSIONS,
                              .full = refusals[0].text,
                              .refusals = 1000 };
        ContainerNeed need = stranger_need("own");
        Pool *pool = stranger_open(&stranger, house);
        need.metadata.build_id = 7;

        FAILS_SAYING(pool_container(pool, &need, NULL, NULL, &error),
                     "find or create container on worker w: new container: checking container "
                     "capacity: max containers reached");
        stranger.refusals = 0;
        pool_container_free(stranger_container(pool, "another's"));
        stranger.refusals = 10;
        need.owner.plan_id = "again";
        pool_container_free(OK(pool_container(pool, &need, NULL, NULL, &error)));
        stranger_close(&stranger);
}

#define EXISTS "new container: container \"h\": already exists"

static ContainerNeed step_of(const BuildLease *lease) {
        ContainerNeed need = stranger_need("1");
        need.owner = (ContainerOwner){ .kind = CONTAINER_OWNER_BUILD_STEP,
                                       .build_id = lease->build_id,
                                       .plan_id = "1" };
        need.epoch = lease->epoch;
        return need;
}

static void one_that_an_earlier_try_made_is_made_anew(House *house) {
        Stranger stranger = { .extensions = GARDEN_EXTENSIONS, .full = EXISTS, .refusals = 1 };
        BuildLease lease;
        Pool *pool = stranger_open(&stranger, house);
        house_save(house, two_jobs);
        started_build(house, "unit", &lease);
        const ContainerNeed need = step_of(&lease);

        pool_container_free(OK(pool_container(pool, &need, NULL, NULL, &error)));
        g_assert_nonnull(strstr(stranger.calls->str, "DELETE /containers/"));
        stranger_close(&stranger);
}

/* A node that was frozen while it made it: the other's process may run in it. */
static void one_that_another_node_made_is_left_alone(House *house) {
        Stranger stranger = { .extensions = GARDEN_EXTENSIONS,
                              .full = EXISTS,
                              .refusals = 1,
                              .taking = house->store };
        BuildLease lease;
        Pool *pool = stranger_open(&stranger, house);
        house_save(house, two_jobs);
        stranger.build_id = started_build(house, "unit", &lease);
        const ContainerNeed need = step_of(&lease);

        FAILS(pool_container(pool, &need, NULL, NULL, &error), ERROR_STALE);
        g_assert_null(strstr(stranger.calls->str, "DELETE"));
        g_autoptr(Container) row = OK(container_find_owned(house->store, &need.owner, &error));
        g_assert_cmpint(row->state, ==, CONTAINER_CREATING);
        stranger_close(&stranger);
}

static void an_abort_ends_the_wait_for_a_place(House *house) {
        g_autoptr(Cancel) cancel = cancel_new(NULL);
        Stranger stranger = { .full = refusals[0].text, .refusals = 1000, .abort = cancel };
        const ContainerNeed need = stranger_need("aborted");
        Pool *pool = stranger_open(&stranger, house);

        FAILS(pool_container(pool, &need, NULL, cancel, &error), ERROR_CANCELLED);
        stranger_close(&stranger);
}

static void add(void) {
        house_add("/pool/container/full", a_full_worker_is_asked_until_it_has_a_place);
        house_add("/pool/container/full/alone", a_build_that_fills_a_worker_alone_fails);
        house_add("/pool/container/full/aborted", an_abort_ends_the_wait_for_a_place);
        house_add("/pool/container/swept", a_sweep_takes_nothing_that_is_being_made);
        house_add("/pool/upload/swept", a_sweep_leaves_an_upload_under_way_alone);
        house_add("/pool/upload/broken", an_upload_that_broke_off_is_swept);
        house_add("/pool/container/weir", a_weir_worker_makes_the_volumes_with_the_container);
        house_add("/pool/container/upstream", an_upstream_worker_is_asked_for_each_volume);
        house_add("/pool/container/again", what_the_worker_has_is_found_again);
        house_add("/pool/container/lost", what_the_worker_lost_is_made_anew);
        house_add("/pool/container/half", what_was_left_half_made_is_made_under_its_name);
        house_add("/pool/container/by-handle", by_its_handle_it_is_found_where_it_still_is);
        house_add("/pool/container/exists", one_that_an_earlier_try_made_is_made_anew);
        house_add("/pool/container/taken-over", one_that_another_node_made_is_left_alone);
        house_add("/pool/container/replaced", an_upstream_worker_may_take_a_weir_workers_place);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
