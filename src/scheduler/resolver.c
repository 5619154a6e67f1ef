#include "scheduler/resolver.h"

#include <string.h>

#define NO_VERSION 0 /* ids begin at 1 */

/* What one input has settled on so far, and who vouched for it. */
typedef struct {
        int64_t version;
        GArray *vouched; /* int64_t: passed jobs */
        GArray *sources; /* int64_t: their builds */
        bool has_next;
} Candidate;

/* Inputs that are connected through passed jobs: solved or failed together. */
typedef struct {
        const ResolverCase *problem;
        const size_t *inputs; /* indexes into the case, ascending */
        size_t count;
        Candidate **candidates; /* parallel to inputs; NULL: none yet */
        const ResolverVersion **pins;
        int64_t *doomed; /* the last full assignment that failed: spares trying it again */
        bool have_doomed;
        const ResolverUse
                *last_used; /* the build whose pipes say where "every" goes on; NULL: none */
} Group;

/* ---- look-ups ---- */

static const ResolverResource *find_resource(const ResolverCase *problem, int64_t id) {
        for (size_t i = 0; i < problem->resource_count; i++)
                if (problem->resources[i].resource_id == id)
                        return &problem->resources[i];
        return NULL;
}

static const ResolverVersion *find_version(const ResolverCase *problem, int64_t resource,
                                           int64_t id) {
        const ResolverResource *found = find_resource(problem, resource);

        for (size_t i = 0; found && i < found->version_count; i++)
                if (found->versions[i].id == id)
                        return &found->versions[i];
        return NULL;
}

static const ResolverJob *find_job(const ResolverCase *problem, int64_t id) {
        for (size_t i = 0; i < problem->job_count; i++)
                if (problem->jobs[i].job_id == id)
                        return &problem->jobs[i];
        return NULL;
}

static bool lists(const ResolverInput *input, int64_t job) {
        for (size_t i = 0; i < input->passed_count; i++)
                if (input->passed[i] == job)
                        return true;
        return false;
}

/* A pin may name only some of a version's fields. */
static bool contains(const Value *version, const Value *pin) {
        for (size_t i = 0; i < value_length(pin); i++)
                if (!value_equal(value_get(version, value_key_at(pin, i)), value_at(pin, i)))
                        return false;
        return true;
}

static const ResolverVersion *find_pinned(const ResolverCase *problem, const ResolverInput *input) {
        const ResolverResource *resource = find_resource(problem, input->resource_id);

        for (size_t i = 0; resource && i < resource->version_count; i++)
                if (contains(resource->versions[i].version, input->pin))
                        return &resource->versions[i];
        return NULL;
}

static char *pin_not_found(const Value *pin) {
        g_autoptr(Value) sorted = value_sorted(pin);
        GString *text = g_string_new("pinned version");

        for (size_t i = 0; i < value_length(sorted); i++)
                g_string_append_printf(text, " %s:%s", value_key_at(sorted, i),
                                       value_text(value_at(sorted, i)));
        g_string_append(text, " not found");
        return g_string_free(text, FALSE);
}

/* ---- inputs without passed ---- */

static const ResolverVersion *latest_enabled(const ResolverResource *resource) {
        for (size_t i = 0; resource && i < resource->version_count; i++)
                if (!resource->versions[i].disabled)
                        return &resource->versions[i];
        return NULL;
}

/* The version with the highest check order that any build of the job ever used, whatever the input's name. */
static const ResolverUse *highest_use(const ResolverCase *problem, int64_t resource,
                                      const ResolverVersion **ret_version) {
        const ResolverUse *found = NULL;

        *ret_version = NULL;
        for (size_t i = 0; i < problem->use_count; i++) {
                const ResolverUse *use = &problem->uses[i];
                if (use->resource_id != resource)
                        continue;
                const ResolverVersion *version = find_version(problem, resource, use->version_id);
                if (version &&
                    (!*ret_version || version->check_order > (*ret_version)->check_order)) {
                        *ret_version = version;
                        found = use;
                }
        }
        return found;
}

