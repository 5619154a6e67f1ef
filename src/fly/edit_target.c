/* edit-target, delete-target: .flyrc by hand (reference 02 §4.1) */
#include "fly/commands.h"

#include "fly/api.h"

typedef struct {
        Globals globals;
        char *name, *url, *team;
} EditOptions;

static const Option edit_target_options[] = {
        OPT(EditOptions, name, OPTION_STRING, 0, "target-name", "Update target name"),
        OPT(EditOptions, url, OPTION_STRING, 'u', "concourse-url", "Update concourse URL"),
        OPT(EditOptions, team, OPTION_STRING, 'n', "team-name", "Update team name"),
        OPT_END,
};

static bool is_given(const char *text) {
        return text && *text;
}

static bool edit_target_run(Fly *fly, const void *data, const GPtrArray *arguments,
                            GError **error) {
        const EditOptions *options = data;

        if (!fly_load(fly, error))
                return false;
        if (!is_given(options->name) && !is_given(options->url) && !is_given(options->team))
                return fly_fail(error, "error: no attributes specified to update");
        if (is_given(options->url))
                target_set(&fly->target->api, options->url);
        if (is_given(options->team))
                target_set(&fly->target->team, options->team);
        if (is_given(options->name))
                targets_rename(fly->targets, fly->target, options->name);
        if (!targets_save(fly->targets, error))
                return false;
        printf("Updated target: %s\n", fly->target_name);
        return true;
}

const Command command_edit_target = {
        .name = "edit-target",
        .aliases = { "etg" },
        .summary = "Edit a target",
        .options = edit_target_options,
        .size = sizeof(EditOptions),
        .run = edit_target_run,
};

typedef struct {
        Globals globals;
        bool all;
} DeleteOptions;

static const Option delete_target_options[] = {
        OPT(DeleteOptions, all, OPTION_FLAG, 'a', "all", "Delete all targets"),
        OPT_END,
};

static bool delete_target_run(Fly *fly, const void *data, const GPtrArray *arguments,
                              GError **error) {
        const DeleteOptions *options = data;

        if (!fly_load(fly, error))
                return false;
        fly->target = NULL; /* is about to go */
        if (options->all)
                targets_clear(fly->targets);
        else
                targets_remove(fly->targets, fly->target_name);
        if (!targets_save(fly->targets, error))
                return false;
        if (options->all)
                puts("deleted all targets");
        else
                printf("deleted target: %s\n", fly->target_name);
        return true;
}

const Command command_delete_target = {
        .name = "delete-target",
        .aliases = { "dtg" },
        .summary = "Delete target",
        .options = delete_target_options,
        .size = sizeof(DeleteOptions),
        .run = delete_target_run,
};
