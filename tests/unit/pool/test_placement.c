#include "../store/house.h"

#include "base/thread.h"
#include "pool/placement.h"

/* ---- what fits ---- */

/* A worker as the tables write it; lists are separated by blanks. */
typedef struct {
        WorkerState state;
        const char *version;
        int64_t team_id;
        const char *types, *platform, *tags;
} Offer;

static GPtrArray *words(const char *text) {
        g_auto(GStrv) list = g_strsplit(text, " ", -1);
        GPtrArray *words = g_ptr_array_new_with_free_func(g_free);

        for (size_t i = 0; *text && list[i]; i++)
                g_ptr_array_add(words, g_strdup(list[i]));
        return words;
}

static void free_type(void *data) {
        WorkerResourceType *type = data;

        g_free(type->type);
        g_free(type);
}

static Worker *worker_of(const Offer *offer) {
        g_autoptr(GPtrArray) types = words(offer->types);
        Worker *worker = g_new0(Worker, 1);

        worker->state = offer->state;
        worker->version = g_strdup(offer->version);
        worker->team_id = offer->team_id;
        worker->platform = g_strdup(offer->platform);
        worker->tags = words(offer->tags);
        worker->resource_types = g_ptr_array_new_with_free_func(free_type);
        for (size_t i = 0; i < types->len; i++) {
                WorkerResourceType *type = g_new0(WorkerResourceType, 1);
                type->type = g_strdup(g_ptr_array_index(types, i));
                g_ptr_array_add(worker->resource_types, type);
        }
        return worker;
}

static void a_worker_fits_what_it_offers(void) {
        static const struct {
                const char *name;
                Offer offer;
                int64_t team_id;
                const char *type, *platform, *tags;
                bool fits;
        } cases[] = {
                { "anything", { 0, "3.0", 0, "git", "linux", "" }, 1, NULL, NULL, "", true },
                { "type", { 0, "3.0", 0, "s3 git", "linux", "" }, 1, "git", NULL, "", true },
                { "no such type", { 0, "3.0", 0, "s3", "linux", "" }, 1, "git", NULL, "", false },
                { "no type", { 0, "3.0", 0, "", "linux", "" }, 1, "git", NULL, "", false },
                { "platform", { 0, "3.0", 0, "", "linux", "" }, 1, NULL, "linux", "", true },
                { "another", { 0, "3.0", 0, "", "darwin", "" }, 1, NULL, "linux", "", false },
                { "no platform", { 0, "3.0", 0, "", NULL, "" }, 1, NULL, "linux", "", false },
                { "own team", { 0, "3.0", 1, "", "linux", "" }, 1, NULL, NULL, "", true },
                { "other team", { 0, "3.0", 2, "", "linux", "" }, 1, NULL, NULL, "", false },
                { "tags unasked", { 0, "3.0", 0, "", "linux", "x" }, 1, NULL, NULL, "", false },
                { "tag", { 0, "3.0", 0, "", "linux", "x" }, 1, NULL, NULL, "x", true },
                { "one of tags", { 0, "3.0", 0, "", "linux", "x y" }, 1, NULL, NULL, "y", true },
                { "all tags", { 0, "3.0", 0, "", "linux", "x y" }, 1, NULL, NULL, "y x", true },
                { "too many", { 0, "3.0", 0, "", "linux", "x" }, 1, NULL, NULL, "x y", false },
                { "untagged", { 0, "3.0", 0, "", "linux", "" }, 1, NULL, NULL, "x", false },
                { "newer", { 0, "3.1", 0, "", "linux", "" }, 1, NULL, NULL, "", true },
                { "patch", { 0, "3.0.7", 0, "", "linux", "" }, 1, NULL, NULL, "", true },
                { "older", { 0, "2.9", 0, "", "linux", "" }, 1, NULL, NULL, "", false },
                { "next major", { 0, "4.0", 0, "", "linux", "" }, 1, NULL, NULL, "", false },
                { "thirty", { 0, "30.0", 0, "", "linux", "" }, 1, NULL, NULL, "", false },
                { "empty version", { 0, "", 0, "", "linux", "" }, 1, NULL, NULL, "", false },
                { "no version", { 0, NULL, 0, "", "linux", "" }, 1, NULL, NULL, "", false },
                { "bad version", { 0, "3.0-rc", 0, "", "linux", "" }, 1, NULL, NULL, "", false },
                { "sign", { 0, "+3.0", 0, "", "linux", "" }, 1, NULL, NULL, "", false },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Worker) worker = worker_of(&cases[i].offer);
                g_autoptr(GPtrArray) tags = words(cases[i].tags);
                g_ptr_array_add(tags, NULL);
                const PlacementNeed need = { .resource_type = cases[i].type,
                                             .platform = cases[i].platform,
                                             .tags = (char *const *) tags->pdata,
                                             .team_id = cases[i].team_id };
                g_test_message("%s", cases[i].name);
                g_assert_cmpint(placement_fits(worker, &need), ==, cases[i].fits);
        }
}

