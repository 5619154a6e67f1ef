/* teams, get-team, rename-team, destroy-team (reference 02 §8.1) */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/prompt.h"
#include "fly/shape.h"
#include "fly/table.h"
#include "fly/template.h"

#include <string.h>

/* Path of a team other than the target's. Returns new. */
static char *path_of_team(const char *name, const char *tail) {
        return path_team(&(Fly){ .team = (char *) name }, tail);
}

/* ---- teams, get-team ---- */

static char *joined(const Value *list) {
        g_autoptr(GString) text = g_string_new(NULL);

        for (size_t i = 0; i < value_length(list); i++)
                g_string_append_printf(text, "%s%s", i ? "," : "", value_text(value_at(list, i)));
        return g_string_free(g_steal_pointer(&text), FALSE);
}

/* A row for each role. Nobody named at all is everybody. */
static void add_roles(Table *table, const Value *team) {
        g_autoptr(Value) auth = value_sorted(value_get(team, "auth"));

        for (size_t i = 0; i < value_length(auth); i++) {
                g_autofree char *name = g_strdup_printf("%s/%s", value_get_string(team, "name", ""),
                                                        value_key_at(auth, i));
                const Value *role = value_at(auth, i);
                g_autofree char *users = joined(value_get(role, "users"));
                g_autofree char *groups = joined(value_get(role, "groups"));
                table_cell(table, name, COLOR_NONE);
                table_cell_or(table, users, *groups ? "none" : "all");
                table_cell_or(table, groups, "none");
        }
}

static const char *const detail_headers[] = { "name/role", "users", "groups", NULL };

typedef struct {
        Globals globals;
        bool json, details;
} TeamsOptions;

static const Option teams_options[] = {
        OPT_JSON(TeamsOptions),
        OPT(TeamsOptions, details, OPTION_FLAG, 'd', "details",
            "Print authentication "
            "configuration"),
        OPT_END,
};

static bool teams_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        static const char *const headers[] = { "name", NULL };
        const TeamsOptions *options = data;

        if (!fly_open(fly, NULL, error))
                return false;
        g_autoptr(Value) list = api_get(fly, "/api/v1/teams", error);
        if (!list)
                return false;
        if (options->json) {
                print_json_list(list, team_shape);
                return true;
        }
        g_autoptr(Table) table = table_new(options->details ? detail_headers : headers);
        for (size_t i = 0; i < value_length(list); i++)
                if (options->details)
                        add_roles(table, value_at(list, i));
                else
                        table_cell(table, value_get_string(value_at(list, i), "name", ""),
                                   COLOR_NONE);
        table_sort(table);
        table_print(table, fly);
        return true;
}

const Command command_teams = {
        .name = "teams",
        .aliases = { "t" },
        .summary = "List the configured teams",
        .options = teams_options,
        .size = sizeof(TeamsOptions),
        .run = teams_run,
};

typedef struct {
        Globals globals;
        char *name;
        bool json;
} GetTeamOptions;

static const Option get_team_options[] = {
        OPT(GetTeamOptions, name, OPTION_STRING, 'n', "team-name", "Get configuration of this team",
            .required = true),
        OPT(GetTeamOptions, json, OPTION_FLAG, 'j', "json", "Print command result as JSON"),
        OPT_END,
};

static bool get_team_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        const GetTeamOptions *options = data;
        g_autoptr(Value) team = NULL;

        if (!fly_open(fly, NULL, error) || !(team = fly_get_team(fly, options->name, error)))
                return false;
        if (options->json) {
                print_json_object(team, team_shape);
                return true;
        }
        g_autoptr(Table) table = table_new(detail_headers);
        add_roles(table, team);
        table_sort(table);
        table_print(table, fly);
        return true;
}

const Command command_get_team = {
        .name = "get-team",
        .aliases = { "gt" },
        .summary = "Show team configuration",
        .options = get_team_options,
        .size = sizeof(GetTeamOptions),
        .run = get_team_run,
};

