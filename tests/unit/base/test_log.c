#include "base/json.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int reading;

/* The lines written since the last call; the pipe is never empty nor full in these tests. */
static char *written(void) {
        char bytes[65536];
        ssize_t count = read(reading, bytes, sizeof bytes - 1);
        return g_strndup(bytes, count > 0 ? (size_t) count : 0);
}

static Value *written_value(void) {
        g_autofree char *line = written();
        g_autoptr(GError) error = NULL;
        g_assert_true(g_str_has_suffix(line, "}\n"));
        Value *value = json_parse(line, strlen(line), NULL, &error);
        g_assert_no_error(error);
        return value;
}

static void a_line_has_the_fields_that_readers_know(void) {
        log_info("scheduler", "build-created", "build", LOG_INT(42), "job", NULL, "name", "a\"b");
        g_autoptr(Value) line = written_value();
        static const char *const keys[] = { "timestamp", "level", "source", "message", "data" };
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                g_assert_cmpstr(value_key_at(line, i), ==, keys[i]);
        g_assert_cmpstr(value_get_string(line, "level", NULL), ==, "info");
        g_assert_cmpstr(value_get_string(line, "source", NULL), ==, "atc");
        g_assert_cmpstr(value_get_string(line, "message", NULL), ==, "atc.scheduler.build-created");
        g_autofree char *data = json_write(value_get(line, "data"), JSON_COMPACT, NULL);
        g_assert_cmpstr(data, ==, "{\"build\":\"42\",\"name\":\"a\\\"b\"}");
        const char *time = value_get_string(line, "timestamp", "");
        g_assert_true(g_regex_match_simple("^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{9}Z$",
                                           time, 0, 0));
}

static void an_error_is_part_of_the_data(void) {
        g_autoptr(GError) error = g_error_new(ERROR, ERROR_IO, "disk\nfull");
        log_error("engine", "finish-failed", error, "build", "7");
        g_autoptr(Value) line = written_value();
        const Value *data = value_get(line, "data");
        g_assert_cmpstr(value_get_string(line, "level", NULL), ==, "error");
        g_assert_cmpstr(value_get_string(data, "error", NULL), ==, "disk\nfull");
        g_assert_cmpstr(value_get_string(data, "build", NULL), ==, "7");
}

static void the_level_decides_what_is_written(void) {
        log_debug("x", "hidden");
        log_set_level(LOG_DEBUG);
        log_debug("x", "shown");
        log_set_level(LOG_FATAL);
        log_error("x", "hidden-too", NULL);
        log_set_level(LOG_INFO);
        g_autoptr(Value) line = written_value();
        g_assert_cmpstr(value_get_string(line, "message", NULL), ==, "atc.x.shown");
        g_assert_cmpstr(value_get_string(line, "level", NULL), ==, "debug");
}

static void levels_have_names(void) {
        static const struct {
                const char *text;
                LogLevel level;
        } cases[] = {
                { "debug", LOG_DEBUG },
                { "info", LOG_INFO },
                { "error", LOG_ERROR },
                { "fatal", LOG_FATAL },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                LogLevel level;
                g_assert_true(log_level_parse(cases[i].text, &level, NULL));
                g_assert_cmpint(level, ==, cases[i].level);
        }
        g_autoptr(GError) error = NULL;
        LogLevel level = LOG_ERROR;
        g_assert_false(log_level_parse("INFO", &level, &error));
        g_assert_error(error, ERROR, ERROR_INVALID);
        g_assert_cmpint(level, ==, LOG_ERROR);
}

static void errno_becomes_a_code_and_a_text(void) {
        static const struct {
                int number;
                ErrorCode code;
        } cases[] = {
                { ENOENT, ERROR_NOT_FOUND },
                { EACCES, ERROR_DENIED },
                { EPERM, ERROR_DENIED },
                { EIO, ERROR_IO },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                g_autofree char *expect = g_strdup_printf("open %s: %s", "x",
                                                          g_strerror(cases[i].number));
                error_set_errno(&error, cases[i].number, "open %s", "x");
                g_assert_true(error_is(error, cases[i].code));
                g_assert_cmpstr(error->message, ==, expect);
        }
        g_assert_false(error_is(NULL, ERROR_IO));
}

int main(int argc, char **argv) {
        int ends[2];
        g_test_init(&argc, &argv, NULL);
        if (pipe2(ends, O_CLOEXEC) < 0)
                return 1;
        reading = ends[0];
        log_open("atc", LOG_INFO, ends[1]);
        g_test_add_func("/log/fields", a_line_has_the_fields_that_readers_know);
        g_test_add_func("/log/error", an_error_is_part_of_the_data);
        g_test_add_func("/log/level", the_level_decides_what_is_written);
        g_test_add_func("/log/names", levels_have_names);
        g_test_add_func("/error/errno", errno_becomes_a_code_and_a_text);
        return g_test_run();
}
