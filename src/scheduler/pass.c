#include "scheduler/pass.h"

#include "base/log.h"
#include "base/thread.h"
#include "plan/planner.h"
#include "scheduler/mapping.h"

typedef struct {
        const SchedulerSpec *spec;
        SchedulingCase *problem;
        PipelineConfig *config; /* loaded when first needed */
        bool looked_for_room;
        char *no_room; /* then: why no build may begin now */
} Pass;

/* What became of a pending build. */
typedef enum {
        NEXT, /* done with: the next one's turn */
        WAIT, /* and with it all behind it: something outside must happen first */
        STOP, /* nothing will change before the next request */
} Outcome;

static void pass_clear(Pass *pass) {
        scheduling_case_free(pass->problem);
        pipeline_config_free(pass->config);
        g_free(pass->no_room);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pass, pass_clear)

static Store *store_of(const Pass *pass) {
        return pass->spec->store;
}

static bool end_build(const Pass *pass, const Build *build, BuildStatus status, GError **error) {
        return build_finish(store_of(pass), &(BuildFinish){ .id = build->id, .status = status },
                            error);
}

/* ---- are the inputs known yet ---- */

static const SchedulingResource *find_resource(const SchedulingCase *problem, int64_t id) {
        for (size_t i = 0; i < problem->resources->len; i++) {
                const SchedulingResource *resource = g_ptr_array_index(problem->resources, i);
                if (resource->id == id)
                        return resource;
        }
        return NULL;
}

/* Whether this input needs no check that the build would have to wait for (reference 05 §3.5 step 3). */
static bool is_checked(const Pass *pass, const Build *build, const SchedulingInput *input,
                       bool *ret, GError **error) {
        const SchedulingResource *resource = find_resource(pass->problem, input->resource_id);
        g_auto(ScopeCheck) last = { 0 };

        *ret = true;
        if (input->passed->len > 0 || input->resource_pinned || build->rerun_of ||
            (!build->manual && input->trigger))
                return true;
        if (!resource || !resource->scope_id) {
                *ret = !build->manual;
                return true;
        }
        if (!scope_check_get(store_of(pass), resource->scope_id, &last, error))
                return false;
        *ret = build->manual ? last.last_end >= build->created : last.next >= build->created;
        return true;
}

static bool are_checked(const Pass *pass, const Build *build, bool *ret, GError **error) {
        *ret = true;
        for (size_t i = 0; i < pass->problem->inputs->len; i++) {
                const SchedulingInput *input = g_ptr_array_index(pass->problem->inputs, i);
                bool checked;
                if (!is_checked(pass, build, input, &checked, error))
                        return false;
                if (!checked && pass->spec->request_check)
                        pass->spec->request_check(input->resource_id, build->created,
                                                  pass->spec->data);
                *ret = *ret && checked;
        }
        return true;
}

/* ---- its plan ---- */

static uint64_t *plan_counter(void) {
        static uint64_t counter;

        if (counter == 0)
                counter = (uint64_t) time_seconds(clock_now());
        return &counter;
}

static Mutex *plan_mutex(void) {
        static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

        return &mutex;
}

static bool load_config(Pass *pass, GError **error) {
        g_autoptr(Value) value = NULL;

        if (pass->config)
                return true;
        value = pipeline_config(store_of(pass), pass->problem->job->pipeline_id, NULL, error);
        if (!value)
                return false;
        pass->config = pipeline_config_from_value(value, PIPELINE_CONFIG_LENIENT, error);
        return pass->config != NULL;
}

static Plan *make_plan(Pass *pass, const Build *build, GError **error) {
        const JobConfig *job = pipeline_config_job(pass->config, pass->problem->job->name);
        g_autoptr(GPtrArray) versions = NULL;

        if (!job) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "unknown job: %s",
                            pass->problem->job->name);
                return NULL;
        }
        if (!build_versions(store_of(pass), build->id, false, &versions, NULL, error))
                return NULL;
        g_autofree PlannerInput *inputs = g_new0(PlannerInput, versions->len);
        for (size_t i = 0; i < versions->len; i++) {
                const BuildVersion *version = g_ptr_array_index(versions, i);
                inputs[i] = (PlannerInput){ .name = version->name, .version = version->version };
        }
        MUTEX_SCOPE(plan_mutex());
        return planner_job(&(PlannerSpec){ .config = pass->config,
                                           .base_type_defaults = pass->spec->base_type_defaults,
                                           .checking_interval = pass->spec->checking_interval,
                                           .manually_triggered = build->manual,
                                           .counter = plan_counter() },
                           job, inputs, versions->len, error);
}

static bool start(Pass *pass, const Build *build, GError **error) {
        g_autoptr(GError) why = NULL;
        BuildStartResult result;

        if (!load_config(pass, error))
                return false;
        g_autoptr(Plan) plan = make_plan(pass, build, &why);
        if (!plan) {
                log_error("scheduler", "plan-failed", why, "build", LOG_INT(build->id));
                return end_build(pass, build, BUILD_ERRORED, error);
        }
        g_autoptr(Value) private = plan_to_value(plan), public = plan_to_public(plan);
        if (!build_start(store_of(pass),
                         &(BuildStart){ .id = build->id, .plan = private, .public_plan = public },
                         &result, error))
                return false;
        if (result == BUILD_START_TAKEN)
                return true;
        if (result == BUILD_START_ABORTED)
                return end_build(pass, build, BUILD_ABORTED, error);
        log_info("scheduler", "build-started", "build", LOG_INT(build->id), "job",
                 pass->problem->job->name, "name", build->name);
        return true;
}