static const ResolverVersion *next_every(const ResolverCase *problem,
                                         const ResolverResource *resource, bool *ret_has_next) {
        const ResolverVersion *used, *next = NULL, *below = NULL;
        size_t above = 0;

        *ret_has_next = false;
        if (!resource)
                return NULL;
        if (!highest_use(problem, resource->resource_id, &used))
                return latest_enabled(resource);
        for (size_t i = 0; i < resource->version_count; i++) { /* newest first */
                const ResolverVersion *version = &resource->versions[i];
                if (version->disabled)
                        continue;
                if (version->check_order > used->check_order) {
                        next = version;
                        above++;
                } else if (!below)
                        below = version;
        }
        *ret_has_next = above > 1;
        return next ? next : below;
}

static void resolve_alone(const ResolverCase *problem, const ResolverInput *input,
                          ResolverAnswer *answer, bool *has_next) {
        const ResolverResource *resource = find_resource(problem, input->resource_id);
        const ResolverVersion *version;
        bool more = false;

        if (input->pin)
                version = find_pinned(problem, input);
        else if (input->every)
                version = next_every(problem, resource, &more);
        else
                version = latest_enabled(resource);

        if (version)
                answer->version_id = version->id;
        else if (input->pin)
                answer->error = pin_not_found(input->pin);
        else
                answer->error = g_strdup(input->every ? "version of resource not found"
                                                      : "latest version of resource not found");
        *has_next = *has_next || more;
}

/* ---- candidates ---- */

static Candidate *candidate_with(const Candidate *old, int64_t version, int64_t job, int64_t build,
                                 bool unused) {
        Candidate *candidate = g_new0(Candidate, 1);

        candidate->version = version;
        candidate->vouched = g_array_new(FALSE, FALSE, sizeof(int64_t));
        candidate->sources = g_array_new(FALSE, FALSE, sizeof(int64_t));
        if (old) {
                g_array_append_vals(candidate->vouched, old->vouched->data, old->vouched->len);
                g_array_append_vals(candidate->sources, old->sources->data, old->sources->len);
                candidate->has_next = old->has_next;
        }
        g_array_append_val(candidate->vouched, job);
        g_array_append_val(candidate->sources, build);
        candidate->has_next = candidate->has_next || unused;
        return candidate;
}

static void candidate_free(Candidate *candidate) {
        if (!candidate)
                return;
        g_array_unref(candidate->vouched);
        g_array_unref(candidate->sources);
        g_free(candidate);
}

static bool vouched_by(const Candidate *candidate, int64_t job) {
        for (size_t i = 0; i < candidate->vouched->len; i++)
                if (g_array_index(candidate->vouched, int64_t, i) == job)
                        return true;
        return false;
}

/* ---- builds worth trying ---- */

typedef struct {
        const ResolverBuild *build;
        bool unused; /* newer than the last used one */
} Attempt;

static bool has_output(const ResolverBuild *build, int64_t resource, int64_t version) {
        for (size_t i = 0; i < build->output_count; i++)
                if (build->outputs[i].resource_id == resource &&
                    build->outputs[i].version_id == version)
                        return true;
        return false;
}

/* Whether the build's outputs agree with everything already settled on for inputs that list its job. */
static bool agrees(const Group *group, int64_t job, const ResolverBuild *build) {
        for (size_t i = 0; i < group->count; i++) {
                const ResolverInput *input = &group->problem->inputs[group->inputs[i]];
                if (group->candidates[i] && lists(input, job) &&
                    !has_output(build, input->resource_id, group->candidates[i]->version))
                        return false;
        }
        return true;
}

/* Reference 05 §4.9: a rerun of the last used build is not newer than it, and stands in neither segment ahead. */
static bool is_newer(const ResolverBuild *build, const ResolverBuild *used) {
        int64_t canonical = build->rerun_of ? build->rerun_of : build->id;

        if (!used->rerun_of)
                return canonical > used->id;
        return canonical > used->rerun_of ||
               (build->rerun_of == used->rerun_of && build->id > used->id);
}

