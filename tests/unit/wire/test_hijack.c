#include "base/json.h"
#include "wire/hijack.h"

#include <string.h>

static GBytes *bytes(const char *text) {
        return text ? g_bytes_new(text, strlen(text)) : NULL;
}

/* As recorded, but for the directory. */
static void the_first_message_is_written_as_recorded(void) {
        g_auto(GardenProcessSpec) spec = { 0 };
        size_t length;
        garden_process_spec_init(&spec);
        spec.path = g_strdup("sh");
        g_ptr_array_add(spec.args, g_strdup("-c"));
        g_ptr_array_add(spec.args, g_strdup("echo onerr >&2; exit 3"));
        g_ptr_array_add(spec.env, g_strdup("TERM=xterm"));
        spec.directory = g_strdup("/tmp/build/x");
        g_autofree char *text = hijack_spec_write(&spec, &length);
        g_assert_cmpstr(text, ==,
                        "{\"path\":\"sh\",\"args\":[\"-c\",\"echo onerr \\u003e\\u00262; exit "
                        "3\"],\"env\":[\"TERM=xterm\"],\"dir\":\"/tmp/build/x\",\"privileged\":"
                        "true,\"user\":\"\",\"tty\":null}\n");
        g_assert_cmpuint(length, ==, strlen(text));
}

static void the_first_message_is_read_as_a_process(void) {
        g_auto(GardenProcessSpec) spec = { 0 }, read = { 0 };
        g_autoptr(GError) error = NULL;
        size_t length;
        garden_process_spec_init(&spec);
        spec.path = g_strdup("bash");
        spec.user = g_strdup("builder");
        spec.tty = true;
        spec.window = (GardenWindow){ 80, 24 };
        g_autofree char *text = hijack_spec_write(&spec, &length);
        g_assert_nonnull(strstr(text, "\"args\":null"));
        g_assert_nonnull(strstr(text, "\"tty\":{\"window_size\":{\"columns\":80,\"rows\":24}}}\n"));
        g_autoptr(Value) value = json_parse(text, length, NULL, &error);
        g_assert_true(garden_process_spec_parse(value, &read, &error));
        g_assert_no_error(error);
        g_assert_cmpstr(read.path, ==, "bash");
        g_assert_cmpstr(read.user, ==, "builder");
        g_assert_cmpuint(read.args->len, ==, 0);
        g_assert_true(read.tty);
        g_assert_cmpuint(read.window.columns, ==, 80);
}

static const struct {
        const char *text;
        HijackInputKind kind;
        const char *data;
        GardenWindow window;
} inputs[] = {
        { "{}\n", HIJACK_INPUT, NULL, { 0 } },
        { "{\"stdin\":\"aGk=\"}\n", HIJACK_INPUT, "hi", { 0 } },
        { "{\"stdin\":\"//4=\"}\n", HIJACK_INPUT, "\xff\xfe", { 0 } },
        { "{\"closed\":true}\n", HIJACK_INPUT_ENDED, NULL, { 0 } },
        { "{\"tty\":{\"window_size\":{\"columns\":132,\"rows\":43}}}\n",
          HIJACK_RESIZED,
          NULL,
          { 132, 43 } },
};

static void inputs_are_written_and_read(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(inputs); i++) {
                g_auto(HijackInput) read = { 0 };
                g_autoptr(GError) error = NULL;
                g_autoptr(GString) text = g_string_new(NULL);
                g_autoptr(GBytes) data = bytes(inputs[i].data);
                g_assert_true(
                        hijack_input_parse(inputs[i].text, strlen(inputs[i].text), &read, &error));
                g_assert_cmpint(read.kind, ==, inputs[i].kind);
                g_assert_cmpuint(read.window.columns, ==, inputs[i].window.columns);
                g_assert_cmpuint(read.window.rows, ==, inputs[i].window.rows);
                g_assert_true(!data || g_bytes_equal(data, read.data));
                hijack_input_append(text, &read);
                g_assert_cmpstr(text->str, ==, inputs[i].text);
        }
}

static void the_first_of_closed_tty_and_stdin_counts(void) {
        static const struct {
                const char *text;
                HijackInputKind kind;
        } cases[] = {
                { "{\"closed\":true,\"tty\":{},\"stdin\":\"aGk=\"}", HIJACK_INPUT_ENDED },
                { "{\"closed\":false,\"tty\":{},\"stdin\":\"aGk=\"}", HIJACK_RESIZED },
                { "{\"closed\":null,\"tty\":null,\"stdin\":\"aGk=\"}", HIJACK_INPUT },
                { "{\"closed\":null,\"tty\":null,\"stdin\":null,\"new\":[]}", HIJACK_INPUT },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_auto(HijackInput) read = { 0 };
                g_assert_true(
                        hijack_input_parse(cases[i].text, strlen(cases[i].text), &read, NULL));
                g_assert_cmpint(read.kind, ==, cases[i].kind);
        }
}

