/* A caller's rights (reference 01 §3; 07 §6.4, §10, §12). */
#include "auth/auth_internal.h"

#include <string.h>

/* Clocks of several nodes differ a little. */
#define LEEWAY 60
#define SYSTEM_AUDIENCE "concourse-worker"

typedef struct {
        int64_t team_id;
        char *team_name;
        unsigned roles; /* bits by Role */
} TeamRoles;

struct Access {
        bool has_token, authenticated, admin, system;
        Value *claims;
        char *display_name;
        GArray *teams; /* TeamRoles */
        size_t counts[ROLE_OWNER + 1];
        int64_t *visible[ROLE_OWNER + 1];
};

static const char *const role_names[] = { "", "viewer", "pipeline-operator", "member", "owner" };

const char *role_name(Role role) {
        return role_names[role];
}

static void clear_team_roles(void *data) {
        g_free(((TeamRoles *) data)->team_name);
}

/* ---- who matches ---- */

static bool lists(const Value *list, const char *connector, const char *name) {
        if (!connector || !*connector || !name || !*name)
                return false;
        g_autofree char *wanted = g_strconcat(connector, ":", name, NULL);
        g_autofree char *folded = g_utf8_casefold(wanted, -1);
        for (size_t i = 0; i < value_length(list); i++) {
                const char *text = value_text(value_at(list, i));
                g_autofree char *other = text ? g_utf8_casefold(text, -1) : NULL;
                if (g_strcmp0(other, folded) == 0)
                        return true;
        }
        return false;
}

static const char *claim_name(const Value *claims) {
        const char *preferred = value_get_string(claims, "preferred_username", "");

        return *preferred ? preferred : value_get_string(claims, "name", "");
}

static bool has_role(const Access *access, const Value *rule) {
        const Value *users = value_get(rule, "users"), *groups = value_get(rule, "groups");
        const Value *federated = value_get(access->claims, "federated_claims");
        const Value *own = value_get(access->claims, "groups");
        const char *connector = value_get_string(federated, "connector_id", "");

        if (value_length(users) == 0 && value_length(groups) == 0)
                return true; /* old data: everybody (07 §10) */
        if (!access->authenticated)
                return false;
        if (g_str_equal(connector, "cloudfoundry"))
                connector = "cf";
        if (lists(users, connector, value_get_string(federated, "user_id", "")) ||
            lists(users, connector, claim_name(access->claims)))
                return true;
        for (size_t i = 0; i < value_length(own); i++)
                if (lists(groups, connector, value_text(value_at(own, i))))
                        return true;
        return false;
}

static void find_roles(Access *access, const GPtrArray *teams) {
        for (size_t i = 0; i < teams->len; i++) {
                const Team *team = g_ptr_array_index(teams, i);
                TeamRoles roles = { .team_id = team->id, .team_name = g_strdup(team->name) };
                for (Role role = ROLE_VIEWER; role <= ROLE_OWNER; role++) {
                        const Value *rule = value_get(team->auth, role_names[role]);
                        if (rule && has_role(access, rule))
                                roles.roles |= 1u << role;
                }
                if (team->admin && (roles.roles & 1u << ROLE_OWNER))
                        access->admin = true;
                g_array_append_val(access->teams, roles);
        }
}

static bool is_at_least(const TeamRoles *team, Role role) {
        return role != ROLE_NONE && (team->roles >> role) != 0;
}

static void list_visible(Access *access) {
        for (Role role = ROLE_VIEWER; role <= ROLE_OWNER; role++) {
                access->visible[role] = g_new0(int64_t, access->teams->len + 1);
                for (size_t i = 0; i < access->teams->len; i++) {
                        const TeamRoles *team = &g_array_index(access->teams, TeamRoles, i);
                        if (is_at_least(team, role))
                                access->visible[role][access->counts[role]++] = team->team_id;
                }
        }
}

/* ---- the token ---- */

/* "bearer X" and no more. */
static const char *token_of(const char *authorization) {
        const char *space = strchr(authorization, ' ');

        if (!space || g_ascii_strncasecmp(authorization, "bearer", 6) != 0 ||
            space != authorization + 6 || space[1] == '\0' || strchr(space + 1, ' '))
                return NULL;
        return space + 1;
}

static bool is_ours(const Value *claims) {
        static const char *const audiences[] = { "fly", "concourse-web", SYSTEM_AUDIENCE };
        const char *audience = value_get_string(claims, "aud", "");
        int64_t now = time_seconds(clock_now());

        for (size_t i = 0; i < G_N_ELEMENTS(audiences); i++)
                if (g_str_equal(audience, audiences[i]))
                        return value_get_int(claims, "exp", 0) + LEEWAY > now &&
                               value_get_int(claims, "iat", 0) - LEEWAY <= now;
        return false;
}

