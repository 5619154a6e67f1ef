#include "house.h"

#include "store/internal.h"

#define MINUTE ((Time) 60 * 1000000)

static const ContainerMetadata metadata = { .type = "task", .step_name = "t", .build_name = "1" };

static ContainerOwner step_of(int64_t build_id, const char *plan_id) {
        return (ContainerOwner){ .kind = CONTAINER_OWNER_BUILD_STEP,
                                 .build_id = build_id,
                                 .plan_id = plan_id };
}

static void a_worker_registers_and_keeps_alive(House *house) {
        house_worker(house, "w");
        g_autoptr(Worker) worker = OK(worker_find(house->store, "w", &error));
        g_assert_cmpint(worker->state, ==, WORKER_RUNNING);
        g_assert_cmpstr(worker_resource_type(worker, "git")->image, ==, "/g");
        g_assert_cmpuint(worker->tags->len, ==, 1);
        g_assert_cmpint(worker->start, ==, 5);
        g_autoptr(Worker) alive = OK(worker_heartbeat(
                house->store, "w", &(WorkerBeat){ 2 * DURATION_MINUTE, 3, 4, false }, &error));
        g_assert_cmpint(alive->active_containers, ==, 3);
        g_assert_cmpint(alive->expires, >, worker->expires);
        OK(store_flush(house->store, &error));
        g_autoptr(Worker) after = OK(worker_find(house->store, "w", &error));
        g_assert_cmpint(after->active_volumes, ==, 4);
        FAILS(worker_heartbeat(house->store, "x", &(WorkerBeat){ 0 }, &error), ERROR_NOT_FOUND);
}

static bool now_in(DbTx *tx, void *data, GError **error) {
        return db_now(tx, data, error);
}

static void a_silent_worker_stalls_and_comes_back(House *house) {
        g_autoptr(Value) payload = json("{'name':'w','addr':'a','platform':'linux'}");
        WorkerRegistration registration = { .payload = payload, .ttl = 1000 };
        OK(worker_register(house->store, &registration, NULL, &error));
        WorkerTick tick;
        do
                OK(worker_tick(house->store, 0, &tick, &error));
        while (tick.stalled == 0);
        g_autoptr(Worker) stalled = OK(worker_find(house->store, "w", &error));
        g_assert_cmpint(stalled->state, ==, WORKER_STALLED);
        g_autoptr(Worker) back = OK(worker_heartbeat(
                house->store, "w", &(WorkerBeat){ .ttl = DURATION_MINUTE }, &error));
        g_assert_cmpint(back->state, ==, WORKER_RUNNING);
        FAILS(worker_prune(house->store, "w", &error), ERROR_DENIED);
}

static void wait_past(House *house, Time then) {
        Time now;
        do
                OK(db_read(store_db(house->store), now_in, &now, &error));
        while (now <= then);
}

static void a_worker_that_nobody_could_hear_is_not_silent(House *house) {
        g_autoptr(Value) payload = json("{'name':'w','addr':'a','platform':'linux'}");
        WorkerRegistration registration = { .payload = payload, .ttl = 1000 };
        g_autoptr(Worker) worker = NULL;
        OK(worker_register(house->store, &registration, &worker, &error));
        wait_past(house, worker->expires);
        house_open(house); /* the web node was away */
        OK(worker_listen_again(house->store, DURATION_MINUTE, &error));
        WorkerTick tick;
        OK(worker_tick(house->store, 0, &tick, &error));
        g_assert_cmpint(tick.stalled, ==, 0);
        g_autoptr(Worker) after = OK(worker_find(house->store, "w", &error));
        g_assert_cmpint(after->state, ==, WORKER_RUNNING);
        g_assert_cmpint(after->expires, >, worker->expires);
}

static void a_worker_that_another_node_would_have_heard_is_silent(House *house) {
        g_autoptr(Value) payload = json("{'name':'w','addr':'a','platform':'linux'}");
        WorkerRegistration registration = { .payload = payload, .ttl = 1000 };
        g_autoptr(Worker) worker = NULL;
        uint64_t buckets;
        if (house->fixture->kind == DB_SQLITE)
                return; /* one node */
        OK(worker_register(house->store, &registration, &worker, &error));
        OK(lease_bucket_renew(house->store, LEASE_CHECKS, "other", DURATION_MINUTE, &buckets,
                              &error));
        wait_past(house, worker->expires);
        OK(worker_listen_again(house->store, DURATION_MINUTE, &error));
        WorkerTick tick;
        OK(worker_tick(house->store, 0, &tick, &error));
        g_assert_cmpint(tick.stalled, ==, 1);
}

