/*
 * Plans every recorded job build again and compares the public plan, ids included, with the recorded one (WEIR_GOLDEN:
 * the folder of recordings; without it the test is skipped).
 */
#include <string.h>

#include "base/json.h"
#include "plan/across.h"
#include "plan/planner.h"

typedef struct {
        size_t same, different, skipped;
} Tally;

static Value *read_json(const char *folder, const char *name) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autofree char *text = NULL;
        size_t length;
        return g_file_get_contents(path, &text, &length, NULL)
                       ? json_parse(text, length, NULL, NULL)
                       : NULL;
}

static PipelineConfig *read_pipeline(const char *folder) {
        g_autofree char *path = g_build_filename(folder, "pipeline.yml", NULL);
        g_autofree char *text = NULL;
        size_t length;
        return g_file_get_contents(path, &text, &length, NULL)
                       ? pipeline_config_parse(text, length, PIPELINE_CONFIG_SAVE, NULL)
                       : NULL;
}

/* The versions of the gets in a recorded plan: what the scheduler had resolved. */
static void collect_inputs(const Value *plan, GArray *inputs) {
        const Value *get = value_get(plan, "get");
        if (value_has(get, "version")) {
                PlannerInput input = { value_get_string(get, "name", ""),
                                       value_get(get, "version") };
                g_array_append_val(inputs, input);
        }
        for (size_t i = 0; i < value_length(plan); i++)
                collect_inputs(value_at(plan, i), inputs);
}

static Plan *plan_again(const PipelineConfig *config, const Value *recorded, uint64_t *counter) {
        const Value *check = value_get(recorded, "check");
        const PlannerSpec spec = { .config = config, .counter = counter };
        if (check) {
                const PlannerCheck request = {
                        .resource = pipeline_config_resource(config,
                                                             value_get_string(check, "name", "")),
                        .resource_type = pipeline_config_resource_type(
                                config, value_get_string(check, "name", "")),
                };
                return request.resource || request.resource_type ? planner_check(&spec, &request)
                                                                 : NULL;
        }
        g_autoptr(GArray) inputs = g_array_new(FALSE, TRUE, sizeof(PlannerInput));
        collect_inputs(recorded, inputs);
        const JobConfig *job = pipeline_config_job(config, "j");
        return job ? planner_job(&spec, job, (PlannerInput *) inputs->data, inputs->len, NULL)
                   : NULL;
}

/* ---- across: what the event says the combinations became ---- */

/* The values of each var, taken from the combinations. */
static Value *values_of(const Value *substeps, size_t vars) {
        Value *values = value_list();
        for (size_t var = 0; var < vars; var++) {
                Value *list = value_list();
                for (size_t i = 0; i < value_length(substeps); i++) {
                        const Value *item = value_at(value_get(value_at(substeps, i), "values"),
                                                     var);
                        bool seen = false;
                        for (size_t j = 0; vars > 1 && j < value_length(list); j++)
                                seen |= value_equal(value_at(list, j), item);
                        if (!seen)
                                value_list_add(list, value_ref(item));
                }
                value_list_add(values, list);
        }
        return values;
}

static const Plan *find_in(const GPtrArray *roots, const char *id) {
        for (size_t i = 0; i < roots->len; i++) {
                const Plan *plan = plan_find(g_ptr_array_index(roots, i), id);
                if (plan)
                        return plan;
        }
        return NULL;
}

/* Compares one event; the plans it made join the roots, for across steps inside. */
static void compare_event(const char *folder, const Value *data, GPtrArray *roots,
                          GPtrArray *owners, Tally *tally) {
        const Value *substeps = value_get(data, "substeps");
        const Plan *across = find_in(roots, value_get_string(value_get(data, "origin"), "id", ""));
        if (!across || across->kind != PLAN_ACROSS || value_length(substeps) == 0)
                return;
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) values = values_of(substeps, across->across->vars->len);
        GPtrArray *made = across_substeps(across, values, &error);
        g_assert_no_error(error);
        g_ptr_array_add(owners, made);
        g_autoptr(Value) ours = value_list();
        for (size_t i = 0; i < made->len; i++) {
                const AcrossSubstep *substep = g_ptr_array_index(made, i);
                Value *entry = value_map();
                value_map_set(entry, "step", plan_to_public(substep->plan));
                value_map_set(entry, "values", value_ref(substep->values));
                value_list_add(ours, entry);
                g_ptr_array_add(roots, substep->plan);
        }
        g_autofree char *our_text = json_write(ours, JSON_SORTED, NULL);
        g_autofree char *their_text = json_write(substeps, JSON_SORTED, NULL);
        bool same = g_str_equal(our_text, their_text);
        tally->same += same;
        tally->different += !same;
        if (!same)
                g_test_message("DIFFERS %s\n  recorded: %s\n  ours:     %s", folder, their_text,
                               our_text);
}

