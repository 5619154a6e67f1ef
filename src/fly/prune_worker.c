/* land-worker, prune-worker */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/shape.h"
#include "fly/table.h"
#include "http/url.h"

#include "base/json.h"

/* Returns new. */
static char *worker_path(const char *name, const char *action) {
        g_autofree char *segment = url_encode_path(name);

        return g_strdup_printf("/api/v1/workers/%s/%s", segment, action);
}

/* ---- land-worker ---- */

typedef struct {
        Globals globals;
        char *worker;
} LandOptions;

static const Option land_worker_options[] = {
        OPT(LandOptions, worker, OPTION_STRING, 'w', "worker", "Worker to land", .required = true),
        OPT_END,
};

static const char *team_of(const Value *workers, const char *name) {
        for (size_t i = 0; i < value_length(workers); i++)
                if (g_str_equal(value_get_string(value_at(workers, i), "name", ""), name))
                        return value_get_string(value_at(workers, i), "team", "");
        return "";
}

/* The body is a worker of which nothing is set but its team: the server wants that named. */
static bool land_worker_run(Fly *fly, const void *data, const GPtrArray *arguments,
                            GError **error) {
        const LandOptions *options = data;
        g_autoptr(Value) known = value_map();

        if (!fly_open(fly, NULL, error))
                return false;
        g_autoptr(Value) workers = api_get(fly, "/api/v1/workers", error);
        if (!workers)
                return false;
        value_map_set_string(known, "team", team_of(workers, options->worker));
        g_autoptr(Value) body = shape_object(known, worker_shape);
        g_autofree char *path = worker_path(options->worker, "land");
        g_autoptr(Value) answer = api_send(fly, "PUT", path, body, error);
        if (!answer)
                return false;
        printf("landed '%s'\n", options->worker);
        return true;
}

const Command command_land_worker = {
        .name = "land-worker",
        .aliases = { "lw" },
        .summary = "Land a worker",
        .options = land_worker_options,
        .size = sizeof(LandOptions),
        .run = land_worker_run,
};

/* ---- prune-worker ---- */

typedef struct {
        Globals globals;
        char *worker;
        bool all_stalled;
} PruneOptions;

static const Option prune_worker_options[] = {
        OPT(PruneOptions, worker, OPTION_STRING, 'w', "worker", "Worker to prune"),
        OPT(PruneOptions, all_stalled, OPTION_FLAG, 'a', "all-stalled",
            "Prune all stalled workers"),
        OPT_END,
};

static bool prune(Fly *fly, const char *name, GError **error) {
        g_autofree char *path = worker_path(name, "prune");
        g_auto(HttpReply) reply = { 0 };
        const ApiCall call = {
                .method = "PUT", .path = path, .content_type = "application/json", .raw = true
        };

        if (!api_call(fly, &call, &reply, error))
                return false;
        if (reply.status == 400) {
                g_autoptr(Value) answer = api_decode(&reply, error);
                return answer && fly_fail(error, "%s", value_get_string(answer, "stderr", ""));
        }
        if (reply.status < 200 || reply.status > 299)
                return api_status_error(&reply, error);
        printf("pruned '%s'\n", name);
        return true;
}

static bool prune_stalled(Fly *fly, GError **error) {
        g_autoptr(Value) workers = api_get(fly, "/api/v1/workers", error);
        size_t count = 0;

        if (!workers)
                return false;
        for (size_t i = 0; i < value_length(workers); i++) {
                const Value *worker = value_at(workers, i);
                if (!g_str_equal(value_get_string(worker, "state", ""), "stalled"))
                        continue;
                count++;
                if (!prune(fly, value_get_string(worker, "name", ""), error))
                        return false;
        }
        if (count == 0) {
                color_print(fly, stdout, COLOR_FAILED, "WARNING: ");
                puts("No stalled workers found.");
        }
        return true;
}

static bool prune_worker_run(Fly *fly, const void *data, const GPtrArray *arguments,
                             GError **error) {
        const PruneOptions *options = data;

        if (!options->worker && !options->all_stalled)
                return fly_fail_plain(error, "Either a worker name or --all-stalled are required");
        return fly_open(fly, NULL, error) &&
               (options->all_stalled ? prune_stalled(fly, error)
                                     : prune(fly, options->worker, error));
}

const Command command_prune_worker = {
        .name = "prune-worker",
        .aliases = { "pw" },
        .summary = "Prune a stalled, landing, landed, or retiring worker",
        .options = prune_worker_options,
        .size = sizeof(PruneOptions),
        .run = prune_worker_run,
};