static void a_leaving_worker_waits_for_its_builds(House *house) {
        house_save(house, two_jobs);
        house_worker(house, "w");
        BuildLease lease;
        int64_t build = started_build(house, "unit", &lease);
        ContainerOwner owner = step_of(build, "1");
        g_autoptr(Container) container = OK(
                container_create(house->store, "w", &owner, &metadata, lease.epoch, &error));
        OK(worker_land(house->store, "w", &error));
        WorkerTick tick;
        OK(worker_tick(house->store, 0, &tick, &error));
        g_assert_cmpint(tick.landed, ==, 0);
        finish(house, &lease, BUILD_SUCCEEDED);
        OK(worker_tick(house->store, 0, &tick, &error));
        g_assert_cmpint(tick.landed, ==, 1);
        g_autoptr(Worker) landed = OK(worker_find(house->store, "w", &error));
        g_assert_null(landed->address);
        OK(worker_retire(house->store, "w", &error));
        OK(worker_tick(house->store, 0, &tick, &error));
        g_assert_cmpint(tick.deleted, ==, 1);
        FAILS(container_get(house->store, container->handle, &error), ERROR_NOT_FOUND);
        FAILS(worker_delete(house->store, "w", &error), ERROR_NOT_FOUND);
}

static void a_name_belongs_to_who_took_it(House *house) {
        house_worker(house, "w");
        g_autoptr(Value) payload = json("{'name':'w','addr':'a'}");
        WorkerRegistration registration = { .payload = payload, .team_id = house->team_id };
        FAILS(worker_register(house->store, &registration, NULL, &error), ERROR_DENIED);
}

static void tasks_take_places_up_to_the_limit(House *house) {
        house_worker(house, "w");
        bool taken;
        OK(worker_take_task(house->store, "w", 1, &taken, &error));
        g_assert_true(taken);
        OK(worker_take_task(house->store, "w", 1, &taken, &error));
        g_assert_false(taken);
        OK(worker_give_task(house->store, "w", &error));
        OK(worker_take_task(house->store, "w", 1, &taken, &error));
        g_assert_true(taken);
        g_autoptr(GPtrArray) loads = OK(worker_load_list(house->store, &error));
        g_assert_cmpuint(loads->len, ==, 1);
}

static void a_step_has_one_container_however_often_it_asks(House *house) {
        house_save(house, two_jobs);
        house_worker(house, "w");
        house_worker(house, "v");
        BuildLease lease;
        int64_t build = started_build(house, "unit", &lease);
        ContainerOwner owner = step_of(build, "1");
        g_assert_null(OK(container_find_owned(house->store, &owner, &error)));
        g_autoptr(Container) one = OK(
                container_create(house->store, "w", &owner, &metadata, lease.epoch, &error));
        g_autoptr(Container) two = OK(
                container_create(house->store, "v", &owner, &metadata, lease.epoch, &error));
        g_assert_cmpstr(one->handle, ==, two->handle);
        g_assert_cmpstr(two->worker, ==, "w");
        OK(container_set_created(house->store, one->id, &error));
        OK(container_set_created(house->store, one->id, &error));
        FAILS(container_set_failed(house->store, one->id, &error), ERROR_NOT_FOUND);
        g_autoptr(Container) found = OK(container_find_owned(house->store, &owner, &error));
        g_assert_cmpint(found->state, ==, CONTAINER_CREATED);
        g_assert_cmpstr(found->step_name, ==, "t");
        FAILS(container_create(house->store, "w", &owner, &metadata, lease.epoch + 1, &error),
              ERROR_STALE);
        ContainerQuery query = { .type = "task" };
        g_autoptr(GPtrArray) listed = OK(container_list(house->store, &query, &error));
        g_assert_cmpuint(listed->len, ==, 1);
}