static void sign_in(Access *access, Auth *auth, const char *authorization) {
        const char *text = token_of(authorization);
        g_autoptr(Token) token = text ? token_find(auth->store, text, NULL) : NULL;

        access->has_token = true;
        if (!token || !is_ours(token->claims))
                return;
        access->authenticated = true;
        access->claims = value_ref(token->claims);
        access->system = g_str_equal(value_get_string(token->claims, "aud", ""), SYSTEM_AUDIENCE);
        const char *user = value_get_string(value_get(token->claims, "federated_claims"), "user_id",
                                            "");
        const char *preferred = value_get_string(token->claims, "preferred_username", "");
        access->display_name = g_strdup(*preferred ? preferred
                                        : *user    ? user
                                                   : claim_name(token->claims));
}

static Access *access_empty(void) {
        Access *access = g_new0(Access, 1);

        access->teams = g_array_new(FALSE, FALSE, sizeof(TeamRoles));
        g_array_set_clear_func(access->teams, clear_team_roles);
        return access;
}

Access *access_new(Auth *auth, const char *authorization, GError **error) {
        g_autoptr(GPtrArray) teams = auth_teams(auth, error);

        if (!teams)
                return NULL;
        Access *access = access_empty();
        if (authorization)
                sign_in(access, auth, authorization);
        find_roles(access, teams);
        list_visible(access);
        return access;
}

Access *access_new_system(void) {
        Access *access = access_empty();

        access->has_token = access->authenticated = access->system = true;
        list_visible(access);
        return access;
}

void access_free(Access *access) {
        if (!access)
                return;
        value_free(access->claims);
        g_free(access->display_name);
        g_array_unref(access->teams);
        for (Role role = ROLE_NONE; role <= ROLE_OWNER; role++)
                g_free(access->visible[role]);
        g_free(access);
}

/* ---- asking ---- */

bool access_has_token(const Access *access) {
        return access->has_token;
}

bool access_is_authenticated(const Access *access) {
        return access->authenticated;
}

bool access_is_admin(const Access *access) {
        return access->admin;
}

bool access_is_system(const Access *access) {
        return access->system;
}

bool access_allows(const Access *access, const char *team_name, Role role) {
        if (access->admin)
                return true;
        for (size_t i = 0; i < access->teams->len; i++) {
                const TeamRoles *team = &g_array_index(access->teams, TeamRoles, i);
                if (g_str_equal(team->team_name, team_name))
                        return is_at_least(team, role);
        }
        return false;
}

bool access_allows_any(const Access *access, Role role) {
        return access->admin || access->counts[role] > 0;
}

bool access_allows_id(const Access *access, int64_t team_id, Role role) {
        if (access->admin)
                return true;
        for (size_t i = 0; i < access->teams->len; i++) {
                const TeamRoles *team = &g_array_index(access->teams, TeamRoles, i);
                if (team->team_id == team_id)
                        return is_at_least(team, role);
        }
        return false;
}

Visibility access_visibility(const Access *access, Role role) {
        return (Visibility){ .everything = access->admin,
                             .team_ids = access->visible[role],
                             .team_count = access->counts[role] };
}

Value *access_user(const Access *access) {
        const Value *federated = value_get(access->claims, "federated_claims");
        Value *user = value_map(), *teams = value_map();

        value_map_set_string(user, "sub", value_get_string(access->claims, "sub", ""));
        value_map_set_string(user, "name", value_get_string(access->claims, "name", ""));
        value_map_set_string(user, "user_id", value_get_string(federated, "user_id", ""));
        value_map_set_string(user, "user_name",
                             value_get_string(access->claims, "preferred_username", ""));
        value_map_set_string(user, "email", value_get_string(access->claims, "email", ""));
        value_map_set_bool(user, "is_admin", access->admin);
        value_map_set_bool(user, "is_system", access->system);
        for (size_t i = 0; i < access->teams->len; i++) {
                const TeamRoles *team = &g_array_index(access->teams, TeamRoles, i);
                Value *roles = value_list();
                for (Role role = ROLE_OWNER; role > ROLE_NONE; role--)
                        if (team->roles & 1u << role)
                                value_list_add(roles, value_string(role_names[role]));
                if (value_length(roles) > 0)
                        value_map_set(teams, team->team_name, roles);
                else
                        value_free(roles);
        }
        value_map_set(user, "teams", teams);
        value_map_set_string(user, "connector", value_get_string(federated, "connector_id", ""));
        value_map_set_string(user, "display_user_id",
                             access->display_name ? access->display_name : "");
        return user;
}

const char *access_display_name(const Access *access) {
        return access->display_name;
}
