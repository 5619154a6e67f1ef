#include "base/files.h"
#include "base/json.h"
#include "scheduler/resolver.h"

#include <string.h>

/* A case as the recordings write it: names instead of ids. Everything it points to lives in `memory`. */
typedef struct {
        GPtrArray *memory;
        GHashTable *versions; /* version name → id */
        GPtrArray *names;     /* id - 1 → version name */
        ResolverCase problem;
} Loaded;

static void *keep(Loaded *loaded, size_t size, size_t count) {
        void *memory = g_malloc0_n(MAX(count, 1), size);
        g_ptr_array_add(loaded->memory, memory);
        return memory;
}

static int64_t version_id(Loaded *loaded, const char *name) {
        int64_t id = GPOINTER_TO_INT(g_hash_table_lookup(loaded->versions, name));
        if (id == 0) {
                g_ptr_array_add(loaded->names, (void *) name);
                id = (int64_t) loaded->names->len;
                g_hash_table_insert(loaded->versions, (void *) name, GINT_TO_POINTER((int) id));
        }
        return id;
}

static int64_t id_of(const Value *rows, const char *name) {
        for (size_t i = 0; i < value_length(rows); i++)
                if (g_str_equal(value_get_string(value_at(rows, i), "name", ""), name))
                        return value_get_int(value_at(rows, i), "id", 0);
        return 0;
}

static const char *text_of(const Value *row, const char *key) {
        return value_get_string(row, key, "");
}

static bool is_disabled(const Value *effective, const Value *version) {
        const Value *rows = value_get(effective, "disabled_versions");
        for (size_t i = 0; i < value_length(rows); i++)
                if (g_str_equal(text_of(value_at(rows, i), "resource"),
                                text_of(version, "resource")) &&
                    g_str_equal(text_of(value_at(rows, i), "version"), text_of(version, "version")))
                        return true;
        return false;
}

static int newest_version_first(const void *a, const void *b) {
        int64_t left = ((const ResolverVersion *) a)->check_order,
                right = ((const ResolverVersion *) b)->check_order;
        return left < right ? 1 : left > right ? -1 : 0;
}

static void load_versions(Loaded *loaded, const Value *effective) {
        const Value *resources = value_get(effective, "resources"),
                    *rows = value_get(effective, "versions");
        ResolverResource *list = keep(loaded, sizeof(ResolverResource), value_length(resources));

        for (size_t r = 0; r < value_length(resources); r++) {
                ResolverVersion *versions = keep(loaded, sizeof(ResolverVersion),
                                                 value_length(rows));
                size_t count = 0;
                for (size_t i = 0; i < value_length(rows); i++) {
                        const Value *row = value_at(rows, i);
                        if (!g_str_equal(text_of(row, "resource"),
                                         text_of(value_at(resources, r), "name")))
                                continue;
                        Value *map = value_map();
                        value_map_set_string(map, "ver", text_of(row, "version"));
                        versions[count++] = (ResolverVersion){
                                .id = version_id(loaded, text_of(row, "version")),
                                .check_order = value_get_int(row, "check_order", 0),
                                .disabled = is_disabled(effective, row),
                                .version = map
                        };
                }
                if (!value_get_bool(value_at(resources, r), "has_scope", true))
                        count = 0;
                qsort(versions, count, sizeof *versions, newest_version_first);
                list[r] = (ResolverResource){ .resource_id = value_get_int(value_at(resources, r),
                                                                           "id", 0),
                                              .versions = versions,
                                              .version_count = count };
        }
        loaded->problem.resources = list;
        loaded->problem.resource_count = value_length(resources);
}

static int by_resource(const void *a, const void *b) {
        int64_t left = ((const ResolverOutput *) a)->resource_id,
                right = ((const ResolverOutput *) b)->resource_id;
        return left < right ? -1 : left > right ? 1 : 0;
}