static Container *container_of(House *house, const BuildLease *lease, int64_t build,
                               const char *plan_id, bool created) {
        const ContainerOwner owner = step_of(build, plan_id);
        const ContainerMetadata of_build = { .type = "task", .build_id = build };
        Container *container = OK(
                container_create(house->store, "w", &owner, &of_build, lease->epoch, &error));
        if (created)
                OK(container_set_created(house->store, container->id, &error));
        return container;
}

static bool hopes(House *house, int64_t build) {
        bool hope;
        OK(container_may_go_on(house->store, "w", build, &hope, &error));
        return hope;
}

static void of_builds_that_wait_for_each_other_the_youngest_has_no_hope(House *house) {
        BuildLease old_lease, young_lease;
        house_save(house, two_jobs);
        house_worker(house, "w");
        int64_t older = started_build(house, "unit", &old_lease);
        int64_t younger = started_build(house, "unit", &young_lease);
        g_assert_false(hopes(house, older)); /* nobody has a place to give up */

        container_free(container_of(house, &old_lease, older, "1", true));
        container_free(container_of(house, &young_lease, younger, "1", false));
        g_assert_true(hopes(house, younger)); /* the older one goes on */
        container_free(container_of(house, &old_lease, older, "2", false));
        g_assert_false(hopes(house, younger));
        g_assert_true(hopes(house, older));
}

static void on_a_full_worker_what_is_kept_of_builds_that_are_over_goes(House *house) {
        BuildLease over_lease, running_lease;
        house_save(house, two_jobs);
        house_worker(house, "w");
        int64_t over = started_build(house, "unit", &over_lease);
        int64_t running = started_build(house, "unit", &running_lease);
        g_autoptr(Container) kept = container_of(house, &over_lease, over, "1", true);
        g_autoptr(Container) looked_into = container_of(house, &over_lease, over, "2", true);
        container_free(container_of(house, &running_lease, running, "1", true));
        OK(container_touch_hijack(house->store, looked_into->id, 5000, &error));
        finish(house, &over_lease, BUILD_FAILED);

        OK(container_drop_kept(house->store, "w", 4000, &error));
        g_autoptr(GPtrArray) going = OK(container_list_destroying(house->store, "w", &error));
        g_assert_cmpuint(going->len, ==, 1);
        g_assert_cmpstr(going->pdata[0], ==, kept->handle);
}

static void checks_reuse_a_session_until_it_expires(House *house) {
        house_save(house, two_jobs);
        scope_of(house, "repo");
        g_autoptr(Resource) repo = OK(resource_find(house->store, RESOURCE_KIND_RESOURCE,
                                                    house->pipeline_id, "repo", &error));
        ContainerOwner owner = { .kind = CONTAINER_OWNER_CHECK_SESSION,
                                 .resource_config_id = repo->config_id,
                                 .base_type = "git",
                                 .session_period = DURATION_MINUTE };
        g_autoptr(Container)
                one = OK(container_create(house->store, "w", &owner, &metadata, 0, &error));
        g_autoptr(Container)
                two = OK(container_create(house->store, "w", &owner, &metadata, 0, &error));
        g_assert_cmpint(one->id, ==, two->id);
        OK(container_set_created(house->store, one->id, &error));
        ContainerQuery query = { .team_id = house->team_id, .checks = true };
        g_autoptr(GPtrArray) listed = OK(container_list(house->store, &query, &error));
        g_assert_cmpuint(listed->len, ==, 1);
        g_autofree char *base = OK(
                resource_config_base_type(house->store, repo->config_id, &error));
        g_assert_cmpstr(base, ==, "git");

        int64_t marked, deleted;
        ContainerSweep sweep = { .now = clock_now() };
        OK(container_sweep(house->store, &sweep, &marked, &deleted, &error));
        g_assert_cmpint(marked, ==, 0);
        OK(container_expire_sessions(house->store, repo->config_id, &error));
        OK(container_sweep(house->store, &sweep, &marked, &deleted, &error));
        g_assert_cmpint(marked, ==, 1);
        g_autoptr(GPtrArray) going = OK(container_list_destroying(house->store, "w", &error));
        g_assert_cmpstr(going->pdata[0], ==, one->handle);
}