/* ---- one pending build ---- */

static bool resolve_again(Pass *pass, GError **error) {
        g_autoptr(SchedulingCase)
                fresh = scheduling_load(store_of(pass), pass->problem->job->id, error);

        return fresh && mapping_update(store_of(pass), fresh, false, NULL, error);
}

static bool is_paused(const Pass *pass) {
        return pass->problem->job->paused || pass->problem->job->pipeline_paused;
}

/* Looked for once a pass: it starts few builds. */
static bool is_room(Pass *pass, bool *ret, GError **error) {
        if (!pass->looked_for_room &&
            !room_for_build(store_of(pass), pass->problem->job->team_id, &pass->no_room, error))
                return false;
        pass->looked_for_room = true;
        *ret = pass->no_room == NULL;
        return true;
}

/*
 * A check that failed may find the next time what the build lacks, and there may be nobody else to ask for it
 * (check_every: never). *ret: there is such a check.
 */
static bool check_again(const Pass *pass, bool *ret, GError **error) {
        Duration interval = pass->spec->checking_interval;

        *ret = false;
        for (size_t i = 0; i < pass->problem->inputs->len; i++) {
                const SchedulingInput *input = g_ptr_array_index(pass->problem->inputs, i);
                const SchedulingResource *resource = find_resource(pass->problem,
                                                                   input->resource_id);
                g_auto(ScopeCheck) last = { 0 };
                if (input->passed->len > 0 || input->resource_pinned || !resource ||
                    !resource->scope_id)
                        continue;
                if (!scope_check_get(store_of(pass), resource->scope_id, &last, error))
                        return false;
                if (last.last_succeeded || !last.last_end)
                        continue;
                *ret = true;
                if (clock_steady() - last.last_end >= interval / 1000 && pass->spec->request_check)
                        pass->spec->request_check(input->resource_id, last.last_end + 1,
                                                  pass->spec->data);
        }
        return true;
}

static bool try_build(Pass *pass, const Build *build, Outcome *ret, GError **error) {
        bool passed, checked, adopted, room, failed_checks;

        *ret = NEXT;
        if (build->aborted || pass->problem->job->pipeline_archived)
                return end_build(pass, build, BUILD_ABORTED, error);
        *ret = WAIT;
        if (is_paused(pass)) {
                *ret = NEXT;
                return true;
        }
        if (!is_room(pass, &room, error))
                return false;
        if (!room)
                return true;
        if (!build_pass_gate(store_of(pass), build->id, &passed, error))
                return false;
        if (!passed)
                return true;
        if (!are_checked(pass, build, &checked, error))
                return false;
        if (!checked)
                return true;
        if (build->manual && !build->rerun_of && !resolve_again(pass, error))
                return false;
        if (!build_adopt_inputs(store_of(pass), build->id, &adopted, error))
                return false;
        if (!adopted) {
                if (!check_again(pass, &failed_checks, error))
                        return false;
                *ret = build->rerun_of ? NEXT : failed_checks ? WAIT : STOP;
                return true;
        }
        *ret = NEXT;
        return start(pass, build, error);
}

static bool start_pending(Pass *pass, bool *ret_again, GError **error) {
        for (size_t i = 0; i < pass->problem->pending->len; i++) {
                Outcome outcome;
                if (!try_build(pass, g_ptr_array_index(pass->problem->pending, i), &outcome, error))
                        return false;
                *ret_again = *ret_again || outcome == WAIT;
                if (outcome != NEXT)
                        return true;
        }
        return true;
}

/* Another node has done a pass since this one began (it was frozen, perhaps): the job's turn comes again. */
static bool is_behind(GError **local, bool *ret_again, GError **error) {
        *ret_again = true;
        if (error_is(*local, ERROR_STALE))
                return true;
        g_propagate_error(error, g_steal_pointer(local));
        return false;
}

void pass_result_clear(PassResult *result) {
        g_clear_pointer(&result->no_room, g_free);
}

bool pass_run(const SchedulerSpec *spec, int64_t job_id, PassResult *ret, GError **error) {
        g_auto(Pass) pass = { .spec = spec };
        g_autoptr(GError) local = NULL;
        int64_t created = 0;

        *ret = (PassResult){ 0 };
        pass.problem = scheduling_load(spec->store, job_id, error);
        if (!pass.problem)
                return false;
        Time requested = pass.problem->job->schedule_requested;
        if (!is_paused(&pass) && !mapping_update(spec->store, pass.problem, true, &created, &local))
                return is_behind(&local, &ret->again, error);
        if (created) { /* it is pending now: look again */
                g_clear_pointer(&pass.problem, scheduling_case_free);
                pass.problem = scheduling_load(spec->store, job_id, error);
                if (!pass.problem)
                        return false;
        }
        if (!start_pending(&pass, &ret->again, &local))
                return is_behind(&local, &ret->again, error);
        ret->no_room = g_steal_pointer(&pass.no_room);
        return ret->again || job_set_scheduled(spec->store, job_id, requested, error);
}
