#include "web/listen.h"
#include "web/settings.h"

#include <unistd.h>

static WebOptions options_read(const char *const *words, size_t count) {
        static const OptionTable table = { .program = "weir web", .options = web_options };
        g_autoptr(GError) error = NULL;
        g_autofree char **argv = g_new0(char *, count + 2);
        WebOptions options = { 0 };

        argv[0] = (char *) "weir-web";
        for (size_t i = 0; i < count; i++)
                argv[i + 1] = (char *) words[i];
        g_assert_true(options_parse(&table, (int) count + 1, argv, &options, NULL, &error));
        g_assert_no_error(error);
        return options;
}

static void options_drop(WebOptions *options) {
        static const OptionTable table = { .program = "weir web", .options = web_options };
        options_clear(&table, options);
}

static void no_postgres_flag_means_sqlite(void) {
        const char *port[] = { "--postgres-port=1" }, *host[] = { "--postgres-host=h" };
        WebOptions plain = options_read(NULL, 0), still = options_read(port, 1),
                   named = options_read(host, 1);

        g_assert_false(web_options_postgres(&plain));
        g_assert_false(web_options_postgres(&still));
        g_assert_true(web_options_postgres(&named));
        options_drop(&plain);
        options_drop(&still);
        options_drop(&named);
}

static void connection_strings_quote_what_is_in_them(void) {
        const char *words[] = { "--postgres-socket=/run/pg", "--postgres-host=ignored",
                                "--postgres-user=o'b\\c", "--postgres-connect-timeout=1m30s" };
        WebOptions options = options_read(words, G_N_ELEMENTS(words));
        g_autofree char *text = settings_conninfo(&options);

        g_assert_cmpstr(text, ==,
                        "host='/run/pg' port='5432' dbname='atc' user='o\\'b\\\\c' "
                        "application_name='weir' connect_timeout='90' sslmode='disable'");
        options_drop(&options);
}

static void strategies_are_read_in_order(void) {
        const char *words[] = { "--container-placement-strategy=random",
                                "--container-placement-strategy=limit-active-tasks",
                                "--no-input-container-placement-strategy=limit-active-containers",
                                "--max-active-containers-per-worker=7" };
        WebOptions options = options_read(words, G_N_ELEMENTS(words));
        g_autoptr(GError) error = NULL;
        PoolSpec pool = { 0 };

        g_assert_true(settings_placement(&options, &pool, &error));
        g_assert_cmpuint(pool.strategies.count, ==, 2);
        g_assert_cmpint(pool.strategies.list[0], ==, PLACEMENT_RANDOM);
        g_assert_cmpint(pool.strategies.list[1], ==, PLACEMENT_LIMIT_ACTIVE_TASKS);
        g_assert_cmpuint(pool.no_input.count, ==, 1);
        g_assert_cmpint(pool.no_input.list[0], ==, PLACEMENT_LIMIT_ACTIVE_CONTAINERS);
        g_assert_cmpuint(pool.check.count, ==, 0);
        g_assert_cmpint(pool.max_active_containers, ==, 7);
        settings_placement_clear(&pool);
        options_drop(&options);
}

static void impossible_placements_are_refused(void) {
        static const struct {
                const char *word, *message;
        } cases[] = {
                { "--container-placement-strategy=nope",
                  "invalid container placement strategy 'nope'" },
                { "--no-input-container-placement-strategy=volume-locality",
                  "invalid container placement strategy 'volume-locality'" },
                { "--check-container-placement-strategy=volume-locality",
                  "invalid container placement strategy 'volume-locality'" },
                { "--max-active-tasks-per-worker=-1",
                  "max-active-tasks-per-worker must be greater or equal than 0" },
                { "--max-active-volumes-per-worker=-1",
                  "max-active-volumes-per-worker must be greater or equal than 0" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                WebOptions options = options_read(&cases[i].word, 1);
                g_autoptr(GError) error = NULL;
                PoolSpec pool = { 0 };
                g_assert_false(settings_placement(&options, &pool, &error));
                g_assert_cmpstr(error->message, ==, cases[i].message);
                settings_placement_clear(&pool);
                options_drop(&options);
        }
}

static void a_main_team_needs_somebody(void) {
        WebOptions options = options_read(NULL, 0);
        g_autoptr(GError) error = NULL;

        g_assert_null(settings_main_team(&options, &error));
        g_assert_cmpstr(error->message, ==,
                        "default team auth not configured: auth config for the team does not have "
                        "users and groups configured");
        options_drop(&options);
}

static void a_taken_port_is_told_as_go_tells_it(void) {
        g_autoptr(GError) error = NULL;
        uint16_t port = 0, other = 0;
        autofd first = listen_open("127.0.0.1", 0, &port, &error);

        g_assert_no_error(error);
        g_assert_cmpint(first, >=, 0);
        g_autofree char *expect = g_strdup_printf(
                "listen tcp 127.0.0.1:%u: bind: address already in use", port);
        g_assert_cmpint(listen_open("127.0.0.1", port, &other, &error), ==, -1);
        g_assert_error(error, ERROR, ERROR_EXISTS);
        g_assert_cmpstr(error->message, ==, expect);
}

static void what_is_no_address_or_port_is_refused(void) {
        static const struct {
                const char *address;
                int64_t port;
        } cases[] = { { "localhost", 0 }, { "", 0 }, { "127.0.0.1", -1 }, { "127.0.0.1", 65536 } };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                uint16_t port = 7;
                g_assert_cmpint(listen_open(cases[i].address, cases[i].port, &port, &error), ==,
                                -1);
                g_assert_error(error, ERROR, ERROR_INVALID);
                g_assert_cmpuint(port, ==, 7);
        }
}

static void urls_name_an_address_that_can_be_reached(void) {
        g_autofree char *any = listen_url("0.0.0.0", 80), *v6 = listen_url("::1", 8080);

        g_assert_cmpstr(any, ==, "http://127.0.0.1:80");
        g_assert_cmpstr(v6, ==, "http://[::1]:8080");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/web/settings/sqlite", no_postgres_flag_means_sqlite);
        g_test_add_func("/web/settings/conninfo", connection_strings_quote_what_is_in_them);
        g_test_add_func("/web/settings/strategies", strategies_are_read_in_order);
        g_test_add_func("/web/settings/placement/refused", impossible_placements_are_refused);
        g_test_add_func("/web/settings/main-team", a_main_team_needs_somebody);
        g_test_add_func("/web/listen/taken", a_taken_port_is_told_as_go_tells_it);
        g_test_add_func("/web/listen/invalid", what_is_no_address_or_port_is_refused);
        g_test_add_func("/web/listen/url", urls_name_an_address_that_can_be_reached);
        return g_test_run();
}