/* ---- rename-team ---- */

typedef struct {
        Globals globals;
        char *old_name, *new_name;
} RenameTeamOptions;

static const Option rename_team_options[] = {
        OPT(RenameTeamOptions, old_name, OPTION_STRING, 'o', "old-name", "Current team name",
            .required = true),
        OPT(RenameTeamOptions, new_name, OPTION_STRING, 'n', "new-name", "New team name",
            .required = true),
        OPT_END,
};

static bool rename_team_run(Fly *fly, const void *data, const GPtrArray *arguments,
                            GError **error) {
        const RenameTeamOptions *options = data;
        g_autoptr(GError) cause = NULL;
        g_autoptr(Value) body = value_map();

        if (strchr(options->old_name, '/'))
                return fly_fail(error, "old team name cannot contain '/'");
        if (strchr(options->new_name, '/'))
                return fly_fail(error, "new team name cannot contain '/'");
        if (!fly_open(fly, NULL, error))
                return false;
        g_autofree char *path = path_of_team(options->old_name, "/rename");
        value_map_set_string(body, "name", options->new_name);
        g_autoptr(Value) answer = api_send(fly, "PUT", path, body, &cause);
        if (!answer)
                return fly_fail_missing(error, &cause, FLY_PLAIN, "Team '%s' not found\n",
                                        options->old_name);
        show_warnings_of_value(fly, value_get(answer, "warnings"));
        printf("Team successfully renamed to %s\n", options->new_name);
        return true;
}

const Command command_rename_team = {
        .name = "rename-team",
        .aliases = { "rt" },
        .summary = "Rename a team",
        .options = rename_team_options,
        .size = sizeof(RenameTeamOptions),
        .run = rename_team_run,
};

/* ---- destroy-team ---- */

typedef struct {
        Globals globals;
        char *name;
        bool non_interactive;
} DestroyTeamOptions;

static const Option destroy_team_options[] = {
        OPT(DestroyTeamOptions, name, OPTION_STRING, 'n', "team-name", "The team to delete",
            .required = true),
        OPT(DestroyTeamOptions, non_interactive, OPTION_FLAG, 0, "non-interactive",
            "Force apply configuration"),
        OPT_END,
};

static bool refuse(const Fly *fly, const char *name, GError **error) {
        g_autofree char *text = g_strdup_printf("could not destroy `%s`", name);

        putchar('\n');
        color_print(fly, stdout, COLOR_FAILED, text);
        puts("\n\neither your team is not an admin or it is the last admin team");
        g_set_error_literal(error, FLY_ERROR, FLY_SILENT, "refused");
        return false;
}

static bool destroy_team_run(Fly *fly, const void *data, const GPtrArray *arguments,
                             GError **error) {
        const DestroyTeamOptions *options = data;
        g_auto(HttpReply) reply = { 0 };

        if (!fly_open(fly, NULL, error))
                return false;
        printf("!!! this will remove all data for team `%s`\n\n", options->name);
        if (!options->non_interactive) {
                g_autofree char *typed = prompt_text("please type the team name to confirm");
                if (!g_str_equal(typed, options->name))
                        return fly_fail(error, "incorrect team name; bailing out");
        }
        g_autofree char *path = path_of_team(options->name, "");
        if (!api_call(fly, &(ApiCall){ .method = "DELETE", .path = path, .raw = true }, &reply,
                      error))
                return false;
        /* A bare 403 is the team's own; one with words is that of the caller's role. */
        if (reply.status == 403 && reply.length == 0)
                return refuse(fly, options->name, error);
        if (reply.status < 200 || reply.status > 299)
                return api_status_error(&reply, error);
        printf("\n`%s` deleted\n", options->name);
        return true;
}

const Command command_destroy_team = {
        .name = "destroy-team",
        .aliases = { "dt" },
        .summary = "Destroy a team and delete all of its data",
        .options = destroy_team_options,
        .size = sizeof(DestroyTeamOptions),
        .run = destroy_team_run,
};
