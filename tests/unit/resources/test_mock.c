#include "resources/mock.h"

#include "base/files.h"
#include "base/json.h"

#include <string.h>
#include <sys/stat.h>

typedef struct {
        const char *request;
        const char *expect; /* the answer, or the failure's message */
        const char *log;    /* lines without colours; NULL: none */
        bool privileged;
        const char *mirrored;
} Case;

/* A folder for a test, what the program logged there, and its host. */
typedef struct {
        char *directory;
        char *log;
        size_t log_length;
        MockHost host;
} Fixture;

static void fixture_open(Fixture *fixture, const Case *row) {
        static const char *const environment[] = { "A=1", "B=two words", NULL };
        fixture->directory = g_dir_make_tmp("weir-mock-XXXXXX", NULL);
        g_assert_nonnull(fixture->directory);
        fixture->host = (MockHost){
                .privileged = row->privileged,
                .mirrored_version = row->mirrored,
                .root = fixture->directory,
                .environment = environment,
                .log = open_memstream(&fixture->log, &fixture->log_length),
                .started = g_get_monotonic_time(),
        };
}

static void fixture_close(Fixture *fixture) {
        if (fixture->host.log)
                fclose(fixture->host.log);
        g_assert_true(directory_remove(fixture->directory, NULL));
        g_free(fixture->directory);
        free(fixture->log);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Fixture, fixture_close)

static Value *parse(const char *text) {
        g_autoptr(GError) error = NULL;
        Value *value = json_parse(text, strlen(text), NULL, &error);
        g_assert_no_error(error);
        return value;
}

static void check_log(Fixture *fixture, const Case *row) {
        fclose(fixture->host.log);
        fixture->host.log = NULL;
        g_assert_cmpstr(fixture->log, ==, row->log ? row->log : "");
}

/* What a role answered, as JSON, or why it failed. */
static char *outcome(bool done, const Value *answer, const GError *error) {
        g_assert_true(done == (error == NULL));
        return done ? json_write(answer, JSON_COMPACT, NULL) : g_strdup(error->message);
}

#define INFO(padded) "\033[36mINFO\033[0m[0000] " padded " \n"

static const Case checks[] = {
        { "{}", "[{\"version\":\"mock\"}]" },
        { "{\"source\":null,\"version\":null}", "[{\"version\":\"mock\"}]" },
        { "{\"source\":{}}", "[{\"version\":\"mirrored\"}]", .mirrored = "mirrored" },
        { "{\"source\":{}}", "[{\"version\":\"mock\"}]", .mirrored = "" },
        { "{\"source\":{\"initial_version\":\"1\"}}", "[{\"version\":\"1\"}]", .mirrored = "m" },
        { "{\"source\":{\"no_initial_version\":true}}", "[]" },
        { "{\"source\":{\"no_initial_version\":true},\"version\":{\"version\":\"x\"}}",
          "[{\"version\":\"x\"}]" },
        { "{\"source\":{\"force_version\":\"f\"},\"version\":{\"version\":\"x\"}}",
          "[{\"version\":\"f\"}]" },
        { "{\"source\":{}}", "[{\"version\":\"mock\",\"privileged\":\"true\"}]",
          .privileged = true },
        { "{\"version\":{\"version\":\"x\",\"privileged\":\"true\"}}",
          "[{\"version\":\"x\",\"privileged\":\"true\"}]" },
        { "{\"source\":{\"check_delay\":\"1ms\"}}", "[{\"version\":\"mock\"}]" },
        { "{\"source\":{\"log\":\"hello\"}}", "[{\"version\":\"mock\"}]",
          INFO("hello                                       ") },
        { "{\"source\":{\"log\":\"hello\",\"check_failure\":\"no\"}}",
          "intentionally failing to check: no",
          INFO("hello                                       ") },
        { "{\"source\":{\"foo\":1}}", "invalid payload: json: unknown field \"foo\"" },
        { "{\"version\":{\"ref\":\"1\"}}", "invalid payload: json: unknown field \"ref\"" },
        { "{\"params\":{}}", "invalid payload: json: unknown field \"params\"" },
};

static void checks_as_the_table_says(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(checks); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) request = parse(checks[i].request), answer = NULL;
                g_auto(Fixture) fixture = {};
                fixture_open(&fixture, &checks[i]);
                bool done = mock_check(request, &fixture.host, &answer, &error);
                g_autofree char *got = outcome(done, answer, error);
                g_assert_cmpstr(got, ==, checks[i].expect);
                check_log(&fixture, &checks[i]);
        }
}

static void refuses_a_malformed_delay(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) request = parse("{\"source\":{\"check_delay\":\"soon\"}}"), answer = NULL;
        g_auto(Fixture) fixture = {};
        fixture_open(&fixture, &checks[0]);
        g_assert_false(mock_check(request, &fixture.host, &answer, &error));
        g_assert_true(g_str_has_prefix(error->message, "malformed check_delay duration (soon): "));
}

static void assert_file(const char *directory, const char *name, const char *expect) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        g_autofree char *text = file_read(path, 4096, NULL, NULL);
        g_assert_cmpstr(text, ==, expect);
}