static void only_a_running_worker_fits(void) {
        for (int state = WORKER_RUNNING; state <= WORKER_RETIRING; state++) {
                g_autoptr(Worker) worker = worker_of(
                        &(Offer){ (WorkerState) state, "3.0", 0, "", "linux", "" });
                g_assert_cmpint(placement_fits(worker, &(PlacementNeed){ 0 }), ==,
                                state == WORKER_RUNNING);
        }
}

/* ---- candidates ---- */

static void add_worker(House *house, const char *name, int64_t team_id, const char *more) {
        g_autofree char *text = g_strdup_printf(
                "{'name':'%s','addr':'127.0.0.1:1','platform':'linux','version':'3.0',"
                "'resource_types':[{'type':'git','image':'/g','version':'1'}]%s}",
                name, more);
        g_autoptr(Value) payload = json(text);

        OK(worker_register(house->store,
                           &(WorkerRegistration){ .payload = payload, .team_id = team_id }, NULL,
                           &error));
}

static char *names_of(Pool *pool, const PlacementNeed *need) {
        g_autoptr(GPtrArray) workers = OK(placement_candidates(pool, need, &error));
        GString *text = g_string_new(NULL);

        for (size_t i = 0; i < workers->len; i++)
                g_string_append_printf(text, "%s%s", i ? " " : "",
                                       ((Worker *) g_ptr_array_index(workers, i))->name);
        return g_string_free(text, false);
}

static void what_no_worker_offers_is_said(House *house) {
        char *tags[] = { "x", "y", NULL };
        const struct {
                PlacementNeed need;
                const char *message;
        } cases[] = {
                { { .resource_type = "s3" },
                  "no workers satisfying: resource type 's3', version: '3.0'" },
                { { .platform = "plan9" },
                  "no workers satisfying: platform 'plan9', version: '3.0'" },
                { { .tags = tags }, "no workers satisfying: tag 'x', tag 'y', version: '3.0'" },
                { { .resource_type = "git", .platform = "linux", .tags = tags },
                  "no workers satisfying: resource type 'git', platform 'linux', tag 'x', tag 'y', "
                  "version: '3.0'" },
        };
        g_autoptr(Pool) pool = pool_new(&(PoolSpec){ .store = house->store });

        FAILS_SAYING(placement_candidates(pool, &cases[0].need, &error), "no workers");
        add_worker(house, "w", 0, "");
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                FAILS_SAYING(placement_candidates(pool, &cases[i].need, &error), cases[i].message);
        OK(worker_land(house->store, "w", &error));
        FAILS_SAYING(placement_candidates(pool, &(PlacementNeed){ 0 }, &error),
                     "no workers satisfying: version: '3.0'");
}

static void a_teams_workers_hide_everybodys(House *house) {
        g_autoptr(Pool) pool = pool_new(&(PoolSpec){ .store = house->store });
        const PlacementNeed own = { .team_id = house->team_id };
        const PlacementNeed other = { .team_id = house->team_id + 1 };
        const PlacementNeed git = { .team_id = house->team_id, .resource_type = "git" };

        add_worker(house, "all-1", 0, "");
        add_worker(house, "all-2", 0, "");
        add_worker(house, "own", house->team_id, ",'resource_types':null");
        g_autofree char *of_own = names_of(pool, &own), *of_other = names_of(pool, &other),
                        *of_git = names_of(pool, &git);
        g_assert_cmpstr(of_own, ==, "own");
        g_assert_cmpstr(of_other, ==, "all-1 all-2");
        g_assert_cmpstr(of_git, ==, "all-1 all-2"); /* its own cannot do it */
        OK(worker_retire(house->store, "own", &error));
        g_autofree char *without = names_of(pool, &own);
        g_assert_cmpstr(without, ==, "all-1 all-2");
}

