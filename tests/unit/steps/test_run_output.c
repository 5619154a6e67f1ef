#include "steps/run.h"

#include <string.h>

/* What was emitted, payloads between bars. */
static GString *emitted;

static bool emit(const Event *event, void *data, GError **error) {
        const Value *payload = value_get(event->data, "payload");
        g_assert_cmpstr(event->name, ==, "log");
        g_string_append_len(emitted, value_text(payload), (gssize) value_text_length(payload));
        g_string_append_c(emitted, '|');
        return true;
}

static Run *open_run(const char *secret) {
        static const StepSettings settings = { .redact_secrets = true };
        Run *run = run_new(&(RunSpec){ .settings = &settings, .emit = emit });
        g_autoptr(Value) value = value_string(secret);
        redactor_track(run_redactor(run), value);
        g_string_truncate(emitted, 0);
        return run;
}

static void write_all(RunOutput *output, const char *const *parts) {
        int64_t offset = 0;
        for (; *parts; parts++) {
                g_autoptr(GError) error = NULL;
                g_assert_true(run_output_write(output, *parts, strlen(*parts), offset, &error));
                g_assert_no_error(error);
                offset += (int64_t) strlen(*parts);
        }
}

static const struct {
        const char *secret;                    /* NULL: none */
        const char *parts[6], *before, *after; /* the flush */
} cases[] = {
        { NULL, { "a", "b\n", "c" }, "a|b\n|c|", "a|b\n|c|" },
        /* UTF-8 cut anywhere */
        { NULL, { "\xc3", "\xa4x" }, "\xc3\xa4x|", "\xc3\xa4x|" },
        { NULL, { "a\xe2", "\x82", "\xac" }, "a|\xe2\x82\xac|", "a|\xe2\x82\xac|" },
        { NULL, { "\xf0\x9f\x98", "\x80" }, "\xf0\x9f\x98\x80|", "\xf0\x9f\x98\x80|" },
        /* with secrets: whole lines */
        { "hunter2", { "a", "b" }, "", "ab|" },
        { "hunter2", { "a\nb", "c\nd" }, "a\n|bc\n|", "a\n|bc\n|d|" },
        { "hunter2", { "10%\r20%\r30" }, "10%\r20%\r|", "10%\r20%\r|30|" },
        { "hunter2", { "a\rb\nc\rd" }, "a\rb\n|", "a\rb\n|c\rd|" },
        /* a secret split over writes */
        { "hunter2", { "x hun", "ter2 y\n" }, "x ((redacted)) y\n|", "x ((redacted)) y\n|" },
        { "hunter2", { "h", "u", "nter", "2" }, "", "((redacted))|" },
        { "hunter2\nsecond",
          { "hunter2\nsec", "ond\n" },
          "((redacted))\n|((redacted))\n|",
          "((redacted))\n|((redacted))\n|" },
};

static void output_is_cut_where_it_may_be(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Run) run = open_run(cases[i].secret);
                g_autoptr(RunOutput) output = run_output_new(run, "1", NULL, "stdout");
                g_autoptr(GError) error = NULL;
                write_all(output, cases[i].parts);
                g_assert_cmpstr(emitted->str, ==, cases[i].before);
                g_assert_true(run_output_flush(output, &error));
                g_assert_cmpstr(emitted->str, ==, cases[i].after);
        }
}

static void a_long_line_goes_out_but_no_secret_is_cut(void) {
        for (size_t shift = 0; shift < 14; shift++) {
                g_autoptr(Run) run = open_run("hunter2hunter2");
                g_autoptr(RunOutput) output = run_output_new(run, "1", NULL, "stdout");
                g_autoptr(GString) line = g_string_new(NULL);
                g_autoptr(GError) error = NULL;
                while (line->len < 64 * 1024)
                        g_string_append_c(line, '.');
                g_string_append(line, "hunter2hunter2");
                size_t first = line->len - shift;
                g_assert_true(run_output_write(output, line->str, first, 0, &error));
                g_assert_cmpint(emitted->len, >, 60 * 1024);
                g_assert_true(run_output_write(output, line->str + first, shift, (int64_t) first,
                                               &error));
                g_assert_true(run_output_flush(output, &error));
                g_assert_null(strstr(emitted->str, "un"));
                g_assert_nonnull(strstr(emitted->str, "((redacted))"));
        }
}

static void invalid_bytes_do_not_wait_for_ever(void) {
        g_autoptr(Run) run = open_run(NULL);
        g_autoptr(RunOutput) output = run_output_new(run, "1", NULL, "stdout");
        g_autoptr(GError) error = NULL;
        g_assert_true(run_output_write(output, "\xa0\xa0\xa0\xa0", 4, 0, &error));
        g_assert_cmpint(emitted->len, >, 0);
        g_assert_true(run_output_write(output, "a\xf0", 2, 4, &error));
        g_assert_true(run_output_flush(output, &error));
        g_assert_true(g_str_has_suffix(emitted->str, "|"));
}

static void our_own_text_is_an_event_by_itself(void) {
        g_autoptr(Run) run = open_run("hunter2");
        g_autoptr(RunOutput) output = run_output_new(run, "1", NULL, "stdout");
        g_autoptr(GError) error = NULL;
        g_assert_true(run_output_text(output, "INFO: hunter2", &error));
        g_assert_cmpstr(emitted->str, ==, "INFO: ((redacted))|");
}

int main(int argc, char **argv) {
        emitted = g_string_new(NULL);
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/run-output/cases", output_is_cut_where_it_may_be);
        g_test_add_func("/run-output/long", a_long_line_goes_out_but_no_secret_is_cut);
        g_test_add_func("/run-output/invalid", invalid_bytes_do_not_wait_for_ever);
        g_test_add_func("/run-output/text", our_own_text_is_an_event_by_itself);
        int status = g_test_run();
        g_string_free(emitted, true);
        return status;
}