static void a_report_finds_what_is_unknown_missing_and_gone(House *house) {
        house_worker(house, "w");
        ContainerOwner owner = { .kind = CONTAINER_OWNER_MEMORY_CHECK,
                                 .check_key = "k",
                                 .plan_id = "1" };
        g_autoptr(Container)
                mine = OK(container_create(house->store, "w", &owner, &metadata, 0, &error));
        OK(container_set_created(house->store, mine->id, &error));
        g_autoptr(GPtrArray) handles = g_ptr_array_new();
        g_ptr_array_add(handles, (char *) "stranger");
        OK(container_report(house->store, "w", handles, 1000, &error));
        g_autoptr(GPtrArray) going = OK(container_list_destroying(house->store, "w", &error));
        g_assert_cmpuint(going->len, ==, 1);
        g_assert_cmpstr(going->pdata[0], ==, "stranger");
        g_autoptr(Container) missing = OK(container_get(house->store, mine->handle, &error));
        g_assert_cmpint(missing->missing_since, ==, 1000);
        g_ptr_array_set_size(handles, 0);
        g_ptr_array_add(handles, mine->handle);
        OK(container_report(house->store, "w", handles, 2000, &error));
        g_autoptr(GPtrArray) none = OK(container_list_destroying(house->store, "w", &error));
        g_assert_cmpuint(none->len, ==, 0);
        OK(container_release_memory_check(house->store, "k", &error));
        g_autoptr(Container) released = OK(container_get(house->store, mine->handle, &error));
        g_assert_cmpint(released->state, ==, CONTAINER_DESTROYING);
        OK(container_report(house->store, "w", NULL, 3000, &error));
        g_ptr_array_set_size(handles, 0);
        OK(container_report(house->store, "w", handles, 3000, &error));
        FAILS(container_get(house->store, mine->handle, &error), ERROR_NOT_FOUND);
}

static Volume *container_volume(House *house, const char *worker, int64_t container_id,
                                const char *path) {
        VolumeSpec spec = { .worker = worker,
                            .owner = { .container_id = container_id, .path = path } };
        Volume *volume = OK(volume_find_or_create(house->store, &spec, NULL, &error));
        OK(volume_set_created(house->store, volume->id, &error));
        return volume;
}

static void volumes_are_created_with_their_container(House *house) {
        house_worker(house, "w");
        ContainerOwner owner = { .kind = CONTAINER_OWNER_MEMORY_CHECK,
                                 .check_key = "k",
                                 .plan_id = "1" };
        g_autoptr(Container)
                container = OK(container_create(house->store, "w", &owner, &metadata, 0, &error));
        VolumeSpec spec = { .worker = "w",
                            .owner = { .container_id = container->id, .path = "/a" } };
        g_autoptr(Volume) kept = OK(volume_create(house->store, &spec, &error));
        spec.owner.path = "/b";
        g_autoptr(Volume) failed = OK(volume_create(house->store, &spec, &error));
        OK(volume_set_failed(house->store, failed->id, &error));
        OK(container_set_created(house->store, container->id, &error));
        g_autoptr(Volume) created = OK(volume_get(house->store, kept->handle, &error));
        g_assert_cmpint(created->state, ==, VOLUME_CREATED);
        g_autoptr(Volume) other = OK(volume_get(house->store, failed->handle, &error));
        g_assert_cmpint(other->state, ==, VOLUME_FAILED);
}

static void half_made_volumes_go_once_nothing_wants_them(House *house) {
        house_worker(house, "w");
        VolumeSpec spec = { .worker = "w", .team_id = house->team_id };
        g_autoptr(Volume) volume = OK(volume_create(house->store, &spec, &error));
        int64_t marked, deleted;
        OK(volume_sweep(house->store, clock_now(), 0, &marked, &deleted, &error));
        g_assert_cmpint(marked, ==, 1);
        g_autoptr(Volume) swept = OK(volume_get(house->store, volume->handle, &error));
        g_assert_cmpint(swept->state, ==, VOLUME_DESTROYING);
}

