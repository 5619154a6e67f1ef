#include "steps/artifact_file.h"
#include "steps/support.h"

#include "base/json.h"

#include <string.h>

/* ---- in place of a worker: one file ---- */

static const char *content;
static size_t content_length;

char *artifact_file_read(const StepCall *call, const ArtifactFile *file, size_t *ret_length,
                         GError **error) {
        *ret_length = content_length;
        return g_memdup2(content, content_length + 1);
}

static GString *said;

static bool emit(const Event *event, void *data, GError **error) {
        g_string_append_printf(said, "%s %s%s|", event->name,
                               value_get_string(event->data, "payload", ""),
                               value_get_string(event->data, "message", ""));
        return true;
}

typedef struct {
        Run *run;
        Scope *scope;
        bool ran;
        char *said;
} Result;

static void result_clear(Result *result) {
        run_free(result->run);
        scope_free(result->scope);
        g_free(result->said);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Result, result_clear)

static Result load(const char *file, const char *format, bool reveal) {
        static const StepSettings settings = { .redact_secrets = true };
        g_autoptr(Plan) plan = plan_new(g_strdup("1"), PLAN_LOAD_VAR);
        g_autoptr(Cancel) cancel = cancel_new(NULL);
        Result result = { .run = run_new(&(RunSpec){ .settings = &settings, .emit = emit }),
                          .scope = scope_new(NULL) };
        const StepCall call = { .run = result.run,
                                .scope = result.scope,
                                .plan = plan,
                                .cancel = cancel,
                                .shutdown = cancel };
        bool succeeded = false;

        plan_set_text(&plan->load_var->name, "v");
        plan_set_text(&plan->load_var->file, file);
        plan_set_text(&plan->load_var->format, format);
        plan->load_var->reveal = reveal;
        said = g_string_new(NULL);
        result.ran = step_load_var(&call, &succeeded, NULL);
        g_assert_cmpint(succeeded, ==, result.ran);
        result.said = g_string_free(said, FALSE);
        return result;
}

static void contains(const char *text) {
        content = text;
        content_length = strlen(text);
}

/* ---- values ---- */

static const struct {
        const char *file, *format, *text, *expect; /* as JSON */
} values[] = {
        { "a/f", "", " \n two words\t\n", "\"two words\"" },
        { "a/f", "", "\xc2\x85\u00a0\u2003\vx\u3000", "\"x\"" },
        { "a/f", "", "", "\"\"" },
        { "a/f", "", "\xff!", "\"\xef\xbf\xbd!\"" },
        { "a/f", "raw", " x\n", "\" x\\n\"" },
        { "a/f.raw", "", " x\n", "\" x\\n\"" },
        { "a/f.trim", "", " x\n", "\"x\"" },
        { "a/f.txt", "", " {}\n", "\"{}\"" },
        { "a/f.JSON", "", " {}\n", "\"{}\"" },
        { "a/x.json/f", "", "{} ", "\"{}\"" },
        { "a/f.json", "trim", " 1 ", "\"1\"" },
        { "a/f.json", "", " {\"b\":1.10,\"a\":[12345678901234567890,1E3]} \n",
          "{\"b\":1.10,\"a\":[12345678901234567890,1E3]}" },
        { "a/f", "json", "null", "null" },
        { "a/f.yml", "", "a: 1.10\nb: yes\nc: 0x10\nd: 9007199254740993\n",
          "{\"a\":1.1,\"b\":true,\"c\":16,\"d\":9007199254740993}" },
        { "a/f.yaml", "", "- x\n", "[\"x\"]" },
        { "a/f", "yaml", "", "null" },
};

static void a_file_becomes_a_var_by_its_format(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
                contains(values[i].text);
                g_auto(Result) result = load(values[i].file, values[i].format, true);
                g_assert_cmpstr(result.said, ==,
                                "initialize |start |log var v fetched.\n|log added var v to "
                                "build.\n|finish |");
                g_autoptr(Value) value = scope_var(result.scope, "v");
                g_autofree char *json = json_write(value, JSON_COMPACT, NULL);
                g_assert_cmpstr(json, ==, values[i].expect);
        }
}

/* ---- what goes wrong ---- */

static const struct {
        const char *file, *format, *text, *expect;
} faults[] = {
        { "f", "toml", "",
          "initialize |start |error file 'f' does not specify where the file lives|" },
        { "a/f", "toml", "", "initialize |start |error invalid format toml|" },
        { "a/f", "JSON", "", "initialize |start |error invalid format JSON|" },
        { "a/f.json", "", "{\"a\":",
          "initialize |start |error failed to parse a/f.json in format json: unexpected EOF|" },
        { "a/f.json", "", "",
          "initialize |start |error failed to parse a/f.json in format json: EOF|" },
        { "a/f", "json", "[,]",
          "initialize |start |error failed to parse a/f in format json: invalid character ',' looking for beginning "
          "of value|" },
        { "a/f", "json", "{} {}",
          "initialize |start |error failed to parse a/f in format json: invalid json: characters found after "
          "top-level value|" },
        { "a/f.yml", "", "[",
          "initialize |start |error failed to parse a/f.yml in format yaml: error converting YAML to JSON: yaml: "
          "line 1: did not find expected node content|" },
        { "((nope))/f", "", "", "initialize |error undefined vars: nope|" },
};

static void what_goes_wrong_is_told_on_the_step(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
                contains(faults[i].text);
                g_auto(Result) result = load(faults[i].file, faults[i].format, true);
                g_assert_false(result.ran);
                g_assert_cmpstr(result.said, ==, faults[i].expect);
                g_autoptr(Value) value = scope_var(result.scope, "v");
                g_assert_null(value);
        }
}

static void a_value_is_a_secret_unless_it_is_revealed(void) {
        contains("hunter2");
        for (int reveal = 0; reveal < 2; reveal++) {
                g_auto(Result) result = load("a/f", "", reveal);
                g_autofree char *shown = run_redact(result.run, "it is hunter2");
                g_assert_cmpstr(shown, ==, reveal ? "it is hunter2" : "it is ((redacted))");
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/load_var/values", a_file_becomes_a_var_by_its_format);
        g_test_add_func("/load_var/faults", what_goes_wrong_is_told_on_the_step);
        g_test_add_func("/load_var/secret", a_value_is_a_secret_unless_it_is_revealed);
        return g_test_run();
}
