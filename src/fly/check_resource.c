/* check-resource, check-resource-type */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/stream.h"
#include "fly/table.h"
#include "fly/version_flag.h"

typedef struct {
        Globals globals;
        char *item;
        GPtrArray *from;
        bool async, shallow;
        char *team;
} CheckOptions;

#define CHECK_OPTIONS                                                                              \
        OPT(CheckOptions, async, OPTION_FLAG, 'a', "async",                                        \
            "Return the check without waiting for its result")
#define CHECK_TEAM                                                                                 \
        OPT_TEAM(CheckOptions, "Name of the team to which the pipeline belongs, if different "     \
                               "from the target default")

static const Option check_resource_options[] = {
        OPT(CheckOptions, item, OPTION_STRING, 'r', "resource",
            "Name of a resource to check version for", .required = true,
            .value_name = "PIPELINE/RESOURCE"),
        OPT(CheckOptions, from, OPTION_LIST, 'f', "from",
            "Version of the resource to check from, e.g. ref:abcd or path:thing-1.2.3.tgz",
            .value_name = "VERSION"),
        CHECK_OPTIONS,
        OPT(CheckOptions, shallow, OPTION_FLAG, 0, "shallow", "Check the resource itself only"),
        CHECK_TEAM,
        OPT_END,
};

static const Option check_resource_type_options[] = {
        OPT(CheckOptions, item, OPTION_STRING, 'r', "resource-type",
            "Name of a resource-type to check", .required = true,
            .value_name = "PIPELINE/RESOURCE-TYPE"),
        OPT(CheckOptions, from, OPTION_LIST, 'f', "from",
            "Version of the resource type to check from, e.g. digest:sha256@...",
            .value_name = "VERSION"),
        CHECK_OPTIONS,
        OPT(CheckOptions, shallow, OPTION_FLAG, 0, "shallow",
            "Check the resource type itself only"),
        CHECK_TEAM,
        OPT_END,
};

static Value *request_body(const CheckOptions *options) {
        Value *body = value_map();

        value_map_set(body, "from",
                      options->from->len ? version_of_pairs(options->from) : value_null());
        value_map_set_bool(body, "shallow", options->shallow);
        return body;
}

static Value *start(Fly *fly, const ItemRef *ref, const CheckOptions *options, const char *kind,
                    GError **error) {
        g_autoptr(Value) body = request_body(options);
        g_autofree char *path = path_item(fly, kind, ref, "/check", NULL);
        g_autofree char *pipeline = pipeline_ref_format(&ref->pipeline);
        g_autoptr(GError) cause = NULL;
        Value *build = api_send(fly, "POST", path, body, &cause);

        if (cause && fly_error_is(cause, FLY_NOT_FOUND))
                fly_fail(error, "pipeline '%s' or %s '%s' not found\n", pipeline,
                         g_str_equal(kind, "resources") ? "resource" : "resource-type", ref->name);
        else if (cause)
                g_propagate_error(error, g_steal_pointer(&cause));
        return build;
}

static bool check(Fly *fly, const CheckOptions *options, const char *kind, const char *flag,
                  GError **error) {
        g_auto(ItemRef) ref = { 0 };

        if (!item_ref_parse(options->item, ITEM_RESOURCE, flag, &ref, error) ||
            !fly_open(fly, options->team, error))
                return false;
        g_autoptr(Value) build = start(fly, &ref, options, kind, error);
        if (!build)
                return false;
        int64_t id = value_get_int(build, "id", 0);
        g_autofree char *name = item_ref_format(&ref);
        fputs("checking ", stdout);
        color_print(fly, stdout, COLOR_BOLD, name);
        printf(" in build %" G_GINT64_FORMAT "\n", id);
        return options->async || stream_build(fly, &(StreamSpec){ .build = id }, error);
}

static bool check_resource_run(Fly *fly, const void *options, const GPtrArray *arguments,
                               GError **error) {
        return check(fly, options, "resources", "-r, --resource", error);
}

static bool check_resource_type_run(Fly *fly, const void *options, const GPtrArray *arguments,
                                    GError **error) {
        return check(fly, options, "resource-types", "-r, --resource-type", error);
}

const Command command_check_resource = {
        .name = "check-resource",
        .aliases = { "cr" },
        .summary = "Check a resource",
        .options = check_resource_options,
        .size = sizeof(CheckOptions),
        .run = check_resource_run,
};

const Command command_check_resource_type = {
        .name = "check-resource-type",
        .aliases = { "crt" },
        .summary = "Check a resource-type",
        .options = check_resource_type_options,
        .size = sizeof(CheckOptions),
        .run = check_resource_type_run,
};
