/* Sets a pipeline from a file (reference 04 §4.7, 03 §9). */
#include "base/fault.h"
#include "base/json.h"
#include "config/diff.h"
#include "config/instance_vars.h"
#include "config/validate.h"
#include "steps/artifact_file.h"
#include "steps/pipeline_file.h"
#include "steps/support.h"

#include <string.h>

typedef struct {
        const StepCall *call;
        Value *fields; /* of the plan, interpolated */
        int64_t team_id;
        const char *name;           /* borrowed */
        const Value *instance_vars; /* borrowed; NULL: none */
        PipelineConfig *config;
        Value *saved;       /* the config as it is stored */
        Pipeline *existing; /* NULL: it is new */
        int64_t version;    /* of the existing config */
} SetPipeline;

static void set_pipeline_clear(SetPipeline *set) {
        value_free(set->fields);
        pipeline_config_free(set->config);
        value_free(set->saved);
        pipeline_free(set->existing);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SetPipeline, set_pipeline_clear)

static Store *store_of(const SetPipeline *set) {
        return run_settings(set->call->run)->store;
}

static bool finish(const StepCall *call, bool succeeded, GError **error) {
        const char *id = call->plan->id;

        return run_emit_once(call->run, id, "finish", event_finish(id, succeeded, clock_now()),
                             error) &&
               step_finish(call, succeeded, NULL, error);
}

/* ---- what is set ---- */

static bool interpolate_fields(SetPipeline *set, GError **error) {
        const StepCall *call = set->call;
        const SetPipelinePlan *plan = call->plan->set_pipeline;
        g_autoptr(Value) fields = value_map();
        Value *files = value_list();

        for (size_t i = 0; plan->var_files && plan->var_files[i]; i++)
                value_list_add(files, value_string(plan->var_files[i]));
        value_map_set_string(fields, "file", plan->file);
        value_map_set_string(fields, "team", plan->team);
        value_map_set(fields, "vars", plan->vars ? value_ref(plan->vars) : value_null());
        value_map_set(fields, "var_files", files);
        value_map_set(fields, "instance_vars",
                      plan->instance_vars ? value_ref(plan->instance_vars) : value_null());
        set->fields = run_interpolate(call->run, call->scope, fields, VARS_FLOATS, error);
        return set->fields != NULL;
}

/* "self" is the build's own pipeline: neither another team's, nor another instance. */
static bool find_target(SetPipeline *set, GError **error) {
        const RunSpec *spec = run_spec(set->call->run);

        set->name = set->call->plan->set_pipeline->name;
        if (g_str_equal(set->name, "self")) {
                if (!spec->pipeline_name) {
                        g_set_error(error, ERROR, ERROR_INVALID,
                                    "pipeline 'self' is that of the build, and this build is of "
                                    "none");
                        return false;
                }
                g_autoptr(Value) fields = value_copy(set->fields);
                set->name = spec->pipeline_name;
                value_map_set_string(fields, "team", "");
                value_map_set(fields, "instance_vars",
                              spec->instance_vars ? value_ref(spec->instance_vars) : value_null());
                value_free(set->fields);
                set->fields = g_steal_pointer(&fields);
        }
        const Value *vars = value_get(set->fields, "instance_vars");
        set->instance_vars = value_length(vars) > 0 ? vars : NULL;
        return true;
}

/* NULL: both names are good. */
static const char *name_fault(const SetPipeline *set) {
        if (strchr(set->name, '/'))
                return "pipeline name cannot contain '/'";
        if (strchr(value_get_string(set->fields, "team", ""), '/'))
                return "team name cannot contain '/'";
        return NULL;
}

static Team *find_team(const SetPipeline *set, const char *name, GError **error) {
        g_autoptr(GError) local = NULL;
        Team *team = team_find(store_of(set), name, &local);

        if (error_is(local, ERROR_NOT_FOUND))
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "team %s not found", name);
        else if (local)
                g_propagate_error(error, g_steal_pointer(&local));
        return team;
}

static bool choose_team(SetPipeline *set, GError **error) {
        const RunSpec *spec = run_spec(set->call->run);
        const char *name = value_get_string(set->fields, "team", "");

        set->team_id = spec->team_id;
        if (!*name)
                return true;
        g_autoptr(Team) own = find_team(set, spec->team_name, error);
        g_autoptr(Team) target = own ? find_team(set, name, error) : NULL;
        if (!target)
                return false;
        set->team_id = target->id;
        if (own->id == target->id || own->admin)
                return true;
        g_set_error(error, ERROR, ERROR_DENIED, "only main team can set another team's pipeline");
        return false;
}

/* ---- its config ---- */

/* False: the step is over, or an error. */
static bool parse(SetPipeline *set, const char *text, size_t length, bool *ret_good,
                  GError **error) {
        const StepCall *call = set->call;
        g_autoptr(GError) why = NULL;

        set->config = pipeline_file_parse(call, text, length, set->fields, &why);
        *ret_good = set->config != NULL;
        if (set->config)
                return true;
        if (!cancel_check(call->cancel, error))
                return false;
        return step_say(call, &(StepText){ "parsing", "stderr" }, error,
                        "error parsing pipeline:\n") &&
               step_say(call, &(StepText){ "parse error", "stderr" }, error, "%s", why->message);
}

