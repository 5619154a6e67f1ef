/*
 * Plans every recorded job build again and compares the public plan, ids included, with the recorded one (WEIR_GOLDEN:
 * the folder of recordings; without it the test is skipped).
 */
#include <string.h>

#include "base/json.h"
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
}

static void run_folder(const char *folder, const PipelineConfig *outer, Tally *tally) {
        g_autoptr(PipelineConfig) own = read_pipeline(folder);
        const PipelineConfig *config = own ? own : outer;
        g_autoptr(Value) recorded = read_json(folder, "plan.json");
        g_autoptr(Value) build = read_json(folder, "build.json");
        /* One-off builds are planned by the client. */
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