static bool is_older(const ResolverBuild *build, const ResolverBuild *used) {
        int64_t canonical = build->rerun_of ? build->rerun_of : build->id;

        if (!used->rerun_of)
                return canonical < used->id;
        return canonical < used->rerun_of || build->id == used->rerun_of ||
               (build->rerun_of == used->rerun_of && build->id < used->id);
}

/* The build of job that fed the last use; false when its pipes name none. */
static bool piped_build(const Group *group, int64_t job, int64_t *ret) {
        for (size_t i = 0; group->last_used && i < group->last_used->pipe_count; i++)
                if (group->last_used->passed_job_ids[i] == job) {
                        *ret = group->last_used->passed_build_ids[i];
                        return true;
                }
        return false;
}

static void add_attempts(GArray *attempts, const Group *group, const ResolverJob *job,
                         bool filter) {
        for (size_t i = 0; i < job->build_count; i++)
                if (!filter || agrees(group, job->job_id, &job->builds[i]))
                        g_array_append_val(attempts, ((Attempt){ .build = &job->builds[i] }));
}

static void add_attempts_every(GArray *attempts, const Group *group, const ResolverJob *job,
                               int64_t used_id, bool filter) {
        const ResolverBuild gone = { .id = used_id };
        const ResolverBuild *used = &gone;

        for (size_t i = 0; i < job->build_count; i++)
                if (job->builds[i].id == used_id)
                        used = &job->builds[i];
        for (size_t i = job->build_count; i > 0; i--)
                if (is_newer(&job->builds[i - 1], used))
                        g_array_append_val(attempts, ((Attempt){ .build = &job->builds[i - 1],
                                                                 .unused = true }));
        for (size_t i = 0; i < job->build_count; i++) {
                const ResolverBuild *build = &job->builds[i];
                if ((build == used || is_older(build, used)) &&
                    (!filter || agrees(group, job->job_id, build)))
                        g_array_append_val(attempts, ((Attempt){ .build = build }));
        }
}

/* Returns new, or NULL when the job had better wait for the input's other passed jobs to pick first. */
static GArray *builds_to_try(const Group *group, size_t index, int64_t job_id) {
        const ResolverInput *input = &group->problem->inputs[group->inputs[index]];
        const ResolverJob *job = find_job(group->problem, job_id);
        bool chosen = group->candidates[index] != NULL;
        int64_t used;

        if (input->every && !chosen && !piped_build(group, job_id, &used))
                for (size_t i = 0; i < input->passed_count; i++)
                        if (piped_build(group, input->passed[i], &used))
                                return NULL;

        GArray *attempts = g_array_new(FALSE, FALSE, sizeof(Attempt));
        if (!job)
                return attempts;
        if (input->every && piped_build(group, job_id, &used))
                add_attempts_every(attempts, group, job, used, chosen);
        else
                add_attempts(attempts, group, job, chosen);
        return attempts;
}

/* ---- the search: depth first, the first solution wins (reference 05 §4.5) ---- */

static bool resolve_all(Group *group);

/* What accepting a build changed, so that it can be taken back. */
typedef struct {
        Candidate **old;
        bool *changed;
} Undo;

typedef enum { SCAN_ON, SCAN_STOP, SCAN_MISMATCH } Scan;

static Scan offer_output(Group *group, int64_t job, const Attempt *attempt,
                         const ResolverOutput *output, Undo *undo) {
        for (size_t k = 0; k < group->count; k++) {
                const ResolverInput *input = &group->problem->inputs[group->inputs[k]];
                if (undo->changed[k] || input->resource_id != output->resource_id ||
                    !lists(input, job))
                        continue;
                if (group->candidates[k] && group->candidates[k]->version != output->version_id)
                        return SCAN_MISMATCH;
                const ResolverVersion *version = find_version(group->problem, output->resource_id,
                                                              output->version_id);
                if (version && version->disabled)
                        continue;
                if (group->pins[k] && group->pins[k]->id != output->version_id)
                        continue;
                if (!group->candidates[k] && !version)
                        return SCAN_STOP;
                undo->changed[k] = true;
                undo->old[k] = group->candidates[k];
                group->candidates[k] = candidate_with(undo->old[k], output->version_id, job,
                                                      attempt->build->id, attempt->unused);
        }
        return SCAN_ON;
}

