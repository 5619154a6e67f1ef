#include "pool/placement.h"

#include "base/crypto.h"

#include <stdlib.h>
#include <string.h>

/* Worker protocol version of this server: reference 06 §2.10. */
#define VERSION_MAJOR 3
#define VERSION_MINOR 0

/* While all workers are full; a worker that changes is an event. */
#define LOOK_AGAIN (5 * DURATION_SECOND)

/* A worker and what the strategies think of it. */
typedef struct {
        const Worker *worker;
        const WorkerLoad *load; /* NULL: none known */
        uint32_t shuffle;
        int64_t score[PLACEMENT_STRATEGIES_MAX]; /* by strategy: larger is better */
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

static bool has_task_cache(Pool *pool, const Worker *worker, const ContainerNeed *need,
                           const char *path) {
        Store *store = pool->spec.store;
        int64_t id;

        if (!need->metadata.job_id || !task_cache_find(store, need->metadata.job_id,
                                                       need->metadata.step_name, path, &id, NULL))
                return false;
        g_autoptr(Volume) volume = volume_find_task_cache(store, id, worker->name, NULL);
        return volume != NULL;
}

static int64_t local_volumes(Pool *pool, const Worker *worker, const ContainerNeed *need) {
        int64_t score = 0;

        for (size_t i = 0; need->caches && need->caches[i]; i++)
                if (has_task_cache(pool, worker, need, need->caches[i]))
                        score++;

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
                return need->need.task ? -candidate->worker->active_tasks : 0;
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
        const PlacementChain *chain = data;

        for (size_t i = 0; i < chain->count; i++)
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

/* Without a limit of the server's a worker's own does not count either. */
static int64_t task_limit(const Pool *pool, const Worker *worker) {
        if (pool->spec.max_active_tasks == 0)
                return 0;
        return worker->max_active_tasks ? worker->max_active_tasks : pool->spec.max_active_tasks;
}

/* Takes what the strategies limit; a strategy that refuses gives back nothing, as only tasks take. */
static bool approve(Pool *pool, const PlacementChain *chain, const Candidate *candidate,
                    const PlacementNeed *need, bool *ret_taken, bool *ret_task, GError **error) {
        *ret_taken = true;
        *ret_task = false;
        for (size_t i = 0; i < chain->count; i++)
                if ((chain->list[i] == PLACEMENT_LIMIT_ACTIVE_CONTAINERS ||
                     chain->list[i] == PLACEMENT_LIMIT_ACTIVE_VOLUMES) &&
                    candidate->score[i] == 0)
                        *ret_taken = false;
        for (size_t i = 0; *ret_taken && need->task && i < chain->count; i++)
                if (chain->list[i] == PLACEMENT_LIMIT_ACTIVE_TASKS) {
                        if (!worker_take_task(pool->spec.store, candidate->worker->name,
                                              task_limit(pool, candidate->worker), ret_taken,
                                              error))
                                return false;
                        *ret_task = *ret_taken;
                        break;
                }
        return true;
}

static PlacementChain *chain_of(Pool *pool, const PlacementNeed *need) {
        return &pool->chains[need->check      ? CHAIN_CHECK
                             : need->no_input ? CHAIN_NO_INPUT
                                              : CHAIN_INPUT];
}

/* Nothing but its order: with one worker there is nothing to weigh. */
static bool is_plain(const PlacementChain *chain) {
        return chain->count == 1 &&
               (chain->list[0] == PLACEMENT_VOLUME_LOCALITY || chain->list[0] == PLACEMENT_RANDOM);
}

/* Takes away those whose disk has no room. */
static void keep_roomy(GPtrArray *workers) {
        for (size_t i = workers->len; i > 0; i--)
                if (((Worker *) g_ptr_array_index(workers, i - 1))->disk_low)
                        g_ptr_array_remove_index(workers, (guint) (i - 1));
}

/* *ret NULL: all rejected; *ret_no_room: because of their disks. */
static bool choose_once(Pool *pool, const ContainerNeed *need, char **ret, bool *ret_task,
                        bool *ret_no_room, GError **error) {
        g_autoptr(GPtrArray) workers = placement_candidates(pool, &need->need, error);
        PlacementChain *chain = chain_of(pool, &need->need);
        g_autoptr(GPtrArray) loads = NULL;

        if (!workers)
                return false;
        keep_roomy(workers);
        *ret_no_room = workers->len == 0;
        if (*ret_no_room)
                return true;
        if (workers->len == 1 && is_plain(chain)) {
                *ret = g_strdup(((Worker *) g_ptr_array_index(workers, 0))->name);
                return true;
        }
        if (!is_plain(chain) && !(loads = worker_load_list(pool->spec.store, error)))
                return false;

        g_autofree Candidate *candidates = g_new0(Candidate, workers->len);
        for (size_t i = 0; i < workers->len; i++) {
                candidates[i].worker = g_ptr_array_index(workers, i);
                candidates[i].load = find_load(loads, candidates[i].worker->name);
                crypto_random(&candidates[i].shuffle, sizeof candidates[i].shuffle);
                for (size_t s = 0; s < chain->count; s++)
                        candidates[i].score[s] = score(pool, chain->list[s], &candidates[i], need);
        }
        g_qsort_with_data(candidates, (int) workers->len, sizeof *candidates, better_first, chain);
        for (size_t i = 0; i < workers->len; i++) {
                bool taken = true;
                if (!approve(pool, chain, &candidates[i], &need->need, &taken, ret_task, error))
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
                bool no_room;
                *ret_task = false;
                if (!choose_once(pool, placement->container, &worker, ret_task, &no_room, error))
                        return NULL;
                if (worker)
                        return worker;
                if (!told && placement->watch && placement->watch->waiting)
                        placement->watch->waiting(no_room, placement->watch->data);
                told = true;
                if (!subscription_wait(subscription, clock_monotonic() + LOOK_AGAIN, cancel, NULL,
                                       error))
                        return NULL;
        }
}
