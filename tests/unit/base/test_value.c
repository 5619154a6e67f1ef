#include "base/json.h"
#include "base/value.h"

#include <math.h>
#include <string.h>

static Value *parse(const char *text) {
        g_autoptr(GError) error = NULL;
        Value *value = json_parse(text, strlen(text), NULL, &error);
        g_assert_no_error(error);
        return value;
}

static void assert_json(const Value *value, const char *expect) {
        g_autofree char *text = json_write(value, JSON_COMPACT, NULL);
        g_assert_cmpstr(text, ==, expect);
}

static void a_map_keeps_the_order_of_its_keys(void) {
        g_autoptr(Value) map = value_map();
        value_map_set_int(map, "z", 1);
        value_map_set_int(map, "a", 2);
        value_map_set_int(map, "z", 3);
        assert_json(map, "{\"z\":3,\"a\":2}");
        value_map_remove(map, "z");
        value_map_remove(map, "nothing");
        assert_json(map, "{\"a\":2}");
}

static void a_large_map_finds_its_keys(void) {
        g_autoptr(Value) map = value_map();
        for (int i = 0; i < 1000; i++) {
                g_autofree char *key = g_strdup_printf("k%d", i);
                value_map_set_int(map, key, i);
        }
        for (int i = 0; i < 1000; i += 2) {
                g_autofree char *key = g_strdup_printf("k%d", i);
                value_map_remove(map, key);
        }
        g_assert_cmpuint(value_length(map), ==, 500);
        for (int i = 0; i < 1000; i++) {
                g_autofree char *key = g_strdup_printf("k%d", i);
                g_assert_cmpint(value_get_int(map, key, -1), ==, i % 2 ? i : -1);
        }
}

static void short_forms_leave_out_what_is_empty(void) {
        g_autoptr(Value) map = value_map();
        value_map_set_string_opt(map, "a", NULL);
        value_map_set_string_opt(map, "b", "");
        value_map_set_string_opt(map, "c", "x");
        value_map_set_int_opt(map, "d", 0);
        value_map_set_int_opt(map, "e", -1);
        value_map_set_bool_opt(map, "f", false);
        value_map_set_bool_opt(map, "g", true);
        value_map_set(map, "h", NULL);
        value_map_set_string(map, "i", NULL);
        assert_json(map, "{\"c\":\"x\",\"e\":-1,\"g\":true,\"i\":null}");
}

static void nothing_reads_as_null(void) {
        g_assert_true(value_is_null(NULL));
        g_assert_null(value_get(NULL, "a"));
        g_assert_null(value_at(NULL, 0));
        g_assert_null(value_text(NULL));
        g_assert_cmpuint(value_length(NULL), ==, 0);
        g_assert_cmpstr(value_get_string(NULL, "a", "other"), ==, "other");
        g_assert_false(value_has(NULL, "a"));
        value_free(NULL);
        g_assert_null(value_ref(NULL));
}

static void typed_look_ups_take_only_their_kind(void) {
        g_autoptr(Value) map = parse("{\"s\":\"1\",\"i\":1,\"b\":true,\"f\":1.5,\"n\":null}");
        g_assert_cmpstr(value_get_string(map, "s", "x"), ==, "1");
        g_assert_cmpstr(value_get_string(map, "i", "x"), ==, "x");
        g_assert_cmpint(value_get_int(map, "i", 7), ==, 1);
        g_assert_cmpint(value_get_int(map, "s", 7), ==, 7);
        g_assert_cmpint(value_get_int(map, "f", 7), ==, 7);
        g_assert_true(value_get_bool(map, "b", false));
        g_assert_true(value_get_bool(map, "n", true));
        g_assert_cmpfloat(value_as_double(value_get(map, "f")), ==, 1.5);
}

static void integers_are_those_of_64_bits(void) {
        static const struct {
                const char *literal;
                bool valid;
                int64_t expect;
        } cases[] = {
                { "0", true, 0 },
                { "-0", true, 0 },
                { "9223372036854775807", true, INT64_MAX },
                { "-9223372036854775808", true, INT64_MIN },
                { "9223372036854775808", false, 0 },
                { "1.0", false, 0 },
                { "1E3", false, 0 },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Value) value = value_number(cases[i].literal);
                int64_t got = 42;
                g_assert_cmpint(value_as_int(value, &got), ==, cases[i].valid);
                g_assert_cmpint(got, ==, cases[i].valid ? cases[i].expect : 42);
                g_assert_cmpstr(value_text(value), ==, cases[i].literal);
        }
}

