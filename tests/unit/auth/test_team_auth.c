#include "auth/auth.h"

#include "base/json.h"

#include <string.h>

static Value *parse(const char *text) {
        g_autofree char *quoted = g_strdelimit(g_strdup(text), "'", '"');
        return json_parse(quoted, strlen(quoted), NULL, NULL);
}

static const struct {
        const char *auth, *error; /* NULL: valid */
} cases[] = {
        { "{'owner':{'users':['local:a'],'groups':[]}}", NULL },
        { "{'owner':{'groups':['github:org']}}", NULL },
        { "{'nonsense':{'users':['local:a']}}", NULL },
        { "{}", "auth config for the team must not be empty" },
        { "null", "auth config for the team must not be empty" },
        { "{'owner':{'users':[],'groups':[]}}",
          "auth config for the team does not have users and groups configured" },
        { "{'owner':{'users':['local:a']},'viewer':{}}",
          "auth config for the team does not have users and groups configured" },
};

static void a_role_needs_users_or_groups(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Value) auth = parse(cases[i].auth);
                g_autoptr(GError) error = NULL;
                g_assert_cmpint(team_auth_validate(auth, &error), ==, cases[i].error == NULL);
                g_assert_cmpstr(error ? error->message : NULL, ==, cases[i].error);
        }
}

static void local_users_become_owners_in_lower_case(void) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        g_ptr_array_add(names, (void *) "Alice");
        g_ptr_array_add(names, (void *) "bob");
        g_autoptr(Value) auth = team_auth_from_local_users(names);
        g_autoptr(Value) expect = parse("{'owner':{'users':['local:alice','local:bob'],"
                                        "'groups':[]}}");
        g_assert_true(value_equal(auth, expect));
        g_assert_true(team_auth_validate(auth, NULL));
}

static void roles_have_upstreams_names(void) {
        g_assert_cmpstr(role_name(ROLE_VIEWER), ==, "viewer");
        g_assert_cmpstr(role_name(ROLE_OPERATOR), ==, "pipeline-operator");
        g_assert_cmpstr(role_name(ROLE_MEMBER), ==, "member");
        g_assert_cmpstr(role_name(ROLE_OWNER), ==, "owner");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/team-auth/validate", a_role_needs_users_or_groups);
        g_test_add_func("/team-auth/local-users", local_users_become_owners_in_lower_case);
        g_test_add_func("/team-auth/names", roles_have_upstreams_names);
        return g_test_run();
}
