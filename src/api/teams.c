#include "api/handlers.h"

#include "api/present.h"

void list_teams(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) teams = team_list(call->store, &error);

        if (!teams) {
                call_failed(call, error);
                return;
        }
        Value *list = value_list();
        for (size_t i = 0; i < teams->len; i++) {
                const Team *team = g_ptr_array_index(teams, i);
                if (access_allows(call->access, team->name, ROLE_VIEWER))
                        value_list_add(list, present_team(team));
        }
        call_answer(call, 200, list);
}

void get_team(ApiCall *call) {
        if (call_team(call))
                call_answer(call, 200, present_team(call->team));
}

void set_team(ApiCall *call) {
        const char *name = call_param(call, "team_name");
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) body = call_json(call);
        g_autoptr(Team) team = NULL;
        bool created;

        if (!body)
                return;
        if (!team_auth_validate(value_get(body, "auth"), NULL)) {
                call_empty(call, 400);
                return;
        }
        g_autoptr(Team) existing = team_find(call->store, name, NULL);
        if (!existing && !access_is_admin(call->access)) {
                call_empty(call, 403);
                return;
        }
        if (!team_save(call->store, name, value_get(body, "auth"), &created, &team, &error)) {
                call_failed(call, error);
                return;
        }
        auth_forget_teams(call->api->spec.auth);
        Value *answer = created ? call_identifier_answer("team", name) : value_map();
        value_map_set(answer, "team", present_team(team));
        call_answer(call, created ? 201 : 200, answer);
}

void rename_team(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) body = call_json(call);
        const char *name = value_get_string(body, "name", "");

        if (!body || !call_team(call))
                return;
        if (!*name) {
                g_autoptr(GPtrArray) errors = g_ptr_array_new();
                g_ptr_array_add(errors, "team: identifier cannot be an empty string");
                call_errors(call, 400, errors);
        } else if (team_rename(call->store, call->team->id, name, &error)) {
                auth_forget_teams(call->api->spec.auth);
                call_answer(call, 200, call_identifier_answer("team", name));
        } else
                call_failed(call, error);
}

void destroy_team(ApiCall *call) {
        g_autoptr(GError) error = NULL;

        if (!call_team(call))
                return;
        if (team_delete(call->store, call->team->id, &error)) {
                auth_forget_teams(call->api->spec.auth);
                call_empty(call, 204);
        } else if (error_is(error, ERROR_DENIED))
                call_empty(call, 403);
        else
                call_failed(call, error);
}