static ResolverBuild load_build(Loaded *loaded, const Value *effective, const Value *build) {
        static const char *const tables[] = { "build_outputs", "build_inputs" };
        int64_t id = value_get_int(build, "id", 0);
        size_t room = value_length(value_get(effective, tables[0])) +
                      value_length(value_get(effective, tables[1])),
               count = 0;
        ResolverOutput *outputs = keep(loaded, sizeof(ResolverOutput), room);

        for (size_t t = 0; t < G_N_ELEMENTS(tables); t++) {
                const Value *rows = value_get(effective, tables[t]);
                for (size_t i = 0; i < value_length(rows); i++)
                        if (value_get_int(value_at(rows, i), "build_id", 0) == id)
                                outputs[count++] = (ResolverOutput){
                                        .resource_id = id_of(
                                                value_get(effective, "resources"),
                                                text_of(value_at(rows, i), "resource")),
                                        .version_id = version_id(
                                                loaded, text_of(value_at(rows, i), "version")),
                                };
        }
        /* Insertion sort: stable, so puts stay before gets. */
        for (size_t i = 1; i < count; i++)
                for (size_t k = i; k > 0 && by_resource(&outputs[k - 1], &outputs[k]) > 0; k--) {
                        ResolverOutput swap = outputs[k];
                        outputs[k] = outputs[k - 1];
                        outputs[k - 1] = swap;
                }
        return (ResolverBuild){ .id = id,
                                .rerun_of = value_get_int(build, "rerun_of", 0),
                                .outputs = outputs,
                                .output_count = count };
}

static int newest_build_first(const void *a, const void *b) {
        const ResolverBuild *left = a, *right = b;
        int64_t l = left->rerun_of ? left->rerun_of : left->id,
                r = right->rerun_of ? right->rerun_of : right->id;
        if (l != r)
                return l < r ? 1 : -1;
        return left->id < right->id ? 1 : left->id > right->id ? -1 : 0;
}

static void load_jobs(Loaded *loaded, const Value *effective) {
        const Value *jobs = value_get(effective, "jobs"), *builds = value_get(effective, "builds");
        ResolverJob *list = keep(loaded, sizeof(ResolverJob), value_length(jobs));

        for (size_t j = 0; j < value_length(jobs); j++) {
                ResolverBuild *of_job = keep(loaded, sizeof(ResolverBuild), value_length(builds));
                size_t count = 0;
                for (size_t i = 0; i < value_length(builds); i++)
                        if (g_str_equal(text_of(value_at(builds, i), "job"),
                                        text_of(value_at(jobs, j), "name")) &&
                            g_str_equal(text_of(value_at(builds, i), "status"), "succeeded"))
                                of_job[count++] = load_build(loaded, effective,
                                                             value_at(builds, i));
                qsort(of_job, count, sizeof *of_job, newest_build_first);
                list[j] = (ResolverJob){ .job_id = value_get_int(value_at(jobs, j), "id", 0),
                                         .builds = of_job,
                                         .build_count = count };
        }
        loaded->problem.jobs = list;
        loaded->problem.job_count = value_length(jobs);
}

static const Value *row_with_id(const Value *rows, int64_t id) {
        for (size_t i = 0; i < value_length(rows); i++)
                if (value_get_int(value_at(rows, i), "id", 0) == id)
                        return value_at(rows, i);
        return NULL;
}

static void load_pipes(Loaded *loaded, const Value *effective, ResolverUse *use) {
        const Value *pipes = value_get(effective, "build_pipes");
        int64_t *jobs = keep(loaded, sizeof(int64_t), value_length(pipes)),
                *builds = keep(loaded, sizeof(int64_t), value_length(pipes));

        for (size_t i = 0; i < value_length(pipes); i++) {
                const Value *pipe = value_at(pipes, i);
                if (value_get_int(pipe, "to_build_id", 0) != use->build_id)
                        continue;
                builds[use->pipe_count] = value_get_int(pipe, "from_build_id", 0);
                const Value *from = row_with_id(value_get(effective, "builds"),
                                                builds[use->pipe_count]);
                jobs[use->pipe_count++] = id_of(value_get(effective, "jobs"), text_of(from, "job"));
        }
        use->passed_job_ids = jobs;
        use->passed_build_ids = builds;
}

static int newest_use_first(const void *a, const void *b) {
        int64_t left = ((const ResolverUse *) a)->build_id,
                right = ((const ResolverUse *) b)->build_id;
        return left < right ? 1 : left > right ? -1 : 0;
}

static void load_uses(Loaded *loaded, const Value *effective, const char *job) {
        const Value *rows = value_get(effective, "build_inputs");
        ResolverUse *uses = keep(loaded, sizeof(ResolverUse), value_length(rows));
        size_t count = 0;

        for (size_t i = 0; i < value_length(rows); i++) {
                const Value *row = value_at(rows, i);
                const Value *build = row_with_id(value_get(effective, "builds"),
                                                 value_get_int(row, "build_id", 0));
                if (!g_str_equal(text_of(build, "job"), job))
                        continue;
                uses[count] = (ResolverUse){ .build_id = value_get_int(row, "build_id", 0),
                                             .input_name = text_of(row, "name"),
                                             .resource_id = id_of(value_get(effective, "resources"),
                                                                  text_of(row, "resource")),
                                             .version_id = version_id(loaded,
                                                                      text_of(row, "version")) };
                load_pipes(loaded, effective, &uses[count++]);
        }
        qsort(uses, count, sizeof *uses, newest_use_first);
        loaded->problem.uses = uses;
        loaded->problem.use_count = count;
}