static void floats_are_written_as_go_writes_them(void) {
        static const struct {
                double number;
                const char *expect;
        } cases[] = {
                { 0, "0" },
                { -0.0, "-0" },
                { 1, "1" },
                { 1.5, "1.5" },
                { 100, "100" },
                { 0.1, "0.1" },
                { 1e20, "100000000000000000000" },
                { 1e21, "1e+21" },
                { 1.5e300, "1.5e+300" },
                { 1e-6, "0.000001" },
                { 1e-7, "1e-7" },
                { -1.25e-9, "-1.25e-9" },
                { 1e-10, "1e-10" },
                { 18446744073709551615.0, "18446744073709552000" },
                { 5e-324, "5e-324" },
                { 0x1.0p-44,
                  "5.684341886080802e-14" }, /* the closest of 16 digits is another number */
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Value) value = value_float(cases[i].number);
                g_assert_cmpstr(value_text(value), ==, cases[i].expect);
        }
}

static void strings_may_hold_any_byte(void) {
        g_autoptr(Value) value = value_string_sized("a\0b", 3);
        g_autoptr(Value) map = value_map();
        g_assert_cmpuint(value_text_length(value), ==, 3);
        value_map_set_sized(map, "k\0x", 3, g_steal_pointer(&value));
        value_map_set_int(map, "k", 1);
        assert_json(map, "{\"k\\u0000x\":\"a\\u0000b\",\"k\":1}");
        g_assert_cmpuint(value_key_length_at(map, 0), ==, 3);
}

static void equality_minds_neither_order_nor_sharing(void) {
        static const struct {
                const char *a, *b;
                bool equal;
        } cases[] = {
                { "{\"a\":1,\"b\":[1,2]}", "{\"b\":[1,2],\"a\":1}", true },
                { "[1,2]", "[2,1]", false },
                { "1", "1.0", false },
                { "1", "\"1\"", false },
                { "{\"a\":null}", "{}", false },
                { "{\"a\":1}", "{\"b\":1}", false },
                { "null", "null", true },
                { "true", "false", false },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Value) a = parse(cases[i].a), b = parse(cases[i].b);
                g_assert_cmpint(value_equal(a, b), ==, cases[i].equal);
                g_assert_cmpint(value_equal(b, a), ==, cases[i].equal);
        }
}

static void a_copy_can_be_changed(void) {
        g_autoptr(Value) original = parse("{\"a\":{\"b\":[1]}}");
        g_autoptr(Value) second = value_ref(original);
        g_autoptr(Value) copy = value_copy(second);
        value_map_set_int(copy, "c", 1);
        assert_json(original, "{\"a\":{\"b\":[1]}}");
        assert_json(copy, "{\"a\":{\"b\":[1]},\"c\":1}");
}

static void sorting_goes_by_bytes_and_all_the_way_down(void) {
        g_autoptr(Value) value = parse("[{\"b\":{\"z\":1,\"B\":2},\"a\":1,\"\xc3\xa9\":3,\"\":4}]");
        g_autoptr(Value) sorted = value_sorted(value);
        assert_json(sorted, "[{\"\":4,\"a\":1,\"b\":{\"B\":2,\"z\":1},\"\xc3\xa9\":3}]");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/value/map/order", a_map_keeps_the_order_of_its_keys);
        g_test_add_func("/value/map/large", a_large_map_finds_its_keys);
        g_test_add_func("/value/map/short", short_forms_leave_out_what_is_empty);
        g_test_add_func("/value/null", nothing_reads_as_null);
        g_test_add_func("/value/typed", typed_look_ups_take_only_their_kind);
        g_test_add_func("/value/integers", integers_are_those_of_64_bits);
        g_test_add_func("/value/floats", floats_are_written_as_go_writes_them);
        g_test_add_func("/value/strings", strings_may_hold_any_byte);
        g_test_add_func("/value/equal", equality_minds_neither_order_nor_sharing);
        g_test_add_func("/value/copy", a_copy_can_be_changed);
        g_test_add_func("/value/sorted", sorting_goes_by_bytes_and_all_the_way_down);
        return g_test_run();
}
