#include "house.h"

#include "base/crypto.h"

/* ---- components ---- */

static const Component *find(const GPtrArray *list, const char *name) {
        for (size_t i = 0; i < list->len; i++) {
                const Component *component = list->pdata[i];
                if (g_str_equal(component->name, name))
                        return component;
        }
        g_error("no component %s", name);
}

static void what_runs_by_itself_is_known_with_its_interval(House *house) {
        OK(component_register_all(house->store, 45 * DURATION_SECOND, &error));
        OK(component_register_all(house->store, 30 * DURATION_SECOND, &error));
        g_autoptr(GPtrArray) list = OK(component_list(house->store, &error));
        const Component *scanner = find(list, COMPONENT_SCANNER);
        const Component *volumes = find(list, "collector_volumes");

        g_assert_cmpint(scanner->interval, ==, 10 * DURATION_SECOND);
        g_assert_cmpint(volumes->interval, ==, 30 * DURATION_SECOND);
        g_assert_cmpint(volumes->last_ran, ==, 0);
        g_assert_false(volumes->paused);
}

static void a_paused_component_does_not_begin(House *house) {
        OK(component_register_all(house->store, 30 * DURATION_SECOND, &error));
        g_assert_true(component_begin(house->store, COMPONENT_SCANNER));
        OK(component_set_paused(house->store, COMPONENT_SCANNER, true, &error));
        g_assert_false(component_begin(house->store, COMPONENT_SCANNER));
        g_assert_true(component_begin(house->store, COMPONENT_TRACKER));
        OK(component_set_paused(house->store, COMPONENT_SCANNER, false, &error));
        g_assert_true(component_begin(house->store, COMPONENT_SCANNER));
        OK(component_set_paused(house->store, NULL, true, &error));
        g_assert_false(component_begin(house->store, COMPONENT_TRACKER));
        FAILS(component_set_paused(house->store, "nobody", true, &error), ERROR_NOT_FOUND);
}

static void pausing_outlives_a_restart_and_so_does_the_time_of_the_last_run(House *house) {
        OK(component_register_all(house->store, 30 * DURATION_SECOND, &error));
        g_assert_true(component_begin(house->store, COMPONENT_TRACKER));
        OK(component_set_paused(house->store, COMPONENT_REAPER, true, &error));
        house_open(house);
        g_assert_false(component_begin(house->store, COMPONENT_REAPER));
        g_autoptr(GPtrArray) list = OK(component_list(house->store, &error));
        g_assert_cmpint(find(list, COMPONENT_TRACKER)->last_ran, >, 0);
        g_assert_cmpint(find(list, COMPONENT_REAPER)->last_ran, ==, 0);
}

/* ---- the wall ---- */

static void expect_wall(House *house, Time now, const char *message) {
        g_auto(Wall) wall = { 0 };

        OK(wall_get(house->store, now, &wall, &error));
        g_assert_cmpstr(wall.message, ==, message);
}

static void a_message_stands_until_it_expires_or_is_taken_off(House *house) {
        expect_wall(house, 5, NULL);
        OK(wall_set(house->store, "first", 0, &error));
        OK(wall_set(house->store, "noon", 100, &error));
        expect_wall(house, 99, "noon");
        expect_wall(house, 100, NULL);
        OK(wall_set(house->store, "for ever", 0, &error));
        expect_wall(house, INT64_MAX, "for ever");
        OK(wall_clear(house->store, &error));
        OK(wall_clear(house->store, &error));
        expect_wall(house, 5, NULL);
}

/* ---- signing keys ---- */

/* "ES256 RS256", oldest first. */
static char *algorithms(House *house) {
        g_autoptr(GPtrArray) keys = OK(signing_key_list(house->store, &error));
        GString *text = g_string_new(NULL);

        for (size_t i = 0; i < keys->len; i++)
                g_string_append_printf(text, "%s%s", i ? " " : "",
                                       ((SigningKey *) keys->pdata[i])->algorithm);
        return g_string_free(text, FALSE);
}

static void expect_keys(House *house, const char *text) {
        g_autofree char *got = algorithms(house);

        g_assert_cmpstr(got, ==, text);
}

static void keys_are_made_when_wanted_follow_each_other_and_go(House *house) {
        const Time day = 24 * DURATION_HOUR / 1000, start = 1000 * day;

        OK(signing_keys_rotate(house->store, start, &error));
        expect_keys(house, "");
        OK(signing_keys_ensure(house->store, start, &error));
        OK(signing_keys_ensure(house->store, start, &error));
        expect_keys(house, "RS256 ES256");
        OK(signing_keys_rotate(house->store, start + 7 * day - 1, &error));
        expect_keys(house, "RS256 ES256");
        OK(signing_keys_rotate(house->store, start + 7 * day, &error));
        OK(signing_keys_rotate(house->store, start + 7 * day + 1, &error));
        expect_keys(house, "RS256 ES256 RS256 ES256");
        OK(signing_keys_rotate(house->store, start + 8 * day, &error));
        expect_keys(house, "RS256 ES256");
}

static void a_key_signs_what_its_public_half_verifies(House *house) {
        OK(signing_keys_ensure(house->store, 5, &error));
        g_autoptr(GPtrArray) keys = OK(signing_key_list(house->store, &error));
        for (size_t i = 0; i < keys->len; i++) {
                const SigningKey *stored = keys->pdata[i];
                g_autoptr(Key) key = OK(key_parse(stored->pem, strlen(stored->pem), &error));
                g_autoptr(Value) jwk = key_to_jwk(key, stored->kid);
                g_autofree char *signature = key_sign(key, "text", 4);
                g_assert_true(key_verify(key, "text", 4, signature));
                g_assert_cmpstr(value_get_string(jwk, "alg", ""), ==, stored->algorithm);
                g_assert_cmpstr(value_get_string(jwk, "kid", ""), ==, stored->kid);
                g_assert_false(value_has(jwk, "d"));
        }
}

static void add(void) {
        house_add("/components/known", what_runs_by_itself_is_known_with_its_interval);
        house_add("/components/paused", a_paused_component_does_not_begin);
        house_add("/components/restart",
                  pausing_outlives_a_restart_and_so_does_the_time_of_the_last_run);
        house_add("/wall", a_message_stands_until_it_expires_or_is_taken_off);
        house_add("/signing-keys/rotation", keys_are_made_when_wanted_follow_each_other_and_go);
        house_add("/signing-keys/halves", a_key_signs_what_its_public_half_verifies);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