static void gets_files_made_of_its_source_and_params(void) {
        static const Case row = {
                "{\"source\":{\"create_files\":{\"a/b.txt\":\"START_VARxEND_VAR\",\"over\":\"1\"},"
                "\"metadata\":[{\"name\":\"n\",\"value\":\"v\"}]},"
                "\"version\":{\"version\":\"7\"},"
                "\"params\":{\"create_files_via_params\":{\"over\":{\"z\":1.10,\"a\":[\"<\"]}}}}",
                "{\"version\":{\"version\":\"7\"},\"metadata\":[{\"name\":\"n\",\"value\":\"v\"}]}",
                INFO("fetching version: 7                         "),
        };
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) request = parse(row.request), answer = NULL;
        g_auto(Fixture) fixture = {};
        fixture_open(&fixture, &row);
        g_autofree char *destination = g_build_filename(fixture.directory, "get", NULL);
        bool done = mock_in(request, destination, &fixture.host, &answer, &error);
        g_autofree char *got = outcome(done, answer, error);
        g_assert_cmpstr(got, ==, row.expect);
        check_log(&fixture, &row);
        assert_file(destination, "version", "7\n");
        assert_file(destination, "privileged", "false\n");
        assert_file(destination, "a/b.txt", "((x))");
        assert_file(destination, "over", "{\"a\":[\"\\u003c\"],\"z\":1.1}");
}

static void mirrors_itself_as_an_image(void) {
        static const Case row = {
                "{\"source\":{\"mirror_self\":true},\"version\":{\"version\":\"m\"}}",
                "{\"version\":{\"version\":\"m\"},\"metadata\":null}",
                INFO("fetching version: m                         ") "\033[36mINFO\033[0m[0000] "
                                                                     "mirroring self image                          \033[36mvia_params\033[0m=false\n",
        };
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) request = parse(row.request), answer = NULL;
        g_auto(Fixture) fixture = {};
        fixture_open(&fixture, &row);
        g_autofree char *root = g_build_filename(fixture.directory, "root", NULL);
        g_autofree char *tool = g_build_filename(root, "bin", NULL);
        g_autofree char *busy = g_build_filename(root, "proc", "1", NULL);
        g_assert_true(directory_make(tool, 0755, NULL) && directory_make(busy, 0755, NULL));
        g_autofree char *shell = g_build_filename(tool, "sh", NULL);
        g_assert_true(file_write(shell, "sh", 2, 0755, NULL));
        fixture.host.root = root;

        g_autofree char *destination = g_build_filename(fixture.directory, "get", NULL);
        bool done = mock_in(request, destination, &fixture.host, &answer, &error);
        g_autofree char *got = outcome(done, answer, error);
        g_assert_cmpstr(got, ==, row.expect);
        check_log(&fixture, &row);
        assert_file(destination, "rootfs/bin/sh", "sh");
        assert_file(destination, "metadata.json",
                    "{\"env\":[\"MIRRORED_VERSION=m\"],\"user\":\"root\"}\n");
        g_autofree char *mounted = g_build_filename(destination, "rootfs/proc", NULL);
        g_autofree char *inside = g_build_filename(destination, "rootfs/proc/1", NULL);
        g_assert_true(g_file_test(mounted, G_FILE_TEST_IS_DIR));
        g_assert_false(g_file_test(inside, G_FILE_TEST_EXISTS));
}

static const Case put_rows[] = {
        { "{\"params\":{\"version\":\"1\"}}", "{\"version\":{\"version\":\"1\"},\"metadata\":null}",
          INFO("pushing version: 1                          ") },
        { "{\"params\":{\"version\":\"1\"}}",
          "{\"version\":{\"version\":\"1\",\"privileged\":\"true\"},\"metadata\":null}",
          INFO("pushing in a privileged container           ")
                  INFO("pushing version: 1                          "),
          .privileged = true },
        { "{\"params\":{\"file\":\"number\"}}",
          "{\"version\":{\"version\":\"12\\n\"},\"metadata\":null}",
          INFO("pushing version: 12                         ") },
        { "{\"params\":{\"version\":\"1\",\"print_env\":true}}",
          "{\"version\":{\"version\":\"1\"},\"metadata\":null}",
          INFO("pushing version: 1                          ")
                  INFO("env: A=1                                    ")
                          INFO("env: B=two words                            ") },
        { "{}", "no version specified" },
        { "{\"version\":{}}", "invalid payload: json: unknown field \"version\"" },
};

static void puts_as_the_table_says(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(put_rows); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) request = parse(put_rows[i].request), answer = NULL;
                g_auto(Fixture) fixture = {};
                fixture_open(&fixture, &put_rows[i]);
                g_autofree char *number = g_build_filename(fixture.directory, "number", NULL);
                g_assert_true(file_write(number, "12\n", 3, 0644, NULL));
                bool done = mock_out(request, fixture.directory, &fixture.host, &answer, &error);
                g_autofree char *got = outcome(done, answer, error);
                g_assert_cmpstr(got, ==, put_rows[i].expect);
                check_log(&fixture, &put_rows[i]);
        }
}

static void needs_to_be_told_where(void) {
        g_autoptr(Value) request = parse("{}"), answer = NULL;
        g_auto(Fixture) fixture = {};
        fixture_open(&fixture, &checks[0]);
        g_autoptr(GError) in = NULL, out = NULL, empty = NULL;
        g_assert_false(mock_in(request, NULL, &fixture.host, &answer, &in));
        g_assert_cmpstr(in->message, ==, "destination path not specified");
        g_assert_false(mock_out(request, NULL, &fixture.host, &answer, &out));
        g_assert_cmpstr(out->message, ==, "source path not specified");
        g_assert_false(mock_out(request, "", &fixture.host, &answer, &empty));
        g_assert_cmpstr(empty->message, ==, "source path is empty");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/mock/check", checks_as_the_table_says);
        g_test_add_func("/mock/check/delay", refuses_a_malformed_delay);
        g_test_add_func("/mock/in/files", gets_files_made_of_its_source_and_params);
        g_test_add_func("/mock/in/mirror", mirrors_itself_as_an_image);
        g_test_add_func("/mock/out", puts_as_the_table_says);
        g_test_add_func("/mock/directory", needs_to_be_told_where);
        return g_test_run();
}
