#include "fly/team_auth.h"

#include "base/yaml.h"

#include <string.h>

typedef struct {
        const char *connector;
        bool is_user;
        const char *suffix;  /* of a group */
        const char *keys[3]; /* in a file */
} AuthField;

static const AuthField fields[AUTH_LISTS] = {
        [AUTH_BITBUCKET_USERS] = { "bitbucket-cloud", true, "", { "users" } },
        [AUTH_BITBUCKET_TEAMS] = { "bitbucket-cloud", false, "", { "teams" } },
        [AUTH_CF_USERS] = { "cf", true, "", { "users" } },
        [AUTH_CF_ORGS] = { "cf", false, "", { "orgs" } },
        [AUTH_CF_SPACES_ANY] = { "cf", false, "", { "spaces_with_any_role" } },
        [AUTH_CF_SPACES] = { "cf", false, ":developer", { "spaces" } },
        [AUTH_CF_SPACES_DEVELOPER] = { "cf",
                                       false,
                                       ":developer",
                                       { "spaces_with_developer_role" } },
        [AUTH_CF_SPACES_AUDITOR] = { "cf", false, ":auditor", { "spaces_with_auditor_role" } },
        [AUTH_CF_SPACES_MANAGER] = { "cf", false, ":manager", { "spaces_with_manager_role" } },
        [AUTH_CF_SPACE_GUIDS] = { "cf", false, "", { "space_guids", "spaceguids" } },
        [AUTH_GITEA_USERS] = { "gitea", true, "", { "users" } },
        [AUTH_GITEA_ORGS] = { "gitea", false, "", { "orgs" } },
        [AUTH_GITEA_TEAMS] = { "gitea", false, "", { "teams" } },
        [AUTH_GITHUB_USERS] = { "github", true, "", { "users" } },
        [AUTH_GITHUB_ORGS] = { "github", false, "", { "orgs" } },
        [AUTH_GITHUB_TEAMS] = { "github", false, "", { "teams" } },
        [AUTH_GITLAB_USERS] = { "gitlab", true, "", { "users" } },
        [AUTH_GITLAB_GROUPS] = { "gitlab", false, "", { "groups" } },
        [AUTH_LDAP_USERS] = { "ldap", true, "", { "users" } },
        [AUTH_LDAP_GROUPS] = { "ldap", false, "", { "groups" } },
        [AUTH_MICROSOFT_USERS] = { "microsoft", true, "", { "users" } },
        [AUTH_MICROSOFT_GROUPS] = { "microsoft", false, "", { "groups" } },
        [AUTH_OAUTH_USERS] = { "oauth", true, "", { "users" } },
        [AUTH_OAUTH_GROUPS] = { "oauth", false, "", { "groups" } },
        [AUTH_OIDC_USERS] = { "oidc", true, "", { "users" } },
        [AUTH_OIDC_GROUPS] = { "oidc", false, "", { "groups" } },
        [AUTH_SAML_USERS] = { "saml", true, "", { "users" } },
        [AUTH_SAML_GROUPS] = { "saml", false, "", { "groups" } },
        [AUTH_LOCAL_USERS] = { "local", true, "", { "users" } },
};

/* One role under construction. */
typedef struct {
        Value *users, *groups; /* lists */
} Role;

static void add(Role *role, const AuthField *field, const char *text) {
        g_autofree char *lower = g_utf8_strdown(text, -1);

        if (*lower) {
                g_autofree char *entry = g_strconcat(field->connector, ":", lower, field->suffix,
                                                     NULL);
                value_list_add(field->is_user ? role->users : role->groups, value_string(entry));
        }
}

/* Adds the role to auth, unless it has nobody. Takes the role's lists. */
static void finish(Role *role, Value *auth, const char *name) {
        bool empty = value_length(role->users) == 0 && value_length(role->groups) == 0;
        Value *map = value_map();

        value_map_set(map, "groups", role->groups);
        value_map_set(map, "users", role->users);
        if (empty)
                value_free(map);
        else
                value_map_set(auth, name, map);
}