/* ---- choosing ---- */

typedef struct {
        Pool *pool;
        ContainerNeed need;
        Cancel *cancel;
        Thread *thread;
        Mutex mutex;
        Condition changed;
        int told; /* under mutex: how often it said that it waits */
        bool no_room;
        char *worker;
        bool task;
        GError *error;
} Step;

static void step_waits(bool no_room, void *data) {
        Step *step = data;

        MUTEX_SCOPE(&step->mutex);
        step->told++;
        step->no_room = no_room;
        condition_broadcast(&step->changed);
}

static void step_run(void *data) {
        Step *step = data;
        const PoolWatch watch = { .waiting = step_waits, .data = step };
        const Placement placement = { .container = &step->need, .watch = &watch };

        step->worker = placement_choose(step->pool, &placement, step->cancel, &step->task,
                                        &step->error);
}

/* Begins a step that all workers reject, and returns once it has said so. */
static void step_start(Step *step, Pool *pool, const ContainerNeed *need) {
        *step = (Step){ .pool = pool, .need = *need, .cancel = cancel_new(NULL) };
        mutex_init(&step->mutex);
        condition_init(&step->changed);
        step->thread = thread_start("step", step_run, step);
        MUTEX_SCOPE(&step->mutex);
        while (step->told == 0)
                condition_wait(&step->changed, &step->mutex);
}

static void step_end(Step *step) {
        thread_join(step->thread);
        g_assert_cmpint(step->told, ==, 1);
        condition_destroy(&step->changed);
        mutex_destroy(&step->mutex);
        cancel_free(step->cancel);
}

/* Chooses at once, or fails the test. Returns new. */
static char *choose(Pool *pool, const ContainerNeed *need, bool *ret_task) {
        g_autoptr(Cancel) patience = cancel_new_deadline(NULL, 10 * DURATION_SECOND);
        const Placement placement = { .container = need };

        return OK(placement_choose(pool, &placement, patience, ret_task, &error));
}

static void assert_chosen(Pool *pool, const ContainerNeed *need, const char *worker, bool task) {
        bool taken;
        g_autofree char *chosen = choose(pool, need, &taken);

        g_assert_cmpstr(chosen, ==, worker);
        g_assert_cmpint(taken, ==, task);
}

static const ContainerNeed a_task = { .need = { .task = true } };
static const ContainerNeed a_get = { .need = { .resource_type = "git" } };

static Pool *pool_limiting(House *house, PlacementStrategy strategy, int64_t limit) {
        return pool_new(&(PoolSpec){ .store = house->store,
                                     .strategies = { &strategy, 1 },
                                     .max_active_tasks = limit,
                                     .max_active_containers = limit,
                                     .max_active_volumes = limit });
}

static void a_task_waits_for_a_place(House *house) {
        g_autoptr(Pool) pool = pool_limiting(house, PLACEMENT_LIMIT_ACTIVE_TASKS, 1);
        Step step;
        bool task;

        add_worker(house, "a", 0, "");
        add_worker(house, "b", 0, "");
        g_autofree char *first = choose(pool, &a_task, &task);
        assert_chosen(pool, &a_task, g_str_equal(first, "a") ? "b" : "a", true);
        g_autofree char *get = choose(pool, &a_get, &task); /* is not limited and takes nothing */
        g_assert_false(task);
        step_start(&step, pool, &a_task);
        OK(worker_give_task(house->store, "b", &error));
        step_end(&step);
        g_assert_no_error(step.error);
        g_assert_cmpstr(step.worker, ==, "b");
        g_assert_true(step.task);
        g_free(step.worker);
}

static void a_new_worker_ends_the_wait(House *house) {
        g_autoptr(Pool) pool = pool_limiting(house, PLACEMENT_LIMIT_ACTIVE_TASKS, 1);
        Step step;

        add_worker(house, "a", 0, "");
        assert_chosen(pool, &a_task, "a", true);
        step_start(&step, pool, &a_task);
        add_worker(house, "b", 0, "");
        step_end(&step);
        g_assert_cmpstr(step.worker, ==, "b");
        g_free(step.worker);
}