static int ascending(const void *a, const void *b) {
        int64_t left = *(const int64_t *) a, right = *(const int64_t *) b;
        return left < right ? -1 : left > right ? 1 : 0;
}

static void load_inputs(Loaded *loaded, const Value *file) {
        const Value *rows = value_get(file, "inputs"), *effective = value_get(file, "effective");
        ResolverInput *inputs = keep(loaded, sizeof(ResolverInput), value_length(rows));

        for (size_t i = 0; i < value_length(rows); i++) {
                const Value *row = value_at(rows, i), *passed = value_get(row, "passed"),
                            *version = value_get(row, "version");
                int64_t *jobs = keep(loaded, sizeof(int64_t), value_length(passed));
                for (size_t k = 0; k < value_length(passed); k++)
                        jobs[k] = id_of(value_get(effective, "jobs"),
                                        value_text(value_at(passed, k)));
                qsort(jobs, value_length(passed), sizeof *jobs, ascending);
                inputs[i] = (ResolverInput){ .name = text_of(row, "name"),
                                             .resource_id = id_of(value_get(effective, "resources"),
                                                                  text_of(row, "resource")),
                                             .passed = jobs,
                                             .passed_count = value_length(passed),
                                             .every = g_strcmp0(value_text(version), "every") ==
                                                      0 };
                if (value_is(version, VALUE_MAP)) {
                        Value *pin = value_map();
                        value_map_set_string(pin, "ver", text_of(version, "pinned"));
                        inputs[i].pin = pin;
                }
        }
        loaded->problem.inputs = inputs;
        loaded->problem.input_count = value_length(rows);
}

static void loaded_clear(Loaded *loaded) {
        for (size_t i = 0; i < loaded->problem.resource_count; i++)
                for (size_t k = 0; k < loaded->problem.resources[i].version_count; k++)
                        value_free((Value *) loaded->problem.resources[i].versions[k].version);
        for (size_t i = 0; i < loaded->problem.input_count; i++)
                value_free((Value *) loaded->problem.inputs[i].pin);
        g_hash_table_unref(loaded->versions);
        g_ptr_array_unref(loaded->names);
        g_ptr_array_unref(loaded->memory);
}

static void load(Loaded *loaded, const Value *file) {
        *loaded = (Loaded){ .memory = g_ptr_array_new_with_free_func(g_free),
                            .versions = g_hash_table_new(g_str_hash, g_str_equal),
                            .names = g_ptr_array_new() };
        load_versions(loaded, value_get(file, "effective"));
        load_jobs(loaded, value_get(file, "effective"));
        load_uses(loaded, value_get(file, "effective"), text_of(file, "current_job"));
        load_inputs(loaded, file);
}

static void assert_passed_builds(const ResolverAnswer *answer, const Value *expect) {
        g_assert_cmpint(answer->passed_builds->len, ==, value_length(expect));
        for (size_t i = 0; i < value_length(expect); i++) {
                bool found = false;
                int64_t build = 0;
                g_assert_true(value_as_int(value_at(expect, i), &build));
                for (size_t k = 0; k < answer->passed_builds->len; k++)
                        found = found || g_array_index(answer->passed_builds, int64_t, k) == build;
                g_assert_true(found);
        }
}

static void check_input(const Loaded *loaded, const Value *expect, const ResolverInput *input,
                        const ResolverAnswer *answer) {
        const char *version = value_get_string(value_get(expect, "values"), input->name, NULL);
        const char *error = value_get_string(value_get(expect, "errors"), input->name, NULL);
        const Value *passed = value_get(value_get(expect, "passed_build_ids"), input->name);
        const Value *first = value_get(value_get(expect, "first_occurrence"), input->name);

        if (version)
                g_assert_cmpstr(g_ptr_array_index(loaded->names, answer->version_id - 1), ==,
                                version);
        g_assert_cmpstr(answer->error, ==, error);
        if (passed)
                assert_passed_builds(answer, passed);
        if (first)
                g_assert_cmpint(answer->first_occurrence, ==, value_as_bool(first));
}