static bool validate(const SetPipeline *set, bool *ret_good, GError **error) {
        g_autoptr(ConfigFindings) findings = pipeline_config_validate(set->config);
        g_autoptr(GString) text = g_string_new(NULL);

        for (size_t i = 0; i < findings->warnings->len; i++)
                g_string_append_printf(
                        text, "WARNING: %s\n",
                        ((ConfigWarning *) g_ptr_array_index(findings->warnings, i))->message);
        *ret_good = findings->errors->len == 0;
        if (!*ret_good)
                g_string_append(text, "invalid pipeline:\n");
        for (size_t i = 0; i < findings->errors->len; i++)
                g_string_append_printf(text, "- %s",
                                       (char *) g_ptr_array_index(findings->errors, i));
        return text->len == 0 ||
               step_say(set->call, &(StepText){ "findings", "stderr" }, error, "%s", text->str);
}

/* Reads the file, says that the step begins, and whether there is something to set. */
static bool load(SetPipeline *set, bool *ret_good, GError **error) {
        const StepCall *call = set->call;
        const char *id = call->plan->id, *path = value_get_string(set->fields, "file", "");
        g_auto(ArtifactFile) file = { 0 };
        size_t length;

        if (!*path) {
                g_set_error(error, ERROR, ERROR_INVALID, "file is not specified");
                return false;
        }
        if (!artifact_file_parse(path, "config path", &file, error))
                return false;
        g_autofree char *text = artifact_file_read(call, &file, &length, error);
        if (!text || !run_emit_once(call->run, id, "start", event_start(id, clock_now()), error))
                return false;
        fault_here("step-started");
        return parse(set, text, length, ret_good, error) &&
               (!*ret_good || validate(set, ret_good, error));
}

/* ---- what is there, and what would change ---- */

static bool find_existing(SetPipeline *set, PipelineConfig **ret_config, GError **error) {
        g_autoptr(GError) local = NULL;

        set->existing = pipeline_find(store_of(set), set->team_id, set->name, set->instance_vars,
                                      &local);
        g_autoptr(Value) value = set->existing ? pipeline_config(store_of(set), set->existing->id,
                                                                 &set->version, &local)
                                               : NULL;
        *ret_config = NULL;
        if (error_is(local, ERROR_NOT_FOUND)) /* new, or archived: that has no config */
                return true;
        if (value)
                *ret_config = pipeline_config_from_value(value, PIPELINE_CONFIG_LENIENT, &local);
        if (*ret_config)
                return true;
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
}

/* *ret NULL: nothing. */
static bool compare(SetPipeline *set, char **ret, GError **error) {
        g_autoptr(PipelineConfig) before = NULL;
        g_autoptr(GError) local = NULL;

        if (!find_existing(set, &before, error))
                return false;
        *ret = pipeline_config_diff(before, set->config, true, &local);
        if (!local)
                return true;
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
}

/* ---- the journal: what another life must know to tell whether it was us who set the pipeline ---- */

static bool note_intent(const SetPipeline *set, bool changed, GError **error) {
        g_autoptr(Value) journal = value_map();
        g_autofree char *digest = json_digest(set->saved);

        value_map_set_bool(journal, "changed", changed);
        value_map_set_int(journal, "team", set->team_id);
        value_map_set_string(journal, "name", set->name);
        if (set->instance_vars)
                value_map_set(journal, "instance_vars", value_ref(set->instance_vars));
        value_map_set_int(journal, "parent", set->existing ? set->existing->parent_build_id : 0);
        value_map_set_string(journal, "digest", digest);
        return step_journal_save(set->call, BUILD_STEP_RUNNING, NULL, journal, error);
}

/* An earlier life saved it: it is this build's now, was not before, and has this config. */
static bool was_done(const StepCall *call, const BuildStep *before, bool *ret, GError **error) {
        const RunSpec *spec = run_spec(call->run);
        const Value *journal = before ? before->result : NULL;
        g_autoptr(GError) local = NULL;

        *ret = false;
        if (!value_has(journal, "digest"))
                return true;
        g_autoptr(Pipeline) pipeline = pipeline_find(
                spec->settings->store, value_get_int(journal, "team", 0),
                value_get_string(journal, "name", ""), value_get(journal, "instance_vars"), &local);
        g_autoptr(Value) config = pipeline ? pipeline_config(spec->settings->store, pipeline->id,
                                                             NULL, &local)
                                           : NULL;
        if (config) {
                g_autofree char *digest = json_digest(config);
                *ret = pipeline->parent_build_id == spec->build_id &&
                       value_get_int(journal, "parent", 0) != spec->build_id &&
                       g_str_equal(digest, value_get_string(journal, "digest", ""));
        }
        if (!local || error_is(local, ERROR_NOT_FOUND))
                return true;
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
}

