/* watch: follows a build (reference 02 §12.1). */
#include "fly/builds.h"
#include "fly/commands.h"
#include "fly/stream.h"

typedef struct {
        Globals globals;
        char *job, *build, *url;
        bool timestamps, ignore_parsing_errors;
        char *team;
} WatchOptions;

static const Option watch_options[] = {
        OPT(WatchOptions, job, OPTION_STRING, 'j', "job", "Watches builds of the given job",
            .value_name = "PIPELINE/JOB"),
        OPT(WatchOptions, build, OPTION_STRING, 'b', "build", "Watches a specific build"),
        OPT(WatchOptions, url, OPTION_STRING, 'u', "url", "URL for the build or job to watch"),
        OPT(WatchOptions, timestamps, OPTION_FLAG, 't', "timestamps", "Print with local timestamp"),
        OPT(WatchOptions, ignore_parsing_errors, OPTION_FLAG, 0, "ignore-event-parsing-errors",
            "Ignore event parsing errors"),
        OPT_TEAM(WatchOptions, "Name of the team to which the pipeline belongs, if different from "
                               "the target default"),
        OPT_END,
};

static bool watch_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        const WatchOptions *options = data;
        g_auto(ItemRef) job = { 0 };
        g_autofree char *build = NULL;

        if ((options->job && !item_ref_parse(options->job, ITEM_JOB, "-j, --job", &job, error)) ||
            !fly_open(fly, options->team, error))
                return false;
        if (options->url)
                build = build_of_url(fly, options->url, options->team, error);
        else if (options->job)
                build = build_of_job(fly, &job, options->build, error);
        else
                build = options->build ? g_strdup(options->build) : build_latest(fly, error);
        return build &&
               stream_build(fly,
                            &(StreamSpec){ .build_text = build,
                                           .timestamps = options->timestamps,
                                           .ignore_unknown = options->ignore_parsing_errors },
                            error);
}

const Command command_watch = {
        .name = "watch",
        .aliases = { "w" },
        .summary = "Stream a build's output",
        .options = watch_options,
        .size = sizeof(WatchOptions),
        .run = watch_run,
};