static void recorded_case(const void *data) {
        g_autoptr(GError) error = NULL;
        size_t length;
        g_autofree char *text = file_read(data, 4 << 20, &length, &error);
        g_assert_no_error(error);
        g_autoptr(Value) file = json_parse(text, length, NULL, &error);
        g_assert_no_error(error);
        const Value *expect = value_get(file, "expect");
        Loaded loaded;
        g_auto(ResolverResult) result = { 0 };

        load(&loaded, file);
        resolver_run(&loaded.problem, &result);
        g_assert_cmpint(result.resolved, ==, value_get_bool(expect, "ok", false));
        if (!value_is_null(value_get(expect, "has_next")))
                g_assert_cmpint(result.has_next, ==, value_get_bool(expect, "has_next", false));
        for (size_t i = 0; i < loaded.problem.input_count; i++)
                check_input(&loaded, expect, &loaded.problem.inputs[i], &result.answers[i]);
        resolver_result_clear(&result);
        loaded_clear(&loaded);
}

static void no_recordings(void) {
        g_test_skip("WEIR_GOLDEN is not set: the recorded cases were not run");
}

/* ---- our own ---- */

static void a_chain_of_jobs_is_followed(void) {
        const ResolverVersion versions[] = { { .id = 2, .check_order = 2 },
                                             { .id = 1, .check_order = 1 } };
        const ResolverResource resources[] = {
                { .resource_id = 7, .versions = versions, .version_count = 2 }
        };
        const ResolverOutput outputs[] = { { 7, 1 } };
        const ResolverBuild builds[] = { { .id = 30, .outputs = outputs, .output_count = 1 } };
        const ResolverJob jobs[] = { { .job_id = 4, .builds = builds, .build_count = 1 } };
        const int64_t passed[] = { 4 };
        const ResolverInput inputs[] = {
                { .name = "a", .resource_id = 7 },
                { .name = "b", .resource_id = 7, .passed = passed, .passed_count = 1 }
        };
        const ResolverCase problem = { .inputs = inputs,
                                       .input_count = 2,
                                       .resources = resources,
                                       .resource_count = 1,
                                       .jobs = jobs,
                                       .job_count = 1 };
        g_auto(ResolverResult) result = { 0 };

        resolver_run(&problem, &result);
        g_assert_true(result.resolved);
        g_assert_cmpint(result.answers[0].version_id, ==, 2);
        g_assert_cmpint(result.answers[1].version_id, ==, 1);
        g_assert_cmpint(g_array_index(result.answers[1].passed_builds, int64_t, 0), ==, 30);
}

static void a_pin_that_matches_nothing_names_its_fields_in_order(void) {
        g_autoptr(Value) pin = value_map();
        value_map_set_string(pin, "ref", "abc");
        value_map_set_string(pin, "branch", "main");
        const ResolverInput inputs[] = { { .name = "a", .resource_id = 7, .pin = pin } };
        const ResolverCase problem = { .inputs = inputs, .input_count = 1 };
        g_auto(ResolverResult) result = { 0 };

        resolver_run(&problem, &result);
        g_assert_false(result.resolved);
        g_assert_cmpstr(result.answers[0].error, ==,
                        "pinned version branch:main ref:abc not found");
}

static void add_recorded_cases(GPtrArray *paths) {
        const char *golden = g_getenv("WEIR_GOLDEN");
        g_autofree char *folder = golden ? g_build_filename(golden, "scheduler", NULL) : NULL;
        g_autoptr(GDir) directory = folder ? g_dir_open(folder, 0, NULL) : NULL;
        const char *name;

        if (!directory) {
                g_test_add_func("/resolver/recorded", no_recordings);
                return;
        }
        while ((name = g_dir_read_name(directory)))
                if (g_str_has_suffix(name, ".json")) {
                        g_autofree char *test = g_strdup_printf("/resolver/recorded/%.*s",
                                                                (int) strlen(name) - 5, name);
                        char *path = g_build_filename(folder, name, NULL);
                        g_ptr_array_add(paths, path);
                        g_test_add_data_func(test, path, recorded_case);
                }
}

int main(int argc, char **argv) {
        g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/resolver/chain", a_chain_of_jobs_is_followed);
        g_test_add_func("/resolver/pin", a_pin_that_matches_nothing_names_its_fields_in_order);
        add_recorded_cases(paths);
        return g_test_run();
}
