/* archive-pipeline: one or all, after a question */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/prompt.h"
#include "fly/table.h"

typedef struct {
        Globals globals;
        char *pipeline;
        bool all, non_interactive;
        char *team;
} ArchiveOptions;

static const Option archive_pipeline_options[] = {
        OPT(ArchiveOptions, pipeline, OPTION_STRING, 'p', "pipeline", "Pipeline to archive"),
        OPT(ArchiveOptions, all, OPTION_FLAG, 'a', "all", "Archive all pipelines"),
        OPT(ArchiveOptions, non_interactive, OPTION_FLAG, 'n', "non-interactive",
            "Skips interactions, uses default values"),
        OPT_TEAM(ArchiveOptions, "Name of the team to which the pipeline belongs, if different "
                                 "from the target default"),
        OPT_END,
};

/* What is to be archived: of the pipelines, those that are not yet. */
typedef struct {
        Value *list;     /* as the server sent it; NULL: the one that was named */
        GPtrArray *refs; /* of PipelineRef, with borrowed fields */
} Chosen;

static void chosen_clear(Chosen *chosen) {
        value_free(chosen->list);
        g_ptr_array_unref(chosen->refs);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Chosen, chosen_clear)

static void choose(Chosen *chosen, const char *name, const Value *vars) {
        PipelineRef *ref = g_new0(PipelineRef, 1);

        *ref = (PipelineRef){ (char *) name, (Value *) vars };
        g_ptr_array_add(chosen->refs, ref);
}

static bool choose_all(Fly *fly, Chosen *chosen, GError **error) {
        g_autofree char *path = path_team(fly, "/pipelines");

        if (!(chosen->list = api_get(fly, path, error)))
                return false;
        for (size_t i = 0; i < value_length(chosen->list); i++) {
                const Value *item = value_at(chosen->list, i);
                if (!value_get_bool(item, "archived", false))
                        choose(chosen, value_get_string(item, "name", ""),
                               value_get(item, "instance_vars"));
        }
        return true;
}

static void show(Fly *fly, const Chosen *chosen) {
        static const char *const headers[] = { "pipelines", NULL };
        g_autoptr(Table) table = table_new(headers);
        bool shown = fly->headers;

        for (size_t i = 0; i < chosen->refs->len; i++) {
                g_autofree char *name = pipeline_ref_format(chosen->refs->pdata[i]);
                table_cell(table, name, COLOR_NONE);
        }
        fly->headers = true; /* a person is looking, whatever stdout is */
        table_print(table, fly);
        fly->headers = shown;
        putchar('\n');
}

static bool confirm(Fly *fly, const Chosen *chosen) {
        g_autofree char *name = pipeline_ref_format(chosen->refs->pdata[0]);
        g_autofree char *question = chosen->refs->len > 1
                                            ? g_strdup_printf("archive %u pipelines?",
                                                              chosen->refs->len)
                                            : g_strdup_printf("archive pipeline '%s'?", name);

        if (chosen->refs->len > 1)
                show(fly, chosen);
        puts("!!! archiving the pipeline will remove its configuration. Build history will be "
             "retained.\n");
        return prompt_confirm(question);
}

static bool archive(Fly *fly, const PipelineRef *ref, GError **error) {
        g_autofree char *path = path_pipeline(fly, ref, "/archive", NULL);
        g_autofree char *name = pipeline_ref_format(ref);
        g_autoptr(GError) cause = NULL;

        if (!api_put(fly, path, &cause))
                return fly_fail_missing(error, &cause, FLY_PLAIN, "pipeline '%s' not found\n",
                                        name);
        printf("archived '%s'\n", name);
        return true;
}

static bool archive_chosen(Fly *fly, const ArchiveOptions *options, const Chosen *chosen,
                           GError **error) {
        if (chosen->refs->len == 0)
                puts("there are no unarchived pipelines");
        if (chosen->refs->len == 0 || (!options->non_interactive && !confirm(fly, chosen))) {
                puts("bailing out");
                return true;
        }
        for (size_t i = 0; i < chosen->refs->len; i++)
                if (!archive(fly, chosen->refs->pdata[i], error))
                        return false;
        return true;
}

static bool archive_pipeline_run(Fly *fly, const void *data, const GPtrArray *arguments,
                                 GError **error) {
        const ArchiveOptions *options = data;
        g_auto(PipelineRef) ref = { 0 };
        g_auto(Chosen) chosen = { .refs = g_ptr_array_new_with_free_func(g_free) };

        if (!options->pipeline && !options->all)
                return fly_fail_plain(error, "one of the flags '-p, --pipeline' or '-a, --all' is "
                                             "required");
        if (options->pipeline && options->all)
                return fly_fail_plain(error, "only one of the flags '-p, --pipeline' or '-a, "
                                             "--all' is allowed");
        if ((options->pipeline &&
             !pipeline_ref_parse(options->pipeline, "-p, --pipeline", &ref, error)) ||
            !fly_open(fly, options->team, error))
                return false;
        if (options->all && !choose_all(fly, &chosen, error))
                return false;
        if (options->pipeline)
                choose(&chosen, ref.name, ref.vars);
        return archive_chosen(fly, options, &chosen, error);
}

const Command command_archive_pipeline = {
        .name = "archive-pipeline",
        .aliases = { "ap" },
        .summary = "Archive a pipeline",
        .options = archive_pipeline_options,
        .size = sizeof(ArchiveOptions),
        .run = archive_pipeline_run,
};
