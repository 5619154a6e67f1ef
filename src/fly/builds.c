/* builds (reference 02 §8.5) */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/shape.h"
#include "fly/table.h"
#include "http/url.h"

#include "base/clock.h"

#include <string.h>
#include <time.h>

typedef struct {
        Globals globals;
        bool all_teams, current_team, json;
        int64_t count;
        char *job, *pipeline, *since, *until;
        GPtrArray *teams;
} BuildsOptions;

static const Option builds_options[] = {
        OPT(BuildsOptions, all_teams, OPTION_FLAG, 'a', "all-teams",
            "Show builds for the all teams that user has access to"),
        OPT(BuildsOptions, count, OPTION_INT, 'c', "count",
            "Number of builds you want to limit the return to", .standard = "50"),
        OPT(BuildsOptions, current_team, OPTION_FLAG, 0, "current-team",
            "Show builds for the currently targeted team"),
        OPT(BuildsOptions, job, OPTION_STRING, 'j', "job", "Name of a job to get builds for",
            .value_name = "PIPELINE/JOB"),
        OPT_JSON(BuildsOptions),
        OPT(BuildsOptions, pipeline, OPTION_STRING, 'p', "pipeline",
            "Name of a pipeline to get builds for"),
        OPT(BuildsOptions, teams, OPTION_LIST, 'n', "team", "Show builds for these teams"),
        OPT(BuildsOptions, since, OPTION_STRING, 0, "since",
            "Start of the range to filter builds. Expected time format of 'yyyy-mm-dd HH:mm:ss'"),
        OPT(BuildsOptions, until, OPTION_STRING, 0, "until",
            "End of the range to filter builds. Expected time format of 'yyyy-mm-dd HH:mm:ss'"),
        OPT_END,
};

typedef struct {
        const BuildsOptions *options;
        PipelineRef pipeline;
        ItemRef job;
        char *query;
} Asking;

static void asking_clear(Asking *asking) {
        pipeline_ref_clear(&asking->pipeline);
        item_ref_clear(&asking->job);
        g_free(asking->query);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Asking, asking_clear)

/* ---- the question ---- */

static bool parse_time(const char *text, const char *name, int64_t *ret, GError **error) {
        struct tm local = { .tm_isdst = -1 };
        const char *end = text ? strptime(text, "%Y-%m-%d %H:%M:%S", &local) : NULL;

        if (!text)
                return true;
        if (!end || *end)
                return fly_fail(error, "%s time should be in the format: 2006-01-02 15:04:05",
                                name);
        *ret = (int64_t) mktime(&local);
        return true;
}

static bool make_query(Asking *asking, GError **error) {
        const BuildsOptions *options = asking->options;
        int64_t since = 0, until = 0;
        g_autoptr(GString) query = g_string_new(NULL);

        if (!parse_time(options->since, "Since", &since, error) ||
            !parse_time(options->until, "Until", &until, error))
                return false;
        if (since && until && since > until)
                return fly_fail(error, "Cannot have --since after --until");
        if (since)
                g_string_append_printf(query, "from=%" G_GINT64_FORMAT "&", since);
        if (options->count > 0)
                g_string_append_printf(query, "limit=%" G_GINT64_FORMAT "&", options->count);
        if (since || until)
                g_string_append(query, "timestamps=true&");
        if (until)
                g_string_append_printf(query, "to=%" G_GINT64_FORMAT "&", until);
        if (query->len)
                g_string_truncate(query, query->len - 1);
        asking->query = g_strdup(query->str);
        return true;
}

static bool check_options(Asking *asking, GError **error) {
        const BuildsOptions *options = asking->options;

        if (options->pipeline && options->job)
                return fly_fail(error, "Cannot specify both --pipeline and --job");
        if (options->all_teams && options->current_team)
                return fly_fail(error, "Cannot specify both --all-teams and --current-team");
        if (options->all_teams && options->teams->len)
                return fly_fail(error, "Cannot specify both --all-teams and --team");
        if (options->pipeline &&
            !pipeline_ref_parse(options->pipeline, "-p, --pipeline", &asking->pipeline, error))
                return false;
        return !options->job ||
               item_ref_parse(options->job, ITEM_JOB, "-j, --job", &asking->job, error);
}