/* The container's row goes while the worker makes its volume: that volume is destroyed all the same. */
static void a_volume_made_after_its_row_went_is_destroyed(House *house) {
        house_worker(house, "w");
        VolumeSpec spec = { .worker = "w", .team_id = house->team_id };
        g_autoptr(Volume) volume = OK(volume_create(house->store, &spec, &error));
        g_autoptr(GPtrArray) handles = g_ptr_array_new();
        int64_t marked, deleted;
        OK(volume_sweep(house->store, clock_now(), 0, &marked, &deleted, &error));
        OK(volume_report(house->store, "w", handles, clock_now(), &error)); /* not made yet */
        FAILS(volume_get(house->store, volume->handle, &error), ERROR_NOT_FOUND);

        g_ptr_array_add(handles, volume->handle); /* now it is */
        OK(volume_report(house->store, "w", handles, clock_now(), &error));
        g_autoptr(GPtrArray) unwanted = OK(volume_list_destroying(house->store, "w", &error));
        g_assert_cmpuint(unwanted->len, ==, 1);
        g_assert_cmpstr(unwanted->pdata[0], ==, volume->handle);
        g_ptr_array_set_size(handles, 0);
        OK(volume_report(house->store, "w", handles, clock_now(), &error));
        FAILS(volume_get(house->store, volume->handle, &error), ERROR_NOT_FOUND);
}

static void volumes_belong_to_what_they_are_for(House *house) {
        house_worker(house, "w");
        VolumeSpec base = { .worker = "w", .owner = { .base_resource_type = "git" } };
        bool is_new;
        g_autoptr(Volume) image = OK(volume_find_or_create(house->store, &base, &is_new, &error));
        g_assert_true(is_new);
        g_assert_cmpstr(volume_type(image), ==, "resource-type");
        g_autoptr(Volume) same = OK(volume_find_or_create(house->store, &base, &is_new, &error));
        g_assert_false(is_new);
        g_assert_cmpstr(same->handle, ==, image->handle);

        ContainerOwner owner = { .kind = CONTAINER_OWNER_MEMORY_CHECK,
                                 .check_key = "k",
                                 .plan_id = "1" };
        g_autoptr(Container)
                container = OK(container_create(house->store, "w", &owner, &metadata, 0, &error));
        VolumeSpec child = { .worker = "w",
                             .owner = { .container_id = container->id, .path = "/a" },
                             .parent_id = image->id };
        FAILS(volume_create(house->store, &child, &error), ERROR_NOT_FOUND);
        OK(volume_set_created(house->store, image->id, &error));
        g_autoptr(Volume) copy = OK(volume_create(house->store, &child, &error));
        g_assert_cmpstr(copy->parent_handle, ==, image->handle);
        FAILS(volume_set_destroying(house->store, image->id, &error), ERROR_BUSY);
        OK(volume_set_failed(house->store, copy->id, &error));
        g_autoptr(GPtrArray)
                listed = OK(volume_list_of_container(house->store, container->id, &error));
        g_assert_cmpuint(listed->len, ==, 1);
        int64_t marked, deleted;
        OK(volume_sweep(house->store, clock_now(), 0, &marked, &deleted, &error));
        g_assert_cmpint(deleted, ==, 1);
        g_autoptr(GPtrArray) created = OK(volume_list(house->store, house->team_id, &error));
        g_assert_cmpuint(created->len, ==, 1);
}

