#include "fly/address.h"
#include "fly/hijack.h"
#include "fly/select.h"

#include "base/json.h"

#include <string.h>

/* ---- what is asked for ---- */

static void a_query_is_sorted_and_escaped(void) {
        const char *const pairs[] = { "step_name", "a b",      "build_id", NULL,
                                      "attempt",   "2.4",      "vars",     "{\"b\":\"x\"}",
                                      "job_name",  "unit/all", NULL };
        g_autofree char *query = hijack_query(pairs);
        g_assert_cmpstr(query, ==,
                        "attempt=2.4&job_name=unit%2Fall&step_name=a+b&vars=%7B%22b%22%3A%22x%22%"
                        "7D");
}

static void addresses_are_taken_apart(void) {
        g_auto(Address) address = { 0 };
        g_autoptr(GError) error = NULL;
        g_assert_true(address_parse("https://ci.example:8080/teams/t/pipelines/p%20q/jobs/j/builds/"
                                    "1.1?vars.b=%22x%22#L1",
                                    &address, &error));
        g_assert_no_error(error);
        g_assert_cmpstr(address.server, ==, "https://ci.example:8080");
        g_assert_cmpstr(address.team, ==, "t");
        g_assert_cmpstr(address.pipeline, ==, "p q");
        g_assert_cmpstr(address.job, ==, "j");
        g_assert_cmpstr(address.build, ==, "1.1");
        g_assert_null(address.resource);
        g_assert_cmpstr(value_get_string(address.vars, "b", NULL), ==, "x");
        address_clear(&address);
        g_assert_true(address_parse("/builds/7?vars.b=%22http://x/%22", &address, &error));
        g_assert_cmpstr(address.server, ==, "");
        g_assert_cmpstr(address.build, ==, "7");
}

/* ---- what is found ---- */

static Value *json(const char *text) {
        return json_parse(text, strlen(text), NULL, NULL);
}

static void containers_are_described_by_what_they_have(void) {
        static const struct {
                const char *json, *text;
        } cases[] = {
                { "{\"step_name\":\"unit\",\"type\":\"task\",\"attempt\":\"1.2\"}",
                  "step: unit, type: task, attempt: 1.2" },
                { "{\"resource_name\":\"r\",\"type\":\"check\",\"expires_in\":\"1h0m0s\"}",
                  "resource: r, type: check, expires in: 1h0m0s" },
                { "{\"type\":\"get\",\"expires_in\":\"1h0m0s\"}", "type: get" },
                { "{}", "type: " },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Value) container = json(cases[i].json);
                g_autofree char *text = hijack_container_text(container);
                g_assert_cmpstr(text, ==, cases[i].text);
        }
}

static void containers_are_sorted_by_build_then_name_then_type(void) {
        static const char *const sorted[] = {
                "{\"type\":\"check\"}",
                "{\"build_id\":9,\"step_name\":\"b\",\"type\":\"task\"}",
                "{\"build_id\":10,\"step_name\":\"a\",\"type\":\"put\"}",
                "{\"build_id\":10,\"step_name\":\"a\",\"type\":\"task\"}",
                "{\"build_id\":10,\"resource_name\":\"r\",\"type\":\"get\"}",
        };
        for (size_t i = 0; i < G_N_ELEMENTS(sorted); i++)
                for (size_t j = 0; j < G_N_ELEMENTS(sorted); j++) {
                        g_autoptr(Value) a = json(sorted[i]), b = json(sorted[j]);
                        int order = hijack_compare_containers(a, b);
                        g_assert_cmpint((order > 0) - (order < 0), ==, (i > j) - (i < j));
                }
}

/* ---- the menu ---- */

static const char *const fruit[] = { "apple", "banana", "cherry", "blackberry" };

/* Presses one key a character ('^' for up, 'v' for down) and says what is chosen, "quit", or "open". */
static const char *press(const char *keys) {
        g_autoptr(GPtrArray) items = g_ptr_array_new();
        g_autoptr(GString) filter = g_string_new(NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(fruit); i++)
                g_ptr_array_add(items, (void *) fruit[i]);
        Menu menu = { .items = items, .filter = filter, .height = 3 };
        for (; *keys; keys++) {
                const char *bytes = *keys == '^'   ? "\033[A"
                                    : *keys == 'v' ? "\033[B"
                                                   : (char[]){ *keys, 0 };
                MenuState state = menu_press(&menu, bytes, strlen(bytes));
                if (state == MENU_QUIT)
                        return "quit";
                if (state == MENU_CHOSEN)
                        return fruit[menu_chosen(&menu)];
        }
        return "open";
}

static void keys_move_choose_and_quit(void) {
        static const struct {
                const char *keys, *result;
        } cases[] = {
                { "\r", "apple" },
                { "\n", "apple" },
                { "j\r", "banana" },
                { "jjk\r", "banana" },
                { "vv^\r", "banana" },
                { "^\r", "apple" },
                { "jjjjjj\r", "blackberry" },
                { "q", "quit" },
                { "\033", "quit" },
                { "\003", "quit" },
                { "\004", "quit" },
                { "x", "open" },
                { "/b\rj\r", "blackberry" },
                { "/ERR\r\r", "cherry" },
                { "/zz\r\r", "open" },
                { "/zz\033\r", "apple" },
                { "/bq\177\r\r", "banana" },
                { "/q\003", "quit" },
                { "/b\r\033j\r", "banana" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                g_assert_cmpstr(press(cases[i].keys), ==, cases[i].result);
}

static void the_menu_shows_the_rows_around_the_cursor(void) {
        g_autoptr(GPtrArray) items = g_ptr_array_new();
        g_autoptr(GString) filter = g_string_new(NULL), text = g_string_new(NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(fruit); i++)
                g_ptr_array_add(items, (void *) fruit[i]);
        Menu menu = { .items = items, .filter = filter, .height = 2, .cursor = 2 };
        size_t lines = menu_draw(&menu, "Select a fruit", 12, text);
        g_assert_cmpstr(text->str, ==,
                        "\r\n  Select a f\r\n\r\n    banana\r\n\033[94m >  cherry\033[m\r\n\r\n  "
                        "[↑/k] up •\r\n");
        g_assert_cmpuint(lines, ==, 7);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hijack/query", a_query_is_sorted_and_escaped);
        g_test_add_func("/hijack/address", addresses_are_taken_apart);
        g_test_add_func("/hijack/text", containers_are_described_by_what_they_have);
        g_test_add_func("/hijack/order", containers_are_sorted_by_build_then_name_then_type);
        g_test_add_func("/menu/keys", keys_move_choose_and_quit);
        g_test_add_func("/menu/draw", the_menu_shows_the_rows_around_the_cursor);
        return g_test_run();
}