/* Adds the builds of the team in fly->team, or of everything when whole. */
static bool ask(Fly *fly, const Asking *asking, bool whole, Value *builds, GError **error) {
        const BuildsOptions *options = asking->options;
        g_autoptr(GError) cause = NULL;
        g_autofree char *base = whole ? g_strdup("/api/v1/builds") : path_team(fly, "/builds");
        g_autofree char *path = options->job ? path_item(fly, "jobs", &asking->job, "/builds",
                                                         asking->query)
                                : options->pipeline ? path_pipeline(fly, &asking->pipeline,
                                                                    "/builds", asking->query)
                                                    : g_strconcat(base, *asking->query ? "?" : "",
                                                                  asking->query, NULL);
        g_autoptr(Value) list = api_get(fly, path, &cause);

        if (!list && fly_error_is(cause, FLY_NOT_FOUND) && (options->job || options->pipeline))
                return fly_fail_plain(error, options->job ? "pipeline/job not found"
                                                          : "pipeline not found");
        if (!list) {
                g_propagate_error(error, g_steal_pointer(&cause));
                return false;
        }
        for (size_t i = 0; i < value_length(list); i++)
                value_list_add(builds, value_ref(value_at(list, i)));
        return true;
}

static bool ask_teams(Fly *fly, const Asking *asking, Value *builds, GError **error) {
        const BuildsOptions *options = asking->options;
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        g_autoptr(Value) teams = NULL;

        if (options->all_teams && !(teams = api_get(fly, "/api/v1/teams", error)))
                return false;
        for (size_t i = 0; i < value_length(teams); i++)
                g_ptr_array_add(names, (char *) value_get_string(value_at(teams, i), "name", ""));
        if (options->current_team)
                g_ptr_array_add(names, fly->target->team);
        for (size_t i = 0; i < options->teams->len; i++)
                g_ptr_array_add(names, options->teams->pdata[i]);
        for (size_t i = 0; i < names->len; i++) {
                target_set(&fly->team, names->pdata[i]);
                if (!ask(fly, asking, false, builds, error))
                        return false;
        }
        return true;
}

/* ---- the answer ---- */

static char *name_of(const Value *build) {
        g_autofree char *pipeline = pipeline_ref_of(build, "pipeline_name",
                                                    "pipeline_instance_vars");
        const char *const parts[] = { pipeline, value_get_string(build, "job_name", ""),
                                      value_get_string(build, "resource_name", ""),
                                      value_get_string(build, "name", "") };
        g_autoptr(GString) name = g_string_new(NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
                if (*parts[i])
                        g_string_append_printf(name, "%s%s", name->len ? "/" : "", parts[i]);
        return g_strdup(name->str);
}

static void time_cell(Table *table, int64_t seconds) {
        g_autoptr(GDateTime) time = seconds ? g_date_time_new_from_unix_local(seconds) : NULL;
        g_autofree char *text = time ? g_date_time_format(time, "%Y-%m-%d@%H:%M:%S%z") : NULL;

        table_cell(table, text ? text : "n/a", COLOR_NONE);
}

static char *duration_of(int64_t start, int64_t end) {
        if (!start)
                return g_strdup("n/a");
        int64_t length = (end ? end : time_seconds(clock_now())) - start;
        g_autofree char *text = duration_format(length * DURATION_SECOND);
        return g_strconcat(text, end ? "" : "+", NULL);
}

static void add_row(Table *table, const Value *build) {
        const char *status = value_get_string(build, "status", "");
        const char *creator = value_get_string(build, "created_by", "");
        int64_t start = value_get_int(build, "start_time", 0);
        int64_t end = value_get_int(build, "end_time", 0);
        g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, value_get_int(build, "id", 0));
        g_autofree char *name = name_of(build);
        g_autofree char *duration = duration_of(start, end);

        table_cell(table, id, COLOR_NONE);
        table_cell(table, name, COLOR_NONE);
        table_cell(table, status, color_of_status(status));
        time_cell(table, start);
        time_cell(table, end);
        table_cell(table, duration, COLOR_NONE);
        table_cell(table, value_get_string(build, "team_name", ""), COLOR_NONE);
        table_cell(table, *creator ? creator : "system", COLOR_NONE);
}

static bool builds_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        static const char *const headers[] = { "id",       "name", "status",     "start", "end",
                                               "duration", "team", "created by", NULL };
        const BuildsOptions *options = data;
        g_auto(Asking) asking = { .options = options };
        g_autoptr(Value) builds = value_list();
        bool teams = options->all_teams || options->current_team || options->teams->len;

        if (!check_options(&asking, error) || !make_query(&asking, error) ||
            !fly_open(fly, NULL, error) ||
            !(teams ? ask_teams(fly, &asking, builds, error)
                    : ask(fly, &asking, true, builds, error)))
                return false;
        if (options->json) {
                print_json_list(builds, build_shape);
                return true;
        }
        g_autoptr(Table) table = table_new(headers);
        for (size_t i = 0; i < value_length(builds) && (int64_t) i < options->count; i++)
                add_row(table, value_at(builds, i));
        table_print(table, fly);
        return true;
}

const Command command_builds = {
        .name = "builds",
        .aliases = { "bs" },
        .summary = "List builds data",
        .options = builds_options,
        .size = sizeof(BuildsOptions),
        .run = builds_run,
};