static void set_disk(House *house, const char *worker, bool low) {
        const WorkerBeat beat = { .disk_low = low };
        g_autoptr(Worker) known = OK(worker_heartbeat(house->store, worker, &beat, &error));
        g_assert_cmpint(known->disk_low, ==, low);
}

static void a_worker_without_room_is_passed_over_and_waited_for(House *house) {
        g_autoptr(Pool) pool = pool_limiting(house, PLACEMENT_VOLUME_LOCALITY, 0);
        Step step;

        add_worker(house, "a", 0, "");
        add_worker(house, "b", 0, "");
        set_disk(house, "a", true);
        for (int i = 0; i < 5; i++)
                assert_chosen(pool, &a_task, "b", false);
        set_disk(house, "b", true);
        step_start(&step, pool, &a_task);
        set_disk(house, "a", false);
        step_end(&step);
        g_assert_true(step.no_room);
        g_assert_cmpstr(step.worker, ==, "a");
        g_free(step.worker);
}

static void the_wait_can_be_called_off(House *house) {
        g_autoptr(Pool) pool = pool_limiting(house, PLACEMENT_LIMIT_ACTIVE_TASKS, 1);
        Step step;

        add_worker(house, "a", 0, "");
        assert_chosen(pool, &a_task, "a", true);
        step_start(&step, pool, &a_task);
        cancel_fire(step.cancel, CANCEL_ABORT);
        step_end(&step);
        g_assert_null(step.worker);
        g_assert_error(step.error, ERROR, ERROR_CANCELLED);
        g_clear_error(&step.error);
        OK(worker_give_task(house->store, "a", &error));
        assert_chosen(pool, &a_task, "a", true); /* the place is there: it took none */
}

static void a_wait_ends_when_the_last_worker_leaves(House *house) {
        g_autoptr(Pool) pool = pool_limiting(house, PLACEMENT_LIMIT_ACTIVE_TASKS, 1);
        Step step;

        add_worker(house, "a", 0, "");
        assert_chosen(pool, &a_task, "a", true);
        step_start(&step, pool, &a_task);
        OK(worker_retire(house->store, "a", &error));
        step_end(&step);
        g_assert_null(step.worker);
        g_assert_cmpstr(step.error->message, ==, "no workers satisfying: version: '3.0'");
        g_clear_error(&step.error);
}

static void a_workers_own_limit_counts(House *house) {
        g_autoptr(Pool) pool = pool_limiting(house, PLACEMENT_LIMIT_ACTIVE_TASKS, 1);

        add_worker(house, "a", 0, ",'max_active_tasks':3");
        for (size_t i = 0; i < 3; i++)
                assert_chosen(pool, &a_task, "a", true);
        Step step;
        step_start(&step, pool, &a_task);
        cancel_fire(step.cancel, CANCEL_SHUTDOWN);
        step_end(&step);
        g_clear_error(&step.error);
}

/* A volume on the worker; what it is does not matter. */
static void add_volume(House *house, const char *worker) {
        g_autoptr(Volume) volume = OK(volume_create(
                house->store, &(VolumeSpec){ .worker = worker, .team_id = house->team_id },
                &error));
}

static void add_container(House *house, const char *worker, const BuildLease *lease,
                          const char *plan_id) {
        const ContainerOwner owner = { .kind = CONTAINER_OWNER_BUILD_STEP,
                                       .build_id = lease->build_id,
                                       .team_id = house->team_id,
                                       .plan_id = plan_id };
        const ContainerMetadata metadata = { .type = "task", .build_id = lease->build_id };
        g_autoptr(Container) container = OK(
                container_create(house->store, worker, &owner, &metadata, lease->epoch, &error));
}

static void a_full_worker_is_passed_over(House *house) {
        g_autoptr(Pool) volumes = pool_limiting(house, PLACEMENT_LIMIT_ACTIVE_VOLUMES, 2);
        g_autoptr(Pool) containers = pool_limiting(house, PLACEMENT_LIMIT_ACTIVE_CONTAINERS, 1);
        g_autoptr(Pool) unlimited = pool_limiting(house, PLACEMENT_LIMIT_ACTIVE_CONTAINERS, 0);
        BuildLease lease;

        house_save(house, two_jobs);
        started_build(house, "unit", &lease);
        add_worker(house, "a", 0, "");
        add_worker(house, "b", 0, "");
        add_volume(house, "a");
        add_volume(house, "a");
        add_volume(house, "b");
        add_container(house, "b", &lease, "1");
        for (size_t i = 0; i < 8; i++) { /* never by luck */
                assert_chosen(volumes, &a_get, "b", false);
                assert_chosen(containers, &a_get, "a", false);
        }
        add_container(house, "a", &lease, "2");
        Step step;
        step_start(&step, containers, &a_get);
        cancel_fire(step.cancel, CANCEL_ABORT);
        step_end(&step);
        g_clear_error(&step.error);
        bool task;
        g_autofree char *any = choose(unlimited, &a_get, &task);
        ContainerNeed check = a_get;
        check.need.check = true; /* checks of resources go anywhere, unless told otherwise */
        g_autofree char *checked = choose(containers, &check, &task);
}