static bool is_doomed(const Group *group) {
        for (size_t i = 0; i < group->count; i++)
                if (group->doomed[i] !=
                    (group->candidates[i] ? group->candidates[i]->version : NO_VERSION))
                        return false;
        return group->have_doomed;
}

static void remember_doomed(Group *group) {
        group->have_doomed = true;
        for (size_t i = 0; i < group->count; i++)
                group->doomed[i] = group->candidates[i] ? group->candidates[i]->version
                                                        : NO_VERSION;
}

static bool try_build(Group *group, size_t index, int64_t job, const Attempt *attempt) {
        g_autofree Candidate **old = g_new0(Candidate *, group->count);
        g_autofree bool *changed = g_new0(bool, group->count);
        Undo undo = { .old = old, .changed = changed };
        Scan scan = SCAN_ON;
        bool solved = false;

        for (size_t i = 0; i < attempt->build->output_count && scan == SCAN_ON; i++)
                scan = offer_output(group, job, attempt, &attempt->build->outputs[i], &undo);

        if (scan != SCAN_MISMATCH && group->candidates[index] &&
            vouched_by(group->candidates[index], job) && !is_doomed(group)) {
                solved = resolve_all(group);
                if (!solved)
                        remember_doomed(group);
        }
        for (size_t k = 0; k < group->count; k++)
                if (changed[k] && solved)
                        candidate_free(old[k]);
                else if (changed[k]) {
                        candidate_free(group->candidates[k]);
                        group->candidates[k] = old[k];
                }
        return solved;
}

static bool satisfy(Group *group, size_t index) {
        const ResolverInput *input = &group->problem->inputs[group->inputs[index]];

        for (size_t i = 0; i < input->passed_count; i++) {
                int64_t job = input->passed[i];
                if (group->candidates[index] && vouched_by(group->candidates[index], job))
                        continue;
                g_autoptr(GArray) attempts = builds_to_try(group, index, job);
                if (!attempts)
                        continue;
                for (size_t a = 0; a < attempts->len; a++)
                        if (try_build(group, index, job, &g_array_index(attempts, Attempt, a)))
                                return true;
                return false;
        }
        return true;
}

static bool resolve_all(Group *group) {
        for (size_t i = 0; i < group->count; i++)
                if (!satisfy(group, i))
                        return false;
        return true;
}

/* ---- groups ---- */

static bool share_a_job(const ResolverInput *a, const ResolverInput *b) {
        for (size_t i = 0; i < a->passed_count; i++)
                if (lists(b, a->passed[i]))
                        return true;
        return false;
}

/* Gives every input with passed the number of its group: the transitive closure of sharing a job. */
static void number_groups(const ResolverCase *problem, size_t *ret) {
        for (size_t i = 0; i < problem->input_count; i++)
                ret[i] = i;
        for (size_t i = 0; i < problem->input_count; i++)
                for (size_t k = 0; k < i; k++) {
                        if (ret[i] == ret[k] ||
                            !share_a_job(&problem->inputs[i], &problem->inputs[k]))
                                continue;
                        size_t from = MAX(ret[i], ret[k]), to = MIN(ret[i], ret[k]);
                        for (size_t n = 0; n <= i; n++)
                                if (ret[n] == from)
                                        ret[n] = to;
                }
}

static bool find_pins(Group *group, char **ret_error) {
        for (size_t i = 0; i < group->count; i++) {
                const ResolverInput *input = &group->problem->inputs[group->inputs[i]];
                if (!input->pin)
                        continue;
                group->pins[i] = find_pinned(group->problem, input);
                if (!group->pins[i]) {
                        *ret_error = pin_not_found(input->pin);
                        return false;
                }
        }
        return true;
}

