/* pin-resource, unpin-resource, enable-resource-version, disable-resource-version */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/version_flag.h"

typedef struct {
        Globals globals;
        char *resource;
        GPtrArray *version;
        char *comment;
} PinOptions;

#define RESOURCE_OPTION                                                                            \
        OPT(PinOptions, resource, OPTION_STRING, 'r', "resource", "Name of the resource",          \
            .required = true, .value_name = "PIPELINE/RESOURCE")
#define VERSION_HELP(verb)                                                                         \
        "Version of the resource to " verb                                                         \
        ". The given key value pair(s) has to be an exact match but not all fields are needed. "   \
        "In the case of multiple resource versions matched, it will " verb " the latest one."

static const Option pin_resource_options[] = {
        RESOURCE_OPTION,
        OPT(PinOptions, version, OPTION_LIST, 'v', "version", VERSION_HELP("pin")),
        OPT(PinOptions, comment, OPTION_STRING, 'c', "comment",
            "Message to be saved to the pinned resource. Resource has to be pinned otherwise "
            "--version should be specified to pin the resource first."),
        OPT_END,
};
static const Option unpin_resource_options[] = { RESOURCE_OPTION, OPT_END };
static const Option enable_resource_version_options[] = {
        RESOURCE_OPTION,
        OPT(PinOptions, version, OPTION_LIST, 'v', "version", VERSION_HELP("enable"),
            .required = true, .value_name = "KEY:VALUE"),
        OPT_END,
};
static const Option disable_resource_version_options[] = {
        RESOURCE_OPTION,
        OPT(PinOptions, version, OPTION_LIST, 'v', "version", VERSION_HELP("disable"),
            .required = true, .value_name = "KEY:VALUE"),
        OPT_END,
};

/* The resource and version that the flags name. */
typedef struct {
        Fly *fly;
        ItemRef ref;
        char *name;     /* of the resource, for messages */
        Value *version; /* as it was given; NULL: none was */
} Choice;

static void choice_clear(Choice *choice) {
        item_ref_clear(&choice->ref);
        g_free(choice->name);
        value_free(choice->version);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Choice, choice_clear)

static bool open_choice(Choice *choice, const PinOptions *options, GError **error) {
        if (!item_ref_parse(options->resource, ITEM_RESOURCE, "-r, --resource", &choice->ref,
                            error))
                return false;
        if (options->version && options->version->len)
                choice->version = version_of_pairs(options->version);
        choice->name = item_ref_format(&choice->ref);
        return fly_open(choice->fly, NULL, error);
}

/* The latest version that has all the given pairs, as the server sent it. Returns new. */
static Value *find_version(const Choice *choice, GError **error) {
        g_autofree char *filter = version_filter(choice->version);
        g_autofree char *path = path_item(choice->fly, "resources", &choice->ref, "/versions",
                                          filter);
        g_autofree char *json = version_json(choice->version);
        g_autoptr(GError) cause = NULL;
        g_autoptr(Value) list = api_get(choice->fly, path, &cause);

        if (cause && !fly_error_is(cause, FLY_NOT_FOUND)) {
                g_propagate_error(error, g_steal_pointer(&cause));
                return NULL;
        }
        if (value_length(list) > 0)
                return value_ref(value_at(list, 0));
        fly_fail(error, "could not find version matching %s", json);
        return NULL;
}

static bool put_version(const Choice *choice, const Value *version, const char *action,
                        GError **error) {
        g_autofree char *tail = g_strdup_printf("/versions/%" G_GINT64_FORMAT "/%s",
                                                value_get_int(version, "id", 0), action);
        g_autofree char *path = path_item(choice->fly, "resources", &choice->ref, tail, NULL);

        return api_put(choice->fly, path, error);
}

/* ---- pin, unpin ---- */

static bool pin(const Choice *choice, GError **error) {
        g_autoptr(Value) found = find_version(choice, error);
        g_autoptr(GError) cause = NULL;

        if (!found)
                return false;
        if (!put_version(choice, found, "pin", &cause))
                return fly_fail_missing(error, &cause, FLY_PLAIN,
                                        "could not pin '%s', make sure the resource exists\n",
                                        choice->name);
        g_autofree char *json = version_json(value_get(found, "version"));
        printf("pinned '%s' with version %s\n", choice->name, json);
        return true;
}

