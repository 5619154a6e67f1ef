/* .flyrc is shared with the stock client: what it wrote is read, and what we write is what it would write. */
#include "fly/target.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#define CERTIFICATE "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"

/* As the stock client writes it, to the byte. */
static const char stock[] = "targets:\n"
                            "  \"1.0\":\n"
                            "    api: http://a\n"
                            "    team: main\n"
                            "  g:\n"
                            "    api: http://127.0.0.1:8080\n"
                            "    team: main\n"
                            "    token:\n"
                            "      type: bearer\n"
                            "      value: \"0x10\"\n"
                            "  out:\n"
                            "    api: http://b\n"
                            "    team: \"true\"\n"
                            "    token:\n"
                            "      type: \"\"\n"
                            "      value: \"\"\n"
                            "  z b:\n"
                            "    api: http://c\n"
                            "    ca_cert: |\n"
                            "      -----BEGIN CERTIFICATE-----\n"
                            "      abc\n"
                            "      -----END CERTIFICATE-----\n"
                            "    client_cert_path: '/a: b'\n"
                            "    client_key_path: k#\n"
                            "    insecure: true\n"
                            "    team: main\n"
                            "    token:\n"
                            "      type: Bearer\n"
                            "      value: \"12345678901234567890\"\n";

typedef struct {
        char *folder, *path;
} Home;

static void home_clear(Home *home) {
        g_unlink(home->path);
        g_rmdir(home->folder);
        g_free(home->path);
        g_free(home->folder);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Home, home_clear)

/* A home of its own, whose .flyrc has this text. NULL: none. */
static Home home_new(const char *text) {
        Home home = { g_dir_make_tmp("fly-XXXXXX", NULL), NULL };

        home.path = g_build_filename(home.folder, ".flyrc", NULL);
        g_setenv("FLY_HOME", home.folder, true);
        if (text)
                g_assert_true(g_file_set_contents(home.path, text, -1, NULL));
        return home;
}

static Targets *load(void) {
        g_autoptr(GError) error = NULL;
        Targets *targets = targets_load(&error);

        g_assert_no_error(error);
        return targets;
}

static void save(const Targets *targets) {
        g_autoptr(GError) error = NULL;

        targets_save(targets, &error);
        g_assert_no_error(error);
}

static void expect_file(const Home *home, const char *expected) {
        g_autofree char *text = NULL;

        g_assert_true(g_file_get_contents(home->path, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, expected);
}

static void what_the_stock_client_wrote_is_written_again_as_it_was(void) {
        g_auto(Home) home = home_new(stock);
        g_autoptr(Targets) targets = load();

        save(targets);
        expect_file(&home, stock);
}

static void every_field_is_read(void) {
        g_auto(Home) home = home_new(stock);
        g_autoptr(Targets) targets = load();
        const Target *whole = targets_find(targets, "z b"), *out = targets_find(targets, "out"),
                     *never = targets_find(targets, "1.0");

        g_assert_true(whole->insecure);
        g_assert_cmpstr(whole->ca_cert, ==, CERTIFICATE);
        g_assert_cmpstr(whole->client_cert_path, ==, "/a: b");
        g_assert_cmpstr(whole->client_key_path, ==, "k#");
        g_assert_cmpstr(whole->token_value, ==, "12345678901234567890");
        g_assert_cmpstr(out->team, ==, "true");
        g_assert_true(out->has_token);
        g_assert_false(never->has_token);
        g_assert_null(targets_find(targets, "nobody"));
}

static void json_and_missing_fields_are_read_too(void) {
        g_auto(Home) home = home_new("{\"targets\":{\"a\":{\"api\":\"http://x/\",\"more\":1}}}");
        g_autoptr(Targets) targets = load();
        const Target *target = targets_find(targets, "a");

        g_assert_cmpstr(target->team, ==, "main");
        g_assert_cmpstr(target->api, ==, "http://x");
}

static void a_missing_file_has_no_targets_and_a_new_one_is_private(void) {
        g_auto(Home) home = home_new(NULL);
        g_autoptr(Targets) targets = load();
        struct stat status;

        targets_put(targets, target_new("t"));
        save(targets);
        expect_file(&home, "targets:\n  t:\n    api: \"\"\n    team: main\n");
        g_assert_cmpint(stat(home.path, &status), ==, 0);
        g_assert_cmpint(status.st_mode & 0777, ==, 0600);
        g_assert_cmpint(chmod(home.path, 0755), ==, 0);
        save(targets);
        g_assert_cmpint(stat(home.path, &status), ==, 0);
        g_assert_cmpint(status.st_mode & 0777, ==, 0755);
}

static void a_target_gets_another_name_or_goes(void) {
        g_auto(Home) home = home_new("targets:\n  a: {api: http://a}\n  b: {api: http://b}\n");
        g_autoptr(Targets) targets = load();

        targets_rename(targets, targets_find(targets, "a"), "b");
        save(targets);
        expect_file(&home, "targets:\n  b:\n    api: http://a\n    team: main\n");
        targets_clear(targets);
        save(targets);
        expect_file(&home, "targets: {}\n");
}

static void what_is_no_yaml_is_refused_with_its_path(void) {
        g_auto(Home) home = home_new("a: [");
        g_autoptr(GError) error = NULL;

        g_assert_null(targets_load(&error));
        g_assert_true(g_str_has_prefix(error->message, "in the file '"));
        g_assert_nonnull(strstr(error->message, home.path));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/flyrc/again", what_the_stock_client_wrote_is_written_again_as_it_was);
        g_test_add_func("/flyrc/fields", every_field_is_read);
        g_test_add_func("/flyrc/json", json_and_missing_fields_are_read_too);
        g_test_add_func("/flyrc/mode", a_missing_file_has_no_targets_and_a_new_one_is_private);
        g_test_add_func("/flyrc/change", a_target_gets_another_name_or_goes);
        g_test_add_func("/flyrc/bad", what_is_no_yaml_is_refused_with_its_path);
        return g_test_run();
}