Value *team_auth_of_flags(GPtrArray *const lists[AUTH_LISTS], GError **error) {
        g_autoptr(Value) auth = value_map();
        Role owner = { value_list(), value_list() };

        for (size_t i = 0; i < AUTH_LISTS; i++)
                for (size_t j = 0; lists[i] && j < lists[i]->len; j++)
                        add(&owner, &fields[i], lists[i]->pdata[j]);
        finish(&owner, auth, "owner");
        if (value_length(auth) > 0)
                return g_steal_pointer(&auth);
        fly_fail(error, "auth config for the team does not have users and groups configured");
        return NULL;
}

/* ---- files ---- */

static bool add_list(Role *role, const AuthField *field, const Value *list, const char *key,
                     GError **error) {
        if (!value_is_null(list) && !value_is(list, VALUE_LIST))
                return fly_fail(error, "%s of %s must be a list", key, field->connector);
        for (size_t i = 0; i < value_length(list); i++) {
                const char *text = value_text(value_at(list, i));
                if (!text)
                        return fly_fail(error, "%s of %s must be a list of strings", key,
                                        field->connector);
                add(role, field, text);
        }
        return true;
}

static bool add_role(Value *auth, const Value *config, GError **error) {
        const char *name = value_get_string(config, "name", NULL);
        Role role = { value_list(), value_list() };
        bool good = name || fly_fail(error, "a role has no name");

        for (size_t i = 0; good && i < AUTH_LISTS; i++)
                for (size_t j = 0; good && fields[i].keys[j]; j++)
                        good = add_list(&role, &fields[i],
                                        value_get(value_get(config, fields[i].connector),
                                                  fields[i].keys[j]),
                                        fields[i].keys[j], error);
        finish(&role, auth, name ? name : "");
        return good;
}

/* As Go's decoder names what it was given. */
static const char *go_kind(const Value *value) {
        static const char *const names[] = {
                [VALUE_NULL] = "null",     [VALUE_BOOL] = "bool",  [VALUE_NUMBER] = "number",
                [VALUE_STRING] = "string", [VALUE_LIST] = "array", [VALUE_MAP] = "object",
        };

        return names[value_kind(value)];
}

static bool is_roles(const Value *file, GError **error) {
        static const char prefix[] = "error unmarshaling JSON: while decoding JSON: json: cannot "
                                     "unmarshal";
        const Value *roles = value_get(file, "roles");

        if (!value_is_null(file) && !value_is(file, VALUE_MAP))
                return fly_fail(error,
                                "%s %s into Go value of type struct { Roles []map[string]interface "
                                "{} \"json:\\\"roles\\\"\" }",
                                prefix, go_kind(file));
        if (!value_is_null(roles) && !value_is(roles, VALUE_LIST))
                return fly_fail(error,
                                "%s %s into Go struct field .roles of type "
                                "[]map[string]interface {}",
                                prefix, go_kind(roles));
        for (size_t i = 0; i < value_length(roles); i++)
                if (!value_is(value_at(roles, i), VALUE_MAP))
                        return fly_fail(error,
                                        "%s %s into Go struct field .roles of type "
                                        "map[string]interface {}",
                                        prefix, go_kind(value_at(roles, i)));
        return true;
}

Value *team_auth_of_text(const char *text, size_t length, GError **error) {
        g_autoptr(Value) auth = value_map();
        g_autoptr(Value) file = yaml_parse(text, length, NULL, YAML_DEFAULT, error);

        if (!file || !is_roles(file, error))
                return NULL;
        const Value *roles = value_get(file, "roles");
        for (size_t i = 0; i < value_length(roles); i++)
                if (!add_role(auth, value_at(roles, i), error))
                        return NULL;
        if (value_length(auth) > 0)
                return value_sorted(auth);
        fly_fail(error, "auth config for the team must not be empty");
        return NULL;
}
