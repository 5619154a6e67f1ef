/* The shape of a team's auth (reference 07 §10). */
#include "auth/auth.h"

bool team_auth_validate(const Value *auth, GError **error) {
        if (value_length(auth) == 0) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "auth config for the team must not be empty");
                return false;
        }
        for (size_t i = 0; i < value_length(auth); i++) {
                const Value *rule = value_at(auth, i);
                if (value_length(value_get(rule, "users")) > 0 ||
                    value_length(value_get(rule, "groups")) > 0)
                        continue;
                g_set_error(error, ERROR, ERROR_INVALID,
                            "auth config for the team does not have users and groups configured");
                return false;
        }
        return true;
}

Value *team_auth_from_local_users(const GPtrArray *names) {
        Value *auth = value_map(), *owner = value_map(), *users = value_list();

        for (size_t i = 0; i < names->len; i++) {
                g_autofree char *lower = g_utf8_strdown(g_ptr_array_index(names, i), -1);
                g_autofree char *user = g_strconcat("local:", lower, NULL);
                value_list_add(users, value_string(user));
        }
        value_map_set(owner, "users", users);
        value_map_set(owner, "groups", value_list());
        value_map_set(auth, "owner", owner);
        return auth;
}
