/* pause-job, unpause-job, schedule-job */
#include "fly/api.h"
#include "fly/commands.h"

typedef struct {
        Globals globals;
        char *job;
        char *team;
} JobOptions;

#define JOB_OPTIONS(help_)                                                                         \
        OPT(JobOptions, job, OPTION_STRING, 'j', "job", help_, .required = true,                   \
            .value_name = "PIPELINE/JOB")
#define TEAM                                                                                       \
        OPT_TEAM(JobOptions, "Name of the team to which the job belongs, if different from the "   \
                             "target default")

static const Option pause_job_options[] = {
        JOB_OPTIONS("Name of a job to pause"),
        TEAM,
        OPT_END,
};
static const Option unpause_job_options[] = {
        JOB_OPTIONS("Name of a job to unpause"),
        TEAM,
        OPT_END,
};
static const Option schedule_job_options[] = {
        JOB_OPTIONS("Name of a job to schedule"),
        OPT_END,
};

static bool put_job(Fly *fly, const JobOptions *options, const char *action, const char *done,
                    ItemRef *job, GError **error) {
        if (!item_ref_parse(options->job, ITEM_JOB, "-j, --job", job, error) ||
            !fly_open(fly, options->team, error))
                return false;
        g_autofree char *path = path_item(fly, "jobs", job, action, NULL);
        if (!api_put(fly, path, error))
                return false;
        printf("%s '%s'\n", done, job->name);
        return true;
}

static bool set_paused(Fly *fly, const JobOptions *options, const char *action, const char *done,
                       GError **error) {
        g_auto(ItemRef) job = { 0 };
        g_autoptr(GError) cause = NULL;

        if (put_job(fly, options, action, done, &job, &cause))
                return true;
        g_autofree char *name = job.name ? item_ref_format(&job) : NULL;
        return fly_fail_missing(error, &cause, FLY_FAILED, "%s not found on team %s\n", name,
                                fly->team);
}

static bool pause_job_run(Fly *fly, const void *options, const GPtrArray *arguments,
                          GError **error) {
        return set_paused(fly, options, "/pause", "paused", error);
}

static bool unpause_job_run(Fly *fly, const void *options, const GPtrArray *arguments,
                            GError **error) {
        return set_paused(fly, options, "/unpause", "unpaused", error);
}

static bool schedule_job_run(Fly *fly, const void *options, const GPtrArray *arguments,
                             GError **error) {
        g_auto(ItemRef) job = { 0 };
        g_autoptr(GError) cause = NULL;

        if (put_job(fly, options, "/schedule", "scheduled", &job, &cause))
                return true;
        g_autofree char *name = job.name ? item_ref_format(&job) : NULL;
        return fly_fail_missing(error, &cause, FLY_FAILED, "%s not found\n", name);
}

const Command command_pause_job = {
        .name = "pause-job",
        .aliases = { "pj" },
        .summary = "Pause a job",
        .options = pause_job_options,
        .size = sizeof(JobOptions),
        .run = pause_job_run,
};

const Command command_unpause_job = {
        .name = "unpause-job",
        .aliases = { "uj" },
        .summary = "Unpause a job",
        .options = unpause_job_options,
        .size = sizeof(JobOptions),
        .run = unpause_job_run,
};

const Command command_schedule_job = {
        .name = "schedule-job",
        .aliases = { "sj" },
        .summary = "Request the scheduler to run for a job. Introduced as a recovery command for "
                   "the v6.0 scheduler.",
        .options = schedule_job_options,
        .size = sizeof(JobOptions),
        .run = schedule_job_run,
};
