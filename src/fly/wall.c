/* get-wall, set-wall, clear-wall: what is said to everybody */
#include "fly/api.h"
#include "fly/commands.h"

#include "base/duration.h"

/* With that around it an error is one like any other: no hint how to log in. */
static bool failed(const char *what, const GError *cause, GError **error) {
        return fly_fail(error, "failed to %s wall message: %s", what, cause->message);
}

static bool get_wall_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        g_autoptr(GError) cause = NULL;

        if (!fly_open(fly, NULL, error))
                return false;
        g_autoptr(Value) wall = api_get(fly, "/api/v1/wall", &cause);
        if (!wall)
                return failed("get", cause, error);
        const char *message = value_get_string(wall, "message", "");
        if (!*message) {
                puts("No wall message is currently set");
                return true;
        }
        int64_t ttl = value_get_int(wall, "TTL", 0);
        g_autofree char *text = duration_format(ttl);
        printf("Wall Message: %s\n", message);
        printf(ttl ? "Expires in: %s\n" : "No expiration set\n", text);
        return true;
}

const Command command_get_wall = {
        .name = "get-wall",
        .aliases = { "gw" },
        .summary = "Get the current wall message",
        .run = get_wall_run,
};

typedef struct {
        Globals globals;
        char *message;
        Duration ttl;
} SetWallOptions;

static const Option set_wall_options[] = {
        OPT(SetWallOptions, message, OPTION_STRING, 'm', "message",
            "Message to broadcast. Supports emojis and links.", .required = true),
        OPT(SetWallOptions, ttl, OPTION_DURATION, 0, "ttl",
            "Time-to-live for the message (e.g. 1h30m). Zero values will result in a message with "
            "no expiration."),
        OPT_END,
};

static bool set_wall_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        const SetWallOptions *options = data;
        g_autoptr(Value) body = value_map();
        g_autoptr(GError) cause = NULL;

        if (!fly_open(fly, NULL, error))
                return false;
        value_map_set_string_opt(body, "message", options->message);
        value_map_set_int_opt(body, "TTL", options->ttl);
        g_autoptr(Value) answer = api_send(fly, "PUT", "/api/v1/wall", body, &cause);
        if (!answer)
                return failed("set", cause, error);
        g_autofree char *text = duration_format(options->ttl);
        puts("Wall message set successfully");
        printf(options->ttl ? "Message will expire in %s\n" : "No expiration set\n", text);
        return true;
}

const Command command_set_wall = {
        .name = "set-wall",
        .aliases = { "sw" },
        .summary = "Set a wall message",
        .options = set_wall_options,
        .size = sizeof(SetWallOptions),
        .run = set_wall_run,
};

static bool clear_wall_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        g_autoptr(GError) cause = NULL;

        if (!fly_open(fly, NULL, error))
                return false;
        if (!api_call(fly, &(ApiCall){ .method = "DELETE", .path = "/api/v1/wall" }, NULL, &cause))
                return failed("clear", cause, error);
        puts("Wall message cleared successfully");
        return true;
}

const Command command_clear_wall = {
        .name = "clear-wall",
        .aliases = { "cw" },
        .summary = "Clear the wall message",
        .run = clear_wall_run,
};
