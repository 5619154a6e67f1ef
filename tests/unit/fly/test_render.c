#include "fly/render.h"

#include <string.h>

static const char *const failed_task[] = {
        "{\"event\":\"log\",\"version\":\"5.1\",\"data\":{\"time\":0,\"payload\":\"a\\nb\"}}",
        "{\"event\":\"log\",\"version\":\"5.1\",\"data\":{\"time\":0,\"payload\":\"c\\n\"}}",
        "{\"event\":\"finish-task\",\"version\":\"4.0\",\"data\":{\"time\":0,\"exit_status\":42}}",
        "{\"event\":\"status\",\"version\":\"1.0\",\"data\":{\"time\":0,\"status\":\"failed\"}}",
        NULL,
};

/* Renders whole events until the build's end. Returns new. */
static char *render_all(const char *const *events, bool timestamps, int *ret_status) {
        const Fly fly = { 0 };
        char *text = NULL;
        size_t length = 0;
        FILE *out = open_memstream(&text, &length);
        Render render = { .fly = &fly, .out = out, .timestamps = timestamps };

        for (size_t i = 0; events[i] && !render.finished; i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Event) event = event_parse(events[i], strlen(events[i]), NULL, &error);
                g_assert_no_error(error);
                if (!render_event(&render, event, &error))
                        render_parse_failure(&render, error->message);
        }
        fclose(out);
        *ret_status = render.exit_status;
        return text;
}

static void the_last_task_decides_the_exit_status(void) {
        int status;
        g_autofree char *text = render_all(failed_task, false, &status);

        g_assert_cmpstr(text, ==, "a\nbc\nfailed\n");
        g_assert_cmpint(status, ==, 42);
}

static void a_line_gets_one_prefix_however_it_arrives(void) {
        int status;
        g_autofree char *text = render_all(failed_task, true, &status);

        g_assert_cmpstr(text, ==, "          a\n          bc\n          failed\n");
}

static void a_status_alone_decides_too(void) {
        static const struct {
                const char *status;
                int exit_status;
        } cases[] = { { "succeeded", 0 }, { "failed", 1 }, { "errored", 2 }, { "aborted", 3 } };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *event = g_strdup_printf(
                        "{\"event\":\"status\",\"version\":\"1.0\","
                        "\"data\":{\"status\":\"%s\"}}",
                        cases[i].status);
                const char *const events[] = { event, NULL };
                int status;
                g_autofree char *text = render_all(events, false, &status);
                g_assert_cmpint(status, ==, cases[i].exit_status);
        }
}

static void an_unknown_event_ends_it_with_its_own_status(void) {
        static const char *const events[] = {
                "{\"event\":\"song\",\"version\":\"1.0\",\"data\":{}}", NULL
        };
        int status;
        g_autofree char *text = render_all(events, false, &status);

        g_assert_cmpstr(text, ==, "failed to parse next event: unknown event type: song\n");
        g_assert_cmpint(status, ==, 255);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/fly/render/exit-status", the_last_task_decides_the_exit_status);
        g_test_add_func("/fly/render/timestamps", a_line_gets_one_prefix_however_it_arrives);
        g_test_add_func("/fly/render/status", a_status_alone_decides_too);
        g_test_add_func("/fly/render/unknown", an_unknown_event_ends_it_with_its_own_status);
        return g_test_run();
}
