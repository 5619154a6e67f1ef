#include "pool/placement.h"

#include "base/crypto.h"

#include <stdlib.h>
#include <string.h>

/* Worker protocol version of this server: reference 06 §2.10. */
#define VERSION_MAJOR 3
#define VERSION_MINOR 0

/* A worker and what the strategies think of it. */
typedef struct {
        const Worker *worker;
        const WorkerLoad *load; /* NULL: none known */
        uint32_t shuffle;
        int64_t score[8]; /* by strategy: larger is better */
} Candidate;

/* ---- what a worker can do ---- */

/* Equal, or newer within the same major. */
static bool version_fits(const char *text) {
        char *end;

        if (!text || !g_ascii_isdigit(*text))
                return false;
        long major = strtol(text, &end, 10), minor = 0;
        if (*end == '.')
                minor = strtol(end + 1, &end, 10);
        return major == VERSION_MAJOR && minor >= VERSION_MINOR && (*end == '\0' || *end == '.');
}

static bool has_tag(const Worker *worker, const char *tag) {
        for (size_t i = 0; i < worker->tags->len; i++)
                if (g_str_equal(g_ptr_array_index(worker->tags, i), tag))
                        return true;
        return false;
}

static bool tags_fit(const Worker *worker, char *const *tags) {
        if (worker->tags->len > 0 && (!tags || !*tags))
                return false;
        for (size_t i = 0; tags && tags[i]; i++)
                if (!has_tag(worker, tags[i]))
                        return false;
        return true;
}

bool placement_fits(const Worker *worker, const PlacementNeed *need) {
        return worker->state == WORKER_RUNNING && version_fits(worker->version) &&
               (!worker->team_id || worker->team_id == need->team_id) &&
               (!need->resource_type || worker_resource_type(worker, need->resource_type)) &&
               (!need->platform || g_strcmp0(worker->platform, need->platform) == 0) &&
               tags_fit(worker, need->tags);
}

static void free_worker(void *worker) {
        worker_free(worker);
}

static void nothing_fits(const PlacementNeed *need, size_t workers, GError **error) {
        g_autoptr(GString) text = g_string_new(NULL);

        if (workers == 0) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "no workers");
                return;
        }
        if (need->resource_type)
                g_string_append_printf(text, "resource type '%s', ", need->resource_type);
        if (need->platform)
                g_string_append_printf(text, "platform '%s', ", need->platform);
        for (size_t i = 0; need->tags && need->tags[i]; i++)
                g_string_append_printf(text, "tag '%s', ", need->tags[i]);
        g_set_error(error, ERROR, ERROR_NOT_FOUND, "no workers satisfying: %sversion: '%d.%d'",
                    text->str, VERSION_MAJOR, VERSION_MINOR);
}

GPtrArray *placement_candidates(Pool *pool, const PlacementNeed *need, GError **error) {
        g_autoptr(GPtrArray) workers = worker_list(pool->spec.store, error);
        g_autoptr(GPtrArray) own = g_ptr_array_new_with_free_func(free_worker);
        g_autoptr(GPtrArray) shared = g_ptr_array_new_with_free_func(free_worker);

        if (!workers)
                return NULL;
        size_t count = workers->len;
        while (workers->len > 0) {
                Worker *worker = g_ptr_array_steal_index(workers, 0);
                if (placement_fits(worker, need))
                        g_ptr_array_add(worker->team_id ? own : shared, worker);
                else
                        worker_free(worker);
        }
        if (own->len > 0)
                return g_steal_pointer(&own);
        if (shared->len > 0)
                return g_steal_pointer(&shared);
        nothing_fits(need, count, error);
        return NULL;
}

/* ---- strategies ---- */

static bool is_local(Pool *pool, const Worker *worker, Artifact *artifact) {
        if (g_str_equal(artifact_worker(artifact), worker->name))
                return true;
        if (!artifact_resource_cache(artifact))
                return false;
        g_autoptr(Volume) copy = volume_find_cache(
                pool->spec.store, artifact_resource_cache(artifact), worker->name, 0, NULL);
        return copy != NULL;
}

static int64_t local_volumes(Pool *pool, const Worker *worker, const ContainerNeed *need) {
        int64_t score = 0;

        if (need->image && is_local(pool, worker, need->image))
                score++;
        for (size_t i = 0; i < need->input_count; i++)
                if (!artifact_from_cache(need->inputs[i].artifact) &&
                    is_local(pool, worker, need->inputs[i].artifact))
                        score++;
        return score;
}

static int64_t score(Pool *pool, PlacementStrategy strategy, const Candidate *candidate,
                     const ContainerNeed *need) {
        const WorkerLoad *load = candidate->load;

        switch (strategy) {
        case PLACEMENT_VOLUME_LOCALITY:
                return local_volumes(pool, candidate->worker, need);
        case PLACEMENT_FEWEST_BUILD_CONTAINERS:
                return load ? -load->build_containers : 0;
        case PLACEMENT_LIMIT_ACTIVE_TASKS:
                return -candidate->worker->active_tasks;
        case PLACEMENT_LIMIT_ACTIVE_CONTAINERS:
                return !pool->spec.max_active_containers || !load ||
                       load->containers < pool->spec.max_active_containers;
        case PLACEMENT_LIMIT_ACTIVE_VOLUMES:
                return !pool->spec.max_active_volumes || !load ||
                       load->volumes < pool->spec.max_active_volumes;
        case PLACEMENT_RANDOM:
                break;
        }
        return 0;
}

