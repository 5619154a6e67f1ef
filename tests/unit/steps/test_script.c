#include "steps/script.h"

#include "base/json.h"

#include <string.h>

static const struct {
        const char *output, *versions; /* NULL: refused */
} answers[] = {
        { "", "[]" },
        { "[]", "[]" },
        { "null", "[]" },
        { "[{'ref':'a'},{'ref':'b'}]\n", "[{'ref':'a'},{'ref':'b'}]" },
        { "[{'ref':'a'}] trailing nonsense", "[{'ref':'a'}]" },
        { "[{'ref':'a'}][{'ref':'b'}]", "[{'ref':'a'}]" },
        { "  \n", NULL },
        { "{}", NULL },
        { "'text'", NULL },
        { "[{'ref':1}]", NULL },
        { "[{'ref':true}]", NULL },
        { "[{'ref':{'a':'b'}}]", NULL },
        { "['a']", NULL },
        { "[1]", NULL },
        { "[{'ref':'a'}", NULL },
        { "nonsense", NULL },
};

static void the_first_value_is_a_list_of_maps_of_text(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
                g_autofree char *output = g_strdelimit(g_strdup(answers[i].output), "'", '"');
                const ScriptResult result = { .output = output, .length = strlen(output) };
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) versions = script_versions(&result, &error);
                g_autofree char *text = versions ? g_strdelimit(
                                                           json_write(versions, JSON_COMPACT, NULL),
                                                           "\"", '\'')
                                                 : NULL;
                if (g_strcmp0(text, answers[i].versions) != 0)
                        g_error("%s: %s", answers[i].output, text);
                g_assert_cmpint(error != NULL, ==, versions == NULL);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/script/versions", the_first_value_is_a_list_of_maps_of_text);
        return g_test_run();
}