static void gets_and_checks_have_strategies_of_their_own(House *house) {
        static const PlacementStrategy containers = PLACEMENT_LIMIT_ACTIVE_CONTAINERS,
                                       volumes = PLACEMENT_LIMIT_ACTIVE_VOLUMES;
        g_autoptr(Pool) pool = pool_new(&(PoolSpec){ .store = house->store,
                                                     .no_input = { &containers, 1 },
                                                     .check = { &volumes, 1 },
                                                     .max_active_containers = 1,
                                                     .max_active_volumes = 1 });
        ContainerNeed get = a_get, check = a_get;
        BuildLease lease;

        get.need.no_input = check.need.check = true;
        house_save(house, two_jobs);
        started_build(house, "unit", &lease);
        add_worker(house, "a", 0, "");
        add_worker(house, "b", 0, "");
        add_container(house, "a", &lease, "1");
        add_volume(house, "b");
        for (size_t i = 0; i < 8; i++) {
                assert_chosen(pool, &get, "b", false);
                assert_chosen(pool, &check, "a", false);
        }
}

static void active_tasks_order_tasks_alone(House *house) {
        g_autoptr(Pool) pool = pool_limiting(house, PLACEMENT_LIMIT_ACTIVE_TASKS, 9);
        size_t on_a = 0;

        add_worker(house, "a", 0, "");
        bool taken;
        OK(worker_take_task(house->store, "a", 0, &taken, &error));
        add_worker(house, "b", 0, "");
        for (size_t i = 0; i < 64; i++) { /* all on b once in 2^64 */
                bool task;
                g_autofree char *worker = choose(pool, &a_get, &task);
                on_a += g_str_equal(worker, "a");
        }
        g_assert_cmpuint(on_a, >, 0);
        assert_chosen(pool, &a_task, "b", true);
}

static void without_a_limit_a_workers_own_does_not_count(House *house) {
        g_autoptr(Pool) pool = pool_limiting(house, PLACEMENT_LIMIT_ACTIVE_TASKS, 0);

        add_worker(house, "a", 0, ",'max_active_tasks':1");
        for (size_t i = 0; i < 3; i++)
                assert_chosen(pool, &a_task, "a", true);
}

static void the_emptiest_worker_is_first(House *house) {
        g_autoptr(Pool) pool = pool_limiting(house, PLACEMENT_FEWEST_BUILD_CONTAINERS, 0);
        BuildLease lease;

        house_save(house, two_jobs);
        started_build(house, "unit", &lease);
        add_worker(house, "a", 0, "");
        add_worker(house, "b", 0, "");
        add_container(house, "a", &lease, "1");
        add_container(house, "a", &lease, "2");
        add_container(house, "b", &lease, "3");
        for (size_t i = 0; i < 8; i++)
                assert_chosen(pool, &a_get, "b", false);
}

/* ---- locality ---- */

static void a_task_goes_where_its_caches_are(House *house) {
        g_autoptr(Pool) pool = pool_new(&(PoolSpec){ .store = house->store });
        const char *const paths[] = { "/one", "/two", NULL };
        int64_t cache_id;

        house_save(house, two_jobs);
        add_worker(house, "a", 0, "");
        add_worker(house, "b", 0, "");
        const ContainerNeed need = {
                .caches = paths,
                .metadata = { .job_id = job_id(house, "unit"), .step_name = "build" },
        };
        OK(task_cache_find_or_create(house->store, need.metadata.job_id, "build", "/two", &cache_id,
                                     &error));
        const VolumeSpec spec = { .worker = "b", .owner = { .task_cache_id = cache_id } };
        g_autoptr(Volume) volume = OK(volume_create(house->store, &spec, &error));
        OK(volume_set_created(house->store, volume->id, &error));
        for (size_t i = 0; i < 8; i++) /* never by luck */
                assert_chosen(pool, &need, "b", false);
}

