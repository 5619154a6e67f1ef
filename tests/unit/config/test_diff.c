#include "config/diff.h"

#include <string.h>

static PipelineConfig *parse(const char *yaml) {
        g_autoptr(GError) error = NULL;
        PipelineConfig *config = pipeline_config_parse(yaml, strlen(yaml), PIPELINE_CONFIG_LENIENT,
                                                       &error);
        g_assert_no_error(error);
        return config;
}

static const struct {
        const char *before, *after, *expect; /* NULL: no changes */
} cases[] = {
        { "{}", "{}", NULL },
        { "jobs: [{name: a}, {name: b}]", "jobs: [{name: b}, {name: a}]", NULL },
        { "prototypes: [{name: p, type: t}]", "{}", NULL },
        { "resources: [{name: r, type: t, source: {n: 300}}]",
          "resources: [{name: r, type: t, source: {n: 300.0}}]", NULL },
        { "resources: [{name: foo, type: old}]", "resources: [{name: foo, type: new}]",
          "resources:\n  resource foo has changed:\n  name: foo\n  source: null\n  \b\b- type: old\n  \b\b+ type: new\n  "
          "\n" },
        { "{}", "jobs: [{name: a}]",
          "jobs:\n  job a has been added:\n  \b\b+ name: a\n  \b\b+ plan: null\n  \n" },
        { "resource_types: [{name: t, type: x}]", "{}",
          "resource types:\n  resource type t has been removed:\n  \b\b- name: t\n  \b\b- source: null\n  \b\b- type: x\n  "
          "\n" },
        { "groups: [{name: a}, {name: b}]", "groups: [{name: b}, {name: a}]",
          "groups:\n  group a has changed:\n  name: a\n  \n  group b has changed:\n  name: b\n  \n" },
        { "user_data: 1", "display: {background_image: x}",
          "  display configuration has been added:\n  \b\b+ background_image: x\n  \n  user_data has been removed:\n  \b\b- "
          "1\n  \n" },
};

static void shows_what_changes(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(PipelineConfig) before = parse(cases[i].before);
                g_autoptr(PipelineConfig) after = parse(cases[i].after);
                g_autofree char *text = pipeline_config_diff(before, after, false, &error);
                g_assert_no_error(error);
                g_assert_cmpstr(text, ==, cases[i].expect);
        }
}

static void colors_when_asked(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(PipelineConfig) after = parse("groups: [{name: g}]");
        g_autofree char *text = pipeline_config_diff(NULL, after, true, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(text, ==,
                        "groups:\n  \033[0;33mgroup g has been added:\033[0m\n"
                        "  \b\b\033[0;32m+\033[0m \033[0;32mname: g\033[0m\n  \n");
}

/* Recorded: what the stock client prints when these two are set one after the other. */
static void agrees_with_recordings(void) {
        const char *golden = g_getenv("WEIR_GOLDEN");
        if (!golden) {
                g_test_skip("WEIR_GOLDEN is not set");
                return;
        }
        static const char *const names[] = { "main.yml", "main2.yml", NULL };
        static const char *const outputs[] = { "028-set-main.txt", "030-set-main-diff.txt" };
        g_autoptr(PipelineConfig) before = NULL;
        for (size_t i = 0; names[i]; i++) {
                g_autofree char *path = g_build_filename(golden, "pipelines", names[i], NULL);
                g_autofree char *yaml = NULL, *recorded = NULL;
                g_assert_true(g_file_get_contents(path, &yaml, NULL, NULL));
                g_autofree char *output = g_build_filename(golden, "fly", outputs[i], NULL);
                g_assert_true(g_file_get_contents(output, &recorded, NULL, NULL));
                g_autoptr(PipelineConfig) after = parse(yaml);
                g_autofree char *text = pipeline_config_diff(before, after, true, NULL);
                const char *start = strstr(recorded, "--- stdout\n") + strlen("--- stdout\n");
                g_autofree char *expect = g_strndup(
                        start, (size_t) (strstr(start, "\033[1mpipeline name:") - start));
                g_assert_cmpstr(text, ==, expect);
                pipeline_config_free(before);
                before = g_steal_pointer(&after);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/diff/changes", shows_what_changes);
        g_test_add_func("/diff/colors", colors_when_asked);
        g_test_add_func("/diff/recorded", agrees_with_recordings);
        return g_test_run();
}
