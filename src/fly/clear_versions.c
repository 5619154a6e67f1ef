/* clear-versions: of everything that shares the history of one resource or type */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/prompt.h"

typedef struct {
        Globals globals;
        char *resource, *resource_type;
        bool non_interactive;
        char *team;
} ClearOptions;

static const Option clear_versions_options[] = {
        OPT(ClearOptions, resource, OPTION_STRING, 0, "resource",
            "Name of a resource to clear versions", .value_name = "PIPELINE/RESOURCE"),
        OPT(ClearOptions, resource_type, OPTION_STRING, 0, "resource-type",
            "Name of a resource type to clear versions", .value_name = "PIPELINE/RESOURCE-TYPE"),
        OPT(ClearOptions, non_interactive, OPTION_FLAG, 'n', "non-interactive",
            "Clear versions without confirmation"),
        OPT_TEAM(ClearOptions, "Name of the team to which the pipeline belongs, if different from "
                               "the target default"),
        OPT_END,
};

/* The two kinds that have versions. */
typedef struct {
        const char *segment, *name, *flag;
} Kind;

static const Kind resource_kind = { "resources", "resource", "--resource" };
static const Kind type_kind = { "resource-types", "resource type", "--resource-type" };

static void show_list(const Value *list) {
        for (size_t i = 0; i < value_length(list); i++) {
                const Value *item = value_at(list, i);
                printf("- %s/%s/%s\n", value_get_string(item, "team_name", ""),
                       value_get_string(item, "pipeline_name", ""),
                       value_get_string(item, "name", ""));
        }
}

static bool confirm(const Value *shared) {
        puts("!!! this will clear the version histories for the following resources:");
        show_list(value_get(shared, "resources"));
        puts("\nand the following resource types:");
        show_list(value_get(shared, "resource_types"));
        putchar('\n');
        return prompt_confirm("are you sure?");
}

static bool clear(Fly *fly, const Kind *kind, const ItemRef *ref, bool silent, GError **error) {
        g_autofree char *shared_path = path_item(fly, kind->segment, ref, "/shared", NULL);
        g_autofree char *path = path_item(fly, kind->segment, ref, "/versions", NULL);
        g_autoptr(GError) cause = NULL;
        g_autoptr(Value) shared = api_get(fly, shared_path, &cause);

        if (!shared)
                return fly_fail_missing(error, &cause, FLY_FAILED, "%s '%s' is not found",
                                        kind->name, ref->name);
        if (!silent && !confirm(shared)) {
                puts("bailing out");
                return true;
        }
        g_autoptr(Value) answer = api_send(fly, "DELETE", path, NULL, error);
        if (!answer)
                return false;
        printf("%" G_GINT64_FORMAT " versions removed\n",
               value_get_int(answer, "versions_removed", 0));
        return true;
}

static bool clear_versions_run(Fly *fly, const void *data, const GPtrArray *arguments,
                               GError **error) {
        const ClearOptions *options = data;
        const Kind *kind = options->resource ? &resource_kind : &type_kind;
        g_auto(ItemRef) ref = { 0 };

        if (options->resource && options->resource_type)
                return fly_fail(error, "can specify only one of --resource or --resource-type");
        if (!options->resource && !options->resource_type)
                return fly_fail(error, "please specify one of the required flags --resource or "
                                       "--resource-type");
        return item_ref_parse(options->resource ? options->resource : options->resource_type,
                              ITEM_RESOURCE, kind->flag, &ref, error) &&
               fly_open(fly, options->team, error) &&
               clear(fly, kind, &ref, options->non_interactive, error);
}

const Command command_clear_versions = {
        .name = "clear-versions",
        .aliases = { "cv" },
        .summary = "Clear versions of a resource or resource type",
        .options = clear_versions_options,
        .size = sizeof(ClearOptions),
        .run = clear_versions_run,
};