static void compare_substeps(const char *folder, Plan *plan, Tally *tally) {
        g_autofree char *path = g_build_filename(folder, "events.jsonl", NULL);
        g_autofree char *text = NULL;
        if (!g_file_get_contents(path, &text, NULL, NULL))
                return;
        g_autoptr(GPtrArray) roots = g_ptr_array_new();
        g_autoptr(GPtrArray)
                owners = g_ptr_array_new_with_free_func((GDestroyNotify) g_ptr_array_unref);
        g_ptr_array_add(roots, plan);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++) {
                g_autoptr(Value) event = json_parse(*line, strlen(*line), NULL, NULL);
                if (g_str_equal(value_get_string(event, "event", ""), "across-substeps"))
                        compare_event(folder, value_get(event, "data"), roots, owners, tally);
        }
}

/* Ids count on from another number there: the root has the last. */
static void compare(const char *folder, const PipelineConfig *config, const Value *recorded,
                    Tally *tally) {
        uint64_t counter = 0;
        g_autoptr(Plan) trial = plan_again(config, recorded, &counter);
        if (!trial) {
                tally->skipped++;
                return;
        }
        uint64_t root = g_ascii_strtoull(value_get_string(recorded, "id", "0"), NULL, 16);
        uint64_t start = root - counter;
        g_autoptr(Plan) plan = plan_again(config, recorded, &start);
        g_autoptr(Value) ours = plan_to_public(plan);
        g_autofree char *our_text = json_write(ours, JSON_SORTED, NULL);
        g_autofree char *their_text = json_write(recorded, JSON_SORTED, NULL);
        if (!g_str_equal(our_text, their_text)) {
                tally->different++;
                g_test_message("DIFFERS %s\n  recorded: %s\n  ours:     %s", folder, their_text,
                               our_text);
                return;
        }
        /* What is stored must read back as itself. */
        g_autoptr(Value) stored = plan_to_value(plan);
        g_autoptr(GError) error = NULL;
        g_autoptr(Plan) again = plan_from_value(stored, &error);
        g_assert_no_error(error);
        g_autoptr(Value) twice = plan_to_value(again);
        g_assert_true(value_equal(stored, twice));
        tally->same++;
        compare_substeps(folder, plan, tally);
}

static void run_folder(const char *folder, const PipelineConfig *outer, Tally *tally) {
        g_autoptr(PipelineConfig) own = read_pipeline(folder);
        const PipelineConfig *config = own ? own : outer;
        g_autoptr(Value) recorded = read_json(folder, "plan.json");
        g_autoptr(Value) build = read_json(folder, "build.json");
        /* One-off builds are planned by the client. */
        if (value_has(recorded, "plan") && !config)
                tally->skipped++;
        bool one_off = !value_has(build, "job_name") &&
                       !value_has(value_get(recorded, "plan"), "check");
        if (recorded && config && !one_off && value_has(recorded, "plan"))
                compare(folder, config, value_get(recorded, "plan"), tally);
        g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
        for (const char *name = g_dir_read_name(dir); name; name = g_dir_read_name(dir)) {
                g_autofree char *path = g_build_filename(folder, name, NULL);
                if (g_file_test(path, G_FILE_TEST_IS_DIR))
                        run_folder(path, config, tally);
        }
}

static void plans_jobs_as_recorded(void) {
        const char *golden = g_getenv("WEIR_GOLDEN");
        if (!golden) {
                g_test_skip("WEIR_GOLDEN is not set");
                return;
        }
        g_autofree char *path = g_build_filename(golden, "builds", "given", NULL);
        Tally tally = {};
        run_folder(path, NULL, &tally);
        g_test_message("%zu same, %zu different, %zu skipped", tally.same, tally.different,
                       tally.skipped);
        if (tally.different > 0)
                g_test_fail();
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/golden/plans", plans_jobs_as_recorded);
        return g_test_run();
}
