/* status, targets, userinfo: who is logged in where (reference 02 §4.1, §5.5, §5.6) */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/shape.h"
#include "fly/table.h"

#include <string.h>

/* This route's refusals have no words of their own, but for the missing token. */
static Value *get_user(Fly *fly, GError **error) {
        g_auto(HttpReply) reply = { 0 };

        if (!api_call(fly, &(ApiCall){ .path = "/api/v1/user", .raw = true }, &reply, error))
                return NULL;
        if (reply.status == 200)
                return api_decode(&reply, error);
        if (reply.status == 401)
                api_status_error(&reply, error);
        else
                api_unexpected(&reply, error);
        return NULL;
}

/* ---- status ---- */

static bool status_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        g_autoptr(GError) cause = NULL;

        if (!fly_load(fly, error))
                return false;
        if (!*fly->target->token_value)
                return fly_fail_plain(error, "logged out");
        g_autoptr(Value) user = get_user(fly, &cause);
        if (!user)
                return fly_fail_plain(error,
                                      "please login again.\n\ntoken validation failed with "
                                      "error: %s",
                                      cause->message);
        puts("logged in successfully");
        return true;
}

const Command command_status = {
        .name = "status",
        .summary = "Login status",
        .run = status_run,
};

/* ---- targets ---- */

#define TOKEN_RANDOM 20 /* bytes before the expiry: little-endian seconds since 1970 */

static char *expiry_of(const Target *target) {
        gsize length = 0;

        if (!*target->token_value)
                return g_strdup("n/a");
        g_autofree char *padded = g_strconcat(target->token_value, "==", NULL);
        padded[strlen(target->token_value) + (4 - strlen(target->token_value) % 4) % 4] = '\0';
        g_autofree guchar *bytes = g_base64_decode(padded, &length);
        if (!bytes || length != TOKEN_RANDOM + sizeof(int64_t))
                return g_strdup("n/a: invalid token");
        int64_t seconds;
        memcpy(&seconds, bytes + TOKEN_RANDOM, sizeof seconds);
        g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(GINT64_FROM_LE(seconds));
        return time ? g_date_time_format(time, "%a, %d %b %Y %H:%M:%S UTC")
                    : g_strdup("n/a: invalid token");
}

static bool targets_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        static const char *const headers[] = { "name", "url", "team", "expiry", NULL };
        g_autoptr(Table) table = table_new(headers);

        if (!(fly->targets = targets_load(error)))
                return false;
        for (size_t i = 0; i < fly->targets->list->len; i++) {
                const Target *target = fly->targets->list->pdata[i];
                g_autofree char *expiry = expiry_of(target);
                table_cell(table, target->name, COLOR_NONE);
                table_cell(table, target->api, COLOR_NONE);
                table_cell(table, target->team, COLOR_NONE);
                table_cell(table, expiry, COLOR_NONE);
        }
        table_print(table, fly);
        return true;
}

const Command command_targets = {
        .name = "targets",
        .aliases = { "ts" },
        .summary = "List saved targets",
        .run = targets_run,
};

/* ---- userinfo ---- */

typedef struct {
        Globals globals;
        bool json;
} UserinfoOptions;

static const Option userinfo_options[] = { OPT_JSON(UserinfoOptions), OPT_END };

static int compare_texts(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static char *roles_of(const Value *user) {
        const Value *teams = value_get(user, "teams");
        g_autoptr(GPtrArray) roles = g_ptr_array_new_with_free_func(g_free);

        for (size_t i = 0; i < value_length(teams); i++)
                for (size_t j = 0; j < value_length(value_at(teams, i)); j++)
                        g_ptr_array_add(
                                roles,
                                g_strdup_printf("%s/%s", value_key_at(teams, i),
                                                value_text(value_at(value_at(teams, i), j))));
        g_ptr_array_sort(roles, compare_texts);
        g_ptr_array_add(roles, NULL);
        return g_strjoinv(",", (char **) roles->pdata);
}

static bool userinfo_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        static const char *const headers[] = { "username", "team/role", NULL };
        const UserinfoOptions *options = data;

        if (!fly_open(fly, NULL, error))
                return false;
        g_autoptr(Value) user = get_user(fly, error);
        if (!user)
                return false;
        if (options->json) {
                print_json_object(user, user_info_shape);
                return true;
        }
        g_autoptr(Table) table = table_new(headers);
        g_autofree char *roles = roles_of(user);
        table_cell(table, value_get_string(user, "display_user_id", ""), COLOR_NONE);
        table_cell(table, roles, COLOR_NONE);
        table_print(table, fly);
        return true;
}

const Command command_userinfo = {
        .name = "userinfo",
        .summary = "User information",
        .options = userinfo_options,
        .size = sizeof(UserinfoOptions),
        .run = userinfo_run,
};
