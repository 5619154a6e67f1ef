/* logout (reference 02 §5.4) */
#include "fly/api.h"
#include "fly/commands.h"

typedef struct {
        Globals globals;
        bool all;
} LogoutOptions;

static const Option logout_options[] = {
        OPT(LogoutOptions, all, OPTION_FLAG, 'a', "all", "Logout of all targets"),
        OPT_END,
};

static bool log_out(Fly *fly, Target *target, GError **error) {
        fly->target = target;
        if (*target->token_value) {
                g_autofree char *cookie = g_strdup_printf("Cookie: skymarshal_auth=\"%s %s\"",
                                                          target->token_type, target->token_value);
                g_auto(HttpReply) reply = { 0 };
                const ApiCall call = {
                        .path = "/sky/logout", .header = cookie, .anonymous = true, .raw = true
                };
                if (!fly_connect(fly, error) || !api_call(fly, &call, &reply, error))
                        return false;
                if (reply.status != 200) {
                        g_autofree char *line = http_status_line(reply.status);
                        return fly_fail(error,
                                        "failed to logout from API: logout failed with "
                                        "status: %s",
                                        line);
                }
        }
        target->has_token = true;
        target_set(&target->token_type, "");
        target_set(&target->token_value, "");
        if (!targets_save(fly->targets, error))
                return false;
        printf("logged out of target: %s\n", target->name);
        return true;
}

static bool log_out_of_all(Fly *fly, GError **error) {
        g_autoptr(GString) failures = g_string_new(NULL);

        for (size_t i = 0; i < fly->targets->list->len; i++) {
                Target *target = fly->targets->list->pdata[i];
                g_autoptr(GError) cause = NULL;
                if (!log_out(fly, target, &cause))
                        g_string_append_printf(failures, "%s%s: %s", failures->len ? "\n" : "",
                                               target->name, cause->message);
        }
        if (failures->len)
                return fly_fail(error, "%s", failures->str);
        puts("logged out of all targets");
        return true;
}

static bool logout_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        const LogoutOptions *options = data;

        if (options->all == (fly->target_name != NULL))
                return fly_fail(error, "must specify either --target or --all");
        if (options->all)
                return (fly->targets = targets_load(error)) && log_out_of_all(fly, error);
        return fly_load(fly, error) && log_out(fly, fly->target, error);
}

const Command command_logout = {
        .name = "logout",
        .aliases = { "o" },
        .summary = "Release authentication with the target",
        .options = logout_options,
        .size = sizeof(LogoutOptions),
        .run = logout_run,
};