static void a_size_no_terminal_has_is_none(void) {
        static const char *const cases[] = {
                "{\"tty\":{}}",
                "{\"tty\":{\"window_size\":{\"columns\":0,\"rows\":24}}}",
                "{\"tty\":{\"window_size\":{\"columns\":65536,\"rows\":24}}}",
                "{\"tty\":{\"window_size\":{\"columns\":-1,\"rows\":24}}}",
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_auto(HijackInput) read = { 0 };
                g_assert_true(hijack_input_parse(cases[i], strlen(cases[i]), &read, NULL));
                g_assert_cmpint(read.kind, ==, HIJACK_RESIZED);
                g_assert_cmpuint(read.window.columns, ==, 0);
        }
}

static void what_is_no_message_is_refused(void) {
        static const char *const cases[] = {
                "",
                "null",
                "[]",
                "{",
                "{\"stdin\":1}",
                "{\"stdin\":\"*\"}",
                "{\"stdin\":\"aGk\0\"}",
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_auto(HijackInput) read = { 0 };
                g_autoptr(GError) error = NULL;
                g_assert_false(hijack_input_parse(cases[i], strlen(cases[i]), &read, &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
        }
}

static const struct {
        const char *text;
        HijackOutputKind kind;
        const char *data;
        int64_t status;
        const char *error;
} outputs[] = {
        { "{\"stdout\":\"aGlqYWNrZWQK\"}\n", HIJACK_STDOUT, "hijacked\n", 0, NULL },
        { "{\"stderr\":\"b25lcnIK\"}\n", HIJACK_STDERR, "onerr\n", 0, NULL },
        { "{\"exit_status\":3}\n", HIJACK_EXITED, NULL, 3, NULL },
        { "{\"exit_status\":0}\n", HIJACK_EXITED, NULL, 0, NULL },
        { "{\"executable_not_found\":true}\n", HIJACK_NO_EXECUTABLE, NULL, 0, NULL },
        { "{\"error\":\"idle timeout (1m0s) reached\"}\n", HIJACK_FAILED, NULL, 0,
          "idle timeout (1m0s) reached" },
        { "{}\n", HIJACK_NOTHING, NULL, 0, NULL },
};

static void outputs_are_written_and_read_as_recorded(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(outputs); i++) {
                g_auto(HijackOutput) read = { 0 };
                g_autoptr(GError) error = NULL;
                g_autoptr(GString) text = g_string_new(NULL);
                g_autoptr(GBytes) data = bytes(outputs[i].data);
                g_assert_true(hijack_output_parse(outputs[i].text, strlen(outputs[i].text), &read,
                                                  &error));
                g_assert_cmpint(read.kind, ==, outputs[i].kind);
                g_assert_cmpint(read.status, ==, outputs[i].status);
                g_assert_cmpstr(read.error, ==, outputs[i].error);
                g_assert_true(!data || g_bytes_equal(data, read.data));
                hijack_output_append(text, &read);
                g_assert_cmpstr(text->str, ==, outputs[i].text);
        }
}

static void a_missing_executable_is_known_by_its_text(void) {
        static const struct {
                const char *text;
                bool missing;
        } cases[] = {
                { "… process: exec: \"bash\": executable file not found in $PATH: unknown", true },
                { "… process: exec: \"/x\": stat /x: no such file or directory: unknown", true },
                { "… process: exec: \"/etc\": is a directory: unknown", false },
                { "chdir to cwd (\"/x\") set in config.json failed: no such file or directory",
                  false },
                { "idle timeout (1m0s) reached", false },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                g_assert_cmpint(hijack_error_is_no_executable(cases[i].text), ==, cases[i].missing);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hijack/spec/recorded", the_first_message_is_written_as_recorded);
        g_test_add_func("/hijack/spec/read", the_first_message_is_read_as_a_process);
        g_test_add_func("/hijack/input/both-ways", inputs_are_written_and_read);
        g_test_add_func("/hijack/input/order", the_first_of_closed_tty_and_stdin_counts);
        g_test_add_func("/hijack/input/size", a_size_no_terminal_has_is_none);
        g_test_add_func("/hijack/input/refused", what_is_no_message_is_refused);
        g_test_add_func("/hijack/output/both-ways", outputs_are_written_and_read_as_recorded);
        g_test_add_func("/hijack/output/missing", a_missing_executable_is_known_by_its_text);
        return g_test_run();
}