static bool save_comment(const Choice *choice, const char *comment, GError **error) {
        g_autofree char *path = path_item(choice->fly, "resources", &choice->ref, "/pin_comment",
                                          NULL);
        g_autoptr(Value) body = value_map();
        g_autoptr(GError) cause = NULL;

        value_map_set_string(body, "pin_comment", comment);
        g_autoptr(Value) answer = api_send(choice->fly, "PUT", path, body, &cause);
        if (!answer)
                return fly_fail_missing(error, &cause, FLY_PLAIN,
                                        "could not save comment, make sure '%s' is pinned\n",
                                        choice->name);
        printf("pin comment '%s' is saved\n", comment);
        return true;
}

static bool pin_resource_run(Fly *fly, const void *data, const GPtrArray *arguments,
                             GError **error) {
        const PinOptions *options = data;
        g_auto(Choice) choice = { .fly = fly };
        bool has_comment = options->comment && *options->comment;

        if (!open_choice(&choice, options, error))
                return false;
        if (!choice.version && !has_comment)
                return fly_fail(error, "the required flag `-v, --version' was not specified");
        return (!choice.version || pin(&choice, error)) &&
               (!has_comment || save_comment(&choice, options->comment, error));
}

static bool unpin_resource_run(Fly *fly, const void *data, const GPtrArray *arguments,
                               GError **error) {
        g_auto(Choice) choice = { .fly = fly };
        g_autoptr(GError) cause = NULL;

        if (!open_choice(&choice, data, error))
                return false;
        g_autofree char *path = path_item(fly, "resources", &choice.ref, "/unpin", NULL);
        if (!api_put(fly, path, &cause))
                return fly_fail_missing(error, &cause, FLY_PLAIN, "could not find resource '%s'\n",
                                        choice.name);
        printf("unpinned '%s'\n", choice.name);
        return true;
}

/* ---- enable, disable ---- */

/* The server is asked only when the version is not so already. */
static bool set_enabled(Fly *fly, const PinOptions *options, bool enable, GError **error) {
        const char *verb = enable ? "enable" : "disable";
        g_auto(Choice) choice = { .fly = fly };
        g_autoptr(GError) cause = NULL;

        if (!open_choice(&choice, options, error))
                return false;
        g_autoptr(Value) found = find_version(&choice, error);
        if (!found)
                return false;
        if (value_get_bool(found, "enabled", false) != enable &&
            !put_version(&choice, found, verb, &cause))
                return fly_fail_missing(error, &cause, FLY_PLAIN,
                                        "could not %s '%s', make sure the resource version "
                                        "exists\n",
                                        verb, choice.name);
        g_autofree char *json = version_json(value_get(found, "version"));
        printf("%sd '%s' with version %s\n", verb, choice.name, json);
        return true;
}

static bool enable_resource_version_run(Fly *fly, const void *options, const GPtrArray *arguments,
                                        GError **error) {
        return set_enabled(fly, options, true, error);
}

static bool disable_resource_version_run(Fly *fly, const void *options, const GPtrArray *arguments,
                                         GError **error) {
        return set_enabled(fly, options, false, error);
}

#define COMMAND(name_, id, alias, summary_)                                                        \
        const Command command_##id = {                                                             \
                .name = name_,                                                                     \
                .aliases = { alias },                                                              \
                .summary = summary_,                                                               \
                .options = id##_options,                                                           \
                .size = sizeof(PinOptions),                                                        \
                .run = id##_run,                                                                   \
        }

COMMAND("pin-resource", pin_resource, "pr", "Pin a version to a resource");
COMMAND("unpin-resource", unpin_resource, "ur", "Unpin a resource");
COMMAND("enable-resource-version", enable_resource_version, "erv",
        "Enable a version of a resource");
COMMAND("disable-resource-version", disable_resource_version, "drv",
        "Disable a version of a resource");