static void the_first_copy_of_a_resource_cache_wins(House *house) {
        house_save(house, two_jobs);
        house_worker(house, "w");
        house_worker(house, "v");
        BuildLease lease;
        int64_t build = started_build(house, "unit", &lease), config;
        g_autoptr(Value) source = json("{'uri':'a'}"), version = json("{'ref':'a'}");
        ResourceConfigKey key = { .base_type = "git", .source = source };
        OK(resource_config_find_or_create(house->store, &key, &config, &error));
        ResourceCacheKey cache_key = { .resource_config_id = config, .version = version };
        ResourceCacheUser user = { .build_id = build };
        g_autoptr(ResourceCache)
                cache = OK(resource_cache_find_or_create(house->store, &cache_key, &user, &error));
        g_autoptr(ResourceCache)
                same = OK(resource_cache_find_or_create(house->store, &cache_key, &user, &error));
        g_assert_cmpint(cache->id, ==, same->id);

        ContainerOwner one = step_of(build, "1"), two = step_of(build, "2"),
                       three = step_of(build, "3");
        g_autoptr(Container) first = OK(
                container_create(house->store, "w", &one, &metadata, lease.epoch, &error));
        g_autoptr(Container) second = OK(
                container_create(house->store, "w", &two, &metadata, lease.epoch, &error));
        g_autoptr(Container) far = OK(
                container_create(house->store, "v", &three, &metadata, lease.epoch, &error));
        g_autoptr(Volume) a = container_volume(house, "w", first->id, "/get");
        g_autoptr(Volume) b = container_volume(house, "w", second->id, "/get");
        g_autoptr(Volume) c = container_volume(house, "v", far->id, "/get");
        g_autoptr(Volume) winner = NULL, loser = NULL, streamed = NULL;
        OK(volume_become_cache(house->store, a->id, cache->id, NULL, &winner, &error));
        g_assert_cmpstr(winner->handle, ==, a->handle);
        g_assert_cmpstr(volume_type(winner), ==, "resource");
        OK(volume_become_cache(house->store, b->id, cache->id, NULL, &loser, &error));
        g_assert_cmpstr(loser->handle, ==, a->handle);
        OK(volume_become_cache(house->store, c->id, cache->id, "w", &streamed, &error));
        g_assert_cmpint(streamed->resource_cache_id, ==, cache->id);
        g_autoptr(GPtrArray)
                workers = OK(volume_list_cache_workers(house->store, cache->id, 0, &error));
        g_assert_cmpuint(workers->len, ==, 2);

        /* Another image of the type on w: copies made from it count only for older builds. */
        g_autoptr(Value) payload = json("{'name':'w','addr':'a','platform':'linux',"
                                        "'resource_types':[{'type':'git','image':'/other'}]}");
        WorkerRegistration registration = { .payload = payload };
        OK(worker_register(house->store, &registration, NULL, &error));
        g_assert_null(OK(volume_find_cache(house->store, cache->id, "w", 0, &error)));
        g_assert_null(OK(volume_find_cache(house->store, cache->id, "v", 0, &error)));
        g_autoptr(Volume) old = OK(volume_find_cache(house->store, cache->id, "w", 1, &error));
        g_assert_cmpstr(old->handle, ==, a->handle);

        int64_t deleted;
        OK(resource_cache_sweep(house->store, clock_now(), &deleted, &error));
        g_assert_cmpint(deleted, ==, 0);
        OK(resource_cache_clear(house->store, config, version, &deleted, &error));
        g_assert_cmpint(deleted, ==, 2);
        finish(house, &lease, BUILD_SUCCEEDED);
        int64_t marked;
        OK(build_mark_not_interceptible(house->store, 0, 0, &marked, &error));
        OK(resource_cache_sweep(house->store, clock_now(), &deleted, &error));
        g_assert_cmpint(deleted, ==, 1);
        ContainerSweep sweep = { .now = clock_now(), .creating_grace = DURATION_HOUR };
        OK(container_sweep(house->store, &sweep, &marked, &deleted, &error));
        g_assert_cmpint(marked, ==, 0); /* creating ones get their grace */
        OK(resource_config_delete_unused(house->store, clock_now() + MINUTE, &deleted, &error));
        g_assert_cmpint(deleted, ==, 1);
}

static bool count_images(DbTx *tx, void *data, GError **error) {
        return db_query_int(tx, 0, data, error, "SELECT count(*) FROM build_image_caches");
}

static int64_t images_left(House *house) {
        int64_t deleted, left;
        OK(resource_cache_sweep(house->store, clock_now(), &deleted, &error));
        OK(db_read(store_db(house->store), count_images, &left, &error));
        return left;
}

static void images_of_a_job_that_only_fails_do_not_gather(House *house) {
        house_save(house, two_jobs);
        house_worker(house, "w");
        int64_t config, unit = job_id(house, "unit");
        g_autoptr(Value) source = json("{'uri':'a'}"), version = json("{'ref':'a'}");
        ResourceConfigKey key = { .base_type = "git", .source = source };
        OK(resource_config_find_or_create(house->store, &key, &config, &error));
        ResourceCacheKey cache_key = { .resource_config_id = config, .version = version };
        for (int i = 0; i < 3; i++) {
                BuildLease lease;
                int64_t build = started_build(house, "unit", &lease);
                ResourceCacheUser user = { .build_id = build };
                g_autoptr(ResourceCache) cache = OK(
                        resource_cache_find_or_create(house->store, &cache_key, &user, &error));
                OK(resource_cache_use_as_image(house->store, cache->id, build, unit, &error));
                g_assert_cmpint(images_left(house), ==, 1);
                finish(house, &lease, BUILD_FAILED);
        }
        g_assert_cmpint(images_left(house), ==, 1);
}