static int better_first(const void *a, const void *b, void *data) {
        const Candidate *left = a, *right = b;
        const Pool *pool = data;

        for (size_t i = 0; i < pool->spec.strategy_count; i++)
                if (left->score[i] != right->score[i])
                        return left->score[i] > right->score[i] ? -1 : 1;
        return left->shuffle < right->shuffle ? -1 : left->shuffle > right->shuffle ? 1 : 0;
}

static const WorkerLoad *find_load(const GPtrArray *loads, const char *worker) {
        for (size_t i = 0; loads && i < loads->len; i++) {
                const WorkerLoad *load = g_ptr_array_index(loads, i);
                if (g_str_equal(load->worker, worker))
                        return load;
        }
        return NULL;
}

/* Takes what the strategies limit; a strategy that refuses gives back nothing, as only tasks take. */
static bool approve(Pool *pool, const Candidate *candidate, const PlacementNeed *need,
                    bool *ret_taken, bool *ret_task, GError **error) {
        int64_t limit = candidate->worker->max_active_tasks ? candidate->worker->max_active_tasks
                                                            : pool->spec.max_active_tasks;

        *ret_taken = true;
        *ret_task = false;
        for (size_t i = 0; i < pool->spec.strategy_count; i++) {
                PlacementStrategy strategy = pool->strategies[i];
                if ((strategy == PLACEMENT_LIMIT_ACTIVE_CONTAINERS ||
                     strategy == PLACEMENT_LIMIT_ACTIVE_VOLUMES) &&
                    candidate->score[i] == 0)
                        *ret_taken = false;
        }
        for (size_t i = 0; *ret_taken && need->task && i < pool->spec.strategy_count; i++)
                if (pool->strategies[i] == PLACEMENT_LIMIT_ACTIVE_TASKS) {
                        if (!worker_take_task(pool->spec.store, candidate->worker->name, limit,
                                              ret_taken, error))
                                return false;
                        *ret_task = *ret_taken;
                }
        return true;
}

static bool is_plain(const Pool *pool) {
        return pool->spec.strategy_count == 1 && pool->strategies[0] == PLACEMENT_VOLUME_LOCALITY;
}

/* *ret NULL: all rejected. */
static bool choose_once(Pool *pool, const ContainerNeed *need, char **ret, bool *ret_task,
                        GError **error) {
        g_autoptr(GPtrArray) workers = placement_candidates(pool, &need->need, error);
        g_autoptr(GPtrArray) loads = NULL;

        if (!workers)
                return false;
        if (workers->len == 1 && is_plain(pool)) { /* nothing to weigh */
                *ret = g_strdup(((Worker *) g_ptr_array_index(workers, 0))->name);
                return true;
        }
        if (!is_plain(pool) && !(loads = worker_load_list(pool->spec.store, error)))
                return false;

        g_autofree Candidate *candidates = g_new0(Candidate, workers->len);
        for (size_t i = 0; i < workers->len; i++) {
                candidates[i].worker = g_ptr_array_index(workers, i);
                candidates[i].load = find_load(loads, candidates[i].worker->name);
                crypto_random(&candidates[i].shuffle, sizeof candidates[i].shuffle);
                for (size_t s = 0; !need->need.check && s < pool->spec.strategy_count; s++)
                        candidates[i].score[s] = score(pool, pool->strategies[s], &candidates[i],
                                                       need);
        }
        g_qsort_with_data(candidates, (int) workers->len, sizeof *candidates, better_first, pool);
        for (size_t i = 0; i < workers->len; i++) {
                bool taken = true;
                if (!need->need.check &&
                    !approve(pool, &candidates[i], &need->need, &taken, ret_task, error))
                        return false;
                if (taken) {
                        *ret = g_strdup(candidates[i].worker->name);
                        return true;
                }
        }
        return true;
}

char *placement_choose(Pool *pool, const Placement *placement, Cancel *cancel, bool *ret_task,
                       GError **error) {
        const SubscriptionTopic topic = { .kind = NOTIFY_WORKERS };
        g_autoptr(Subscription) subscription = subscription_new(pool->spec.store, &topic, 1);
        bool told = false;

        for (;;) {
                char *worker = NULL;
                *ret_task = false;
                if (!choose_once(pool, placement->container, &worker, ret_task, error))
                        return NULL;
                if (worker)
                        return worker;
                if (!told && placement->watch && placement->watch->waiting)
                        placement->watch->waiting(placement->watch->data);
                told = true;
                if (!subscription_wait(subscription, clock_monotonic() + 10 * DURATION_SECOND,
                                       cancel, NULL, error))
                        return NULL;
        }
}