/* ---- doing it ---- */

static bool emit_changed(const StepCall *call, bool changed, GError **error) {
        return run_emit_once(call->run, call->plan->id, "changed",
                             event_set_pipeline_changed(call->plan->id, changed), error);
}

/* What is left to say once the pipeline is as it should be. */
static bool conclude(const StepCall *call, bool changed, GError **error) {
        fault_here("output-saved");
        return (changed ? step_say(call, &(StepText){ "done", "stdout" }, error, "done\n")
                        : emit_changed(call, false, error)) &&
               finish(call, true, error);
}

static bool keep(const SetPipeline *set, GError **error) {
        const StepCall *call = set->call;
        const RunSpec *spec = run_spec(call->run);

        if (!step_say(call, &(StepText){ "unchanged", "stdout" }, error,
                      "no changes to apply.\n") ||
            !note_intent(set, false, error))
                return false;
        fault_here("journal-running");
        const PipelineParent parent = { .id = set->existing ? set->existing->id : 0,
                                        .parent_job_id = spec->job_id,
                                        .parent_build_id = spec->build_id,
                                        .lease = &spec->lease };
        if (set->existing && !pipeline_set_parent(store_of(set), &parent, error))
                return false;
        return conclude(call, false, error);
}

static bool save(const SetPipeline *set, GError **error) {
        const StepCall *call = set->call;
        const RunSpec *spec = run_spec(call->run);
        g_autoptr(GError) why = NULL;
        const PipelineSave what = { .team_id = set->team_id,
                                    .name = set->name,
                                    .instance_vars = set->instance_vars,
                                    .config = set->saved,
                                    .check_version = true,
                                    .from_version = set->version,
                                    .unpause_archived = true,
                                    .parent_job_id = spec->job_id,
                                    .parent_build_id = spec->build_id,
                                    .lease = &spec->lease };

        if (pipeline_save(store_of(set), &what, NULL, NULL, &why))
                return conclude(call, true, error);
        if (error_is(why, ERROR_DENIED))
                return step_say(call, &(StepText){ "superseded", "stderr" }, error,
                                "\033[1;33mWARNING: the pipeline was not saved because it was "
                                "already saved by a newer build\033[0m\n") &&
                       finish(call, true, error);
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
}

static bool change(const SetPipeline *set, const char *diff, GError **error) {
        const StepCall *call = set->call;
        g_autofree char *vars = instance_vars_format(set->instance_vars);

        if (!step_say(call, &(StepText){ "diff", "stdout" }, error, "%s", diff) ||
            !step_say(call, &(StepText){ "setting", "stdout" }, error, "setting pipeline: %s%s%s\n",
                      set->name, *vars ? "/" : "", vars) ||
            !emit_changed(call, true, error) || !note_intent(set, true, error))
                return false;
        fault_here("journal-running");
        return save(set, error);
}

static bool apply(SetPipeline *set, GError **error) {
        g_autofree char *diff = NULL;

        if (!choose_team(set, error) || !compare(set, &diff, error))
                return false;
        set->saved = pipeline_config_to_value(set->config);
        return diff ? change(set, diff, error) : keep(set, error);
}

/* ---- the step ---- */

static bool begin(SetPipeline *set, bool *ret_good, GError **error) {
        const StepCall *call = set->call;
        const char *id = call->plan->id;

        if (!run_emit_once(call->run, id, "initialize", event_initialize(id, clock_now()), error))
                return false;
        fault_here("step-initialized");
        if (!run_spec(call->run)->build_id) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "set_pipeline step not attached to a buildID");
                return false;
        }
        if (!interpolate_fields(set, error) || !find_target(set, error))
                return false;
        const char *fault = name_fault(set);
        *ret_good = !fault;
        return !fault ||
               step_say(call, &(StepText){ "name", "stderr" }, error, "ERROR: %s\n", fault);
}

static bool run_set_pipeline(const StepCall *call, bool *ret_succeeded, GError **error) {
        g_autoptr(BuildStep) before = NULL;
        g_auto(SetPipeline) set = { .call = call };
        bool done;

        if (!step_journal_find(call, &before, error))
                return false;
        if (step_journal_is_over(before)) {
                *ret_succeeded = before->state == BUILD_STEP_SUCCEEDED;
                return !step_journal_errored(before, error);
        }
        if (!was_done(call, before, &done, error))
                return false;
        *ret_succeeded = true;
        if (done)
                return conclude(call, value_get_bool(before->result, "changed", false), error);
        if (!begin(&set, ret_succeeded, error))
                return false;
        if (*ret_succeeded && !load(&set, ret_succeeded, error))
                return false;
        return *ret_succeeded ? apply(&set, error) : finish(call, false, error);
}

bool step_set_pipeline(const StepCall *call, bool *ret_succeeded, GError **error) {
        return step_guard(call, run_set_pipeline, ret_succeeded, error);
}