static void downloads_are_kept_for_their_config_and_go_with_it(House *house) {
        house_worker(house, "w");
        house_worker(house, "v");
        g_autoptr(Value) source = value_map();
        const ResourceConfigKey key = { .base_type = "git", .source = source };
        int64_t config, marked, deleted;
        bool is_new;
        OK(resource_config_find_or_create(house->store, &key, &config, &error));
        VolumeSpec spec = { .worker = "w", .owner = { .downloads_config_id = config } };
        g_autoptr(Volume) first = OK(volume_find_or_create(house->store, &spec, &is_new, &error));
        g_assert_true(is_new);
        g_assert_cmpstr(volume_type(first), ==, "resource-downloads");
        g_autoptr(Volume) same = OK(volume_find_or_create(house->store, &spec, &is_new, &error));
        g_assert_false(is_new);
        spec.worker = "v";
        g_autoptr(Volume) other = OK(volume_find_or_create(house->store, &spec, &is_new, &error));
        g_assert_true(is_new);
        OK(volume_sweep(house->store, clock_now(), 0, &marked, &deleted, &error));
        g_assert_cmpint(marked, ==, 0);

        OK(store_exec(house->store, SQL("DELETE FROM resource_configs"), NULL, &error));
        OK(volume_sweep(house->store, clock_now(), 0, &marked, &deleted, &error));
        g_assert_cmpint(marked, ==, 2);
}

static void a_task_cache_is_replaced_and_cleared(House *house) {
        house_save(house, two_jobs);
        house_worker(house, "w");
        int64_t job = job_id(house, "deploy"), cache, same, deleted;
        FAILS(task_cache_find(house->store, job, "t", "/c", &cache, &error), ERROR_NOT_FOUND);
        OK(task_cache_find_or_create(house->store, job, "t", "/c", &cache, &error));
        OK(task_cache_find(house->store, job, "t", "/c", &same, &error));
        g_assert_cmpint(cache, ==, same);
        OK(task_cache_touch(house->store, cache, DURATION_HOUR, &error));
        VolumeSpec spec = { .worker = "w" };
        g_autoptr(Volume) one = OK(volume_create(house->store, &spec, &error));
        g_autoptr(Volume) two = OK(volume_create(house->store, &spec, &error));
        OK(volume_become_task_cache(house->store, one->id, cache, &error));
        OK(volume_become_task_cache(house->store, two->id, cache, &error));
        g_autoptr(Volume) old = OK(volume_get(house->store, one->handle, &error));
        g_assert_cmpint(old->task_cache_id, ==, 0);
        OK(task_cache_sweep(house->store, clock_now(), &deleted, &error));
        g_assert_cmpint(deleted, ==, 0);
        OK(task_cache_clear(house->store, job, "t", NULL, &deleted, &error));
        g_assert_cmpint(deleted, ==, 1);
        OK(task_cache_find_or_create(house->store, job, "gone", "/c", &cache, &error));
        house_save(house, two_jobs);
        FAILS(task_cache_find(house->store, job, "gone", "/c", &cache, &error), ERROR_NOT_FOUND);
}

static void the_cache_of_a_step_whose_name_has_vars_survives_a_new_config(House *house) {
        static const char *const config =
                "{\"jobs\":[{\"name\":\"test\",\"plan\":[{\"across\":[{\"var\":\"go\",\"values\":[\"1.19\"]}],"
                "\"task\":\"unit-((.:go))-x\",\"file\":\"a/b\"}]}]}";
        house_save(house, config);
        int64_t job = job_id(house, "test"), cache;
        OK(task_cache_find_or_create(house->store, job, "unit-1.19-x", "/c", &cache, &error));
        OK(task_cache_find_or_create(house->store, job, "unit-1.19", "/c", &cache, &error));
        house_save(house, config);
        OK(task_cache_find(house->store, job, "unit-1.19-x", "/c", &cache, &error));
        FAILS(task_cache_find(house->store, job, "unit-1.19", "/c", &cache, &error),
              ERROR_NOT_FOUND);
}