static void a_step_goes_where_its_inputs_are(House *house) {
        g_autoptr(Artifact) on_a = artifact_new(&(ArtifactSpec){ "a", "v1", 0, false });
        g_autoptr(Artifact) on_b = artifact_new(&(ArtifactSpec){ "b", "v2", 0, false });
        g_autoptr(Artifact) cached = artifact_new(&(ArtifactSpec){ "a", "v3", 0, true });
        const ContainerInput a[] = { { on_a, "/1" } }, b[] = { { on_b, "/1" } };
        const ContainerInput both[] = { { on_a, "/1" }, { on_b, "/2" }, { on_b, "/3" } };
        const ContainerInput cache[] = { { cached, "/1" }, { cached, "/2" }, { on_b, "/3" } };
        const struct {
                ContainerNeed need;
                const char *worker;
        } cases[] = {
                { { .inputs = a, .input_count = 1 }, "a" },
                { { .inputs = b, .input_count = 1 }, "b" },
                { { .inputs = both, .input_count = 3 }, "b" },
                { { .inputs = cache, .input_count = 3 }, "b" }, /* found ones do not count */
                { { .image = on_a }, "a" },
                { { .image = on_a, .inputs = both, .input_count = 2 }, "a" },
        };
        g_autoptr(Pool) pool = pool_new(&(PoolSpec){ .store = house->store });

        add_worker(house, "a", 0, "");
        add_worker(house, "b", 0, "");
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                for (size_t again = 0; again < 8; again++) /* never by luck */
                        assert_chosen(pool, &cases[i].need, cases[i].worker, false);
}

static void the_first_strategy_decides(House *house) {
        static const PlacementStrategy strategies[] = { PLACEMENT_VOLUME_LOCALITY,
                                                        PLACEMENT_FEWEST_BUILD_CONTAINERS };
        g_autoptr(Artifact) on_a = artifact_new(&(ArtifactSpec){ "a", "v1", 0, false });
        const ContainerInput inputs[] = { { on_a, "/1" } };
        const ContainerNeed local = { .inputs = inputs, .input_count = 1 };
        g_autoptr(Pool) pool = pool_new(
                &(PoolSpec){ .store = house->store, .strategies = { strategies, 2 } });
        BuildLease lease;

        house_save(house, two_jobs);
        started_build(house, "unit", &lease);
        add_worker(house, "a", 0, "");
        add_worker(house, "b", 0, "");
        add_container(house, "a", &lease, "1");
        for (size_t again = 0; again < 8; again++) {
                assert_chosen(pool, &local, "a", false);
                assert_chosen(pool, &a_get, "b", false); /* equal in the first: the second */
        }
}

static void add(void) {
        g_test_add_func("/placement/fits", a_worker_fits_what_it_offers);
        g_test_add_func("/placement/states", only_a_running_worker_fits);
        house_add("/placement/errors", what_no_worker_offers_is_said);
        house_add("/placement/teams", a_teams_workers_hide_everybodys);
        house_add("/placement/tasks", a_task_waits_for_a_place);
        house_add("/placement/new-worker", a_new_worker_ends_the_wait);
        house_add("/placement/cancel", the_wait_can_be_called_off);
        house_add("/placement/room", a_worker_without_room_is_passed_over_and_waited_for);
        house_add("/placement/last-worker", a_wait_ends_when_the_last_worker_leaves);
        house_add("/placement/own-limit", a_workers_own_limit_counts);
        house_add("/placement/full", a_full_worker_is_passed_over);
        house_add("/pool/placement/chains", gets_and_checks_have_strategies_of_their_own);
        house_add("/pool/placement/tasks-alone", active_tasks_order_tasks_alone);
        house_add("/pool/placement/unlimited", without_a_limit_a_workers_own_does_not_count);
        house_add("/pool/placement/caches", a_task_goes_where_its_caches_are);
        house_add("/placement/fewest", the_emptiest_worker_is_first);
        house_add("/placement/locality", a_step_goes_where_its_inputs_are);
        house_add("/placement/order", the_first_strategy_decides);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
