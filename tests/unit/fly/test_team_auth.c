#include "fly/team_auth.h"

#include "base/json.h"

#include <string.h>

static char *as_json(const Value *value) {
        return json_write(value, JSON_COMPACT, NULL);
}

static GPtrArray *list_of(const char *text) {
        GPtrArray *list = g_ptr_array_new_with_free_func(g_free);

        g_ptr_array_add(list, g_strdup(text));
        return list;
}

static void flags_make_lower_case_owners_in_the_order_of_connectors(void) {
        g_autoptr(GPtrArray) local = list_of("Admin"), org = list_of("Org"), space = list_of("A:B"),
                             any = list_of("C:D"), empty = list_of("");
        GPtrArray *lists[AUTH_LISTS] = { NULL };
        g_autoptr(GError) error = NULL;

        lists[AUTH_LOCAL_USERS] = local;
        lists[AUTH_GITHUB_ORGS] = org;
        lists[AUTH_CF_SPACES] = space;
        lists[AUTH_CF_SPACES_ANY] = any;
        lists[AUTH_OIDC_USERS] = empty;
        g_autoptr(Value) auth = team_auth_of_flags(lists, &error);
        g_assert_no_error(error);
        g_autofree char *json = as_json(auth);
        g_assert_cmpstr(json, ==,
                        "{\"owner\":{\"groups\":[\"cf:c:d\",\"cf:a:b:developer\",\"github:org\"],"
                        "\"users\":[\"local:admin\"]}}");
}

static void no_flags_are_refused(void) {
        GPtrArray *lists[AUTH_LISTS] = { NULL };
        g_autoptr(GError) error = NULL;

        g_assert_null(team_auth_of_flags(lists, &error));
        g_assert_cmpstr(error->message, ==,
                        "auth config for the team does not have users and groups configured");
}

static const struct {
        const char *yaml, *json;
} files[] = {
        { "roles: [{name: owner, local: {users: [A]}}, {name: Member, github: {teams: ['O:T']}}]",
          "{\"Member\":{\"groups\":[\"github:o:t\"],\"users\":[]},"
          "\"owner\":{\"groups\":[],\"users\":[\"local:a\"]}}" },
        { "roles: [{name: a, cf: {space_guids: [g], spaceguids: [h], spaces: [s]}}, {name: empty}]",
          "{\"a\":{\"groups\":[\"cf:s:developer\",\"cf:g\",\"cf:h\"],\"users\":[]}}" },
        { "roles: [{name: a, nobody: {users: [x]}, ldap: {users: [q], other: [z]}}]",
          "{\"a\":{\"groups\":[],\"users\":[\"ldap:q\"]}}" },
};

static void files_name_roles(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value)
                        auth = team_auth_of_text(files[i].yaml, strlen(files[i].yaml), &error);
                g_assert_no_error(error);
                g_autofree char *json = as_json(auth);
                g_assert_cmpstr(json, ==, files[i].json);
        }
}

static const struct {
        const char *yaml, *message;
} bad[] = {
        { "roles: []", "auth config for the team must not be empty" },
        { "a: b", "auth config for the team must not be empty" },
        { "roles: [{name: viewer}]", "auth config for the team must not be empty" },
        { "roles: {a: b}",
          "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal object into Go "
          "struct field .roles of type []map[string]interface {}" },
        { "- a",
          "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go "
          "value of type struct { Roles []map[string]interface {} \"json:\\\"roles\\\"\" }" },
        { "roles: [a]",
          "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into Go "
          "struct field .roles of type map[string]interface {}" },
        { "roles: [{local: {users: [u]}}]", "a role has no name" },
        { "roles: [{name: a, local: {users: 5}}]", "users of local must be a list" },
        { "roles: [{name: a, local: {users: [[]]}}]", "users of local must be a list of strings" },
};

static void what_is_no_list_of_roles_is_refused(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autoptr(GError) error = NULL;
                g_assert_null(team_auth_of_text(bad[i].yaml, strlen(bad[i].yaml), &error));
                g_assert_cmpstr(error->message, ==, bad[i].message);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/team-auth/flags",
                        flags_make_lower_case_owners_in_the_order_of_connectors);
        g_test_add_func("/team-auth/none", no_flags_are_refused);
        g_test_add_func("/team-auth/files", files_name_roles);
        g_test_add_func("/team-auth/bad", what_is_no_list_of_roles_is_refused);
        return g_test_run();
}