static void an_artifact_that_was_sent_in_is_found_by_its_team(House *house) {
        house_worker(house, "w");
        VolumeSpec spec = { .worker = "w", .team_id = house->team_id };
        g_autoptr(Volume) volume = OK(volume_create(house->store, &spec, &error));
        FAILS(worker_artifact_create(house->store, volume->handle, 0, NULL, &error),
              ERROR_NOT_FOUND);
        OK(volume_set_created(house->store, volume->id, &error));
        g_autoptr(WorkerArtifact) artifact = OK(
                worker_artifact_create(house->store, volume->handle, 0, NULL, &error));
        g_autofree char *worker = NULL, *handle = NULL;
        OK(worker_artifact_volume(house->store, artifact->id, house->team_id, &worker, &handle,
                                  &error));
        g_assert_cmpstr(handle, ==, volume->handle);
        FAILS(worker_artifact_volume(house->store, artifact->id, 999, &worker, &handle, &error),
              ERROR_NOT_FOUND);
        g_autoptr(GPtrArray) none = OK(worker_artifact_list(house->store, 1, &error));
        g_assert_cmpuint(none->len, ==, 0);
        int64_t deleted, marked;
        OK(worker_artifact_delete_older(house->store, clock_now() + 1, &deleted, &error));
        g_assert_cmpint(deleted, ==, 1);
        OK(volume_sweep(house->store, clock_now(), 0, &marked, &deleted, &error));
        g_assert_cmpint(marked, ==, 1);
        g_autoptr(GPtrArray) going = OK(volume_list_destroying(house->store, "w", &error));
        g_assert_cmpstr(going->pdata[0], ==, volume->handle);
        g_autoptr(GPtrArray) handles = g_ptr_array_new();
        OK(volume_report(house->store, "w", handles, 1, &error));
        FAILS(volume_get(house->store, volume->handle, &error), ERROR_NOT_FOUND);
}

static void add(void) {
        house_add("/store/workers/register", a_worker_registers_and_keeps_alive);
        house_add("/store/workers/stalled", a_silent_worker_stalls_and_comes_back);
        house_add("/store/workers/unheard", a_worker_that_nobody_could_hear_is_not_silent);
        house_add("/store/workers/overheard",
                  a_worker_that_another_node_would_have_heard_is_silent);
        house_add("/store/workers/leaving", a_leaving_worker_waits_for_its_builds);
        house_add("/store/workers/name", a_name_belongs_to_who_took_it);
        house_add("/store/workers/tasks", tasks_take_places_up_to_the_limit);
        house_add("/store/volumes/with-container", volumes_are_created_with_their_container);
        house_add("/store/volumes/half-made", half_made_volumes_go_once_nothing_wants_them);
        house_add("/store/volumes/late", a_volume_made_after_its_row_went_is_destroyed);
        house_add("/store/workers/step", a_step_has_one_container_however_often_it_asks);
        house_add("/store/workers/full/hope",
                  of_builds_that_wait_for_each_other_the_youngest_has_no_hope);
        house_add("/store/workers/full/kept",
                  on_a_full_worker_what_is_kept_of_builds_that_are_over_goes);
        house_add("/store/workers/session", checks_reuse_a_session_until_it_expires);
        house_add("/store/workers/report", a_report_finds_what_is_unknown_missing_and_gone);
        house_add("/store/workers/volumes", volumes_belong_to_what_they_are_for);
        house_add("/store/workers/cache", the_first_copy_of_a_resource_cache_wins);
        house_add("/store/workers/images", images_of_a_job_that_only_fails_do_not_gather);
        house_add("/store/workers/downloads", downloads_are_kept_for_their_config_and_go_with_it);
        house_add("/store/workers/task-cache", a_task_cache_is_replaced_and_cleared);
        house_add("/store/workers/task-cache/vars",
                  the_cache_of_a_step_whose_name_has_vars_survives_a_new_config);
        house_add("/store/workers/artifact", an_artifact_that_was_sent_in_is_found_by_its_team);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