static void find_last_used(Group *group) {
        const ResolverVersion *version;

        for (size_t i = 0; i < group->count && !group->last_used; i++) {
                const ResolverInput *input = &group->problem->inputs[group->inputs[i]];
                if (input->every)
                        group->last_used = highest_use(group->problem, input->resource_id,
                                                       &version);
        }
}

/* A passed job that never succeeded settles it without a search. */
static bool every_job_has_builds(const Group *group) {
        for (size_t i = 0; i < group->count; i++) {
                const ResolverInput *input = &group->problem->inputs[group->inputs[i]];
                for (size_t j = 0; j < input->passed_count; j++) {
                        const ResolverJob *job = find_job(group->problem, input->passed[j]);
                        if (!job || job->build_count == 0)
                                return false;
                }
        }
        return true;
}

static void resolve_group(const ResolverCase *problem, const size_t *inputs, size_t count,
                          ResolverResult *result) {
        g_autofree Candidate **candidates = g_new0(Candidate *, count);
        g_autofree const ResolverVersion **pins = g_new0(const ResolverVersion *, count);
        g_autofree int64_t *doomed = g_new0(int64_t, count);
        g_autofree char *error = NULL;
        Group group = { .problem = problem,
                        .inputs = inputs,
                        .count = count,
                        .candidates = candidates,
                        .pins = pins,
                        .doomed = doomed };
        bool solved = find_pins(&group, &error);

        if (solved) {
                find_last_used(&group);
                solved = every_job_has_builds(&group) && resolve_all(&group);
        }
        for (size_t i = 0; i < count; i++) {
                ResolverAnswer *answer = &result->answers[inputs[i]];
                if (solved && candidates[i]) {
                        answer->version_id = candidates[i]->version;
                        g_array_append_vals(answer->passed_builds, candidates[i]->sources->data,
                                            candidates[i]->sources->len);
                        result->has_next = result->has_next || candidates[i]->has_next;
                } else
                        answer->error = g_strdup(
                                error ? error
                                      : "no satisfiable builds from passed jobs found for set of inputs");
                candidate_free(candidates[i]);
        }
}

static bool was_used(const ResolverCase *problem, const ResolverInput *input, int64_t version) {
        for (size_t i = 0; i < problem->use_count; i++)
                if (problem->uses[i].resource_id == input->resource_id &&
                    problem->uses[i].version_id == version &&
                    g_str_equal(problem->uses[i].input_name, input->name))
                        return true;
        return false;
}

void resolver_run(const ResolverCase *problem, ResolverResult *ret) {
        g_autofree size_t *groups = g_new0(size_t, problem->input_count);
        g_autofree size_t *members = g_new0(size_t, problem->input_count);

        *ret = (ResolverResult){ .answers = g_new0(ResolverAnswer, problem->input_count),
                                 .answer_count = problem->input_count,
                                 .resolved = true };
        for (size_t i = 0; i < problem->input_count; i++)
                ret->answers[i].passed_builds = g_array_new(FALSE, FALSE, sizeof(int64_t));

        number_groups(problem, groups);
        for (size_t i = 0; i < problem->input_count; i++) {
                size_t count = 0;
                if (problem->inputs[i].passed_count == 0) {
                        resolve_alone(problem, &problem->inputs[i], &ret->answers[i],
                                      &ret->has_next);
                        continue;
                }
                if (groups[i] != i)
                        continue;
                for (size_t k = i; k < problem->input_count; k++)
                        if (groups[k] == i && problem->inputs[k].passed_count > 0)
                                members[count++] = k;
                resolve_group(problem, members, count, ret);
        }

        for (size_t i = 0; i < problem->input_count; i++) {
                ResolverAnswer *answer = &ret->answers[i];
                if (answer->version_id == NO_VERSION)
                        ret->resolved = false;
                else
                        answer->first_occurrence = !was_used(problem, &problem->inputs[i],
                                                             answer->version_id);
        }
}

void resolver_result_clear(ResolverResult *result) {
        for (size_t i = 0; i < result->answer_count; i++) {
                g_free(result->answers[i].error);
                g_array_unref(result->answers[i].passed_builds);
        }
        g_free(result->answers);
        *result = (ResolverResult){ 0 };
}
