/* health: of the cluster; asked without a token, and answered with 503 too (reference 02 §8.9) */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/shape.h"
#include "fly/table.h"

#include <string.h>

typedef struct {
        Globals globals;
        bool json;
} HealthOptions;

static const Option health_options[] = { OPT_JSON(HealthOptions), OPT_END };

static Color color_of_health(const char *status) {
        static const struct {
                const char *status;
                Color color;
        } colors[] = {
                { "ok", COLOR_SUCCEEDED },     { "healthy", COLOR_SUCCEEDED },
                { "degraded", COLOR_STARTED }, { "failing", COLOR_FAILED },
                { "unhealthy", COLOR_FAILED },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(colors); i++)
                if (g_str_equal(colors[i].status, status))
                        return colors[i].color;
        return COLOR_NONE;
}

static void add_row(Table *table, const char *name, const Value *part, const char *detail) {
        const char *status = value_get_string(part, "status", "");

        table_cell(table, name, COLOR_NONE);
        table_cell(table, status, color_of_health(status));
        table_cell(table, detail, COLOR_NONE);
}

/* Whole seconds, UTC; NULL for a time that never was. Returns new. */
static char *rfc3339(const char *text) {
        g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, NULL);
        g_autoptr(GDateTime) utc = time ? g_date_time_to_utc(time) : NULL;

        return utc && g_date_time_get_year(utc) > 1 ? g_date_time_format(utc, "%Y-%m-%dT%H:%M:%SZ")
                                                    : NULL;
}

static char *workers_detail(const Value *workers) {
        const Value *unhealthy = value_get(workers, "unhealthy_workers");
        GString *text = g_string_new(NULL);

        g_string_printf(text, "%" G_GINT64_FORMAT "/%" G_GINT64_FORMAT " running",
                        value_get_int(workers, "running", 0), value_get_int(workers, "total", 0));
        for (size_t i = 0; i < value_length(unhealthy); i++)
                g_string_append_printf(text, "%s%s", i ? ", " : " (unhealthy: ",
                                       value_text(value_at(unhealthy, i)));
        if (value_length(unhealthy) > 0)
                g_string_append_c(text, ')');
        return g_string_free(text, FALSE);
}

static char *component_detail(const Value *component) {
        bool paused = value_get_bool(component, "paused", false);
        g_autofree char *ran = rfc3339(value_get_string(component, "last_ran", ""));

        return g_strdup_printf("%s%s%s%s", paused ? "paused" : "", paused && ran ? ", " : "",
                               ran ? "last ran: " : "", ran ? ran : "");
}

static void print_health(const Fly *fly, const Value *health) {
        static const char *const headers[] = { "subsystem", "status", "detail", NULL };
        const Value *database = value_get(health, "database");
        const Value *workers = value_get(health, "workers");
        const Value *components = value_get(health, "components");
        g_autoptr(Table) table = table_new(headers);
        g_autofree char *time = rfc3339(value_get_string(health, "timestamp", ""));
        g_autofree char *running = workers_detail(workers);

        add_row(table, "overall", health, time ? time : "");
        add_row(table, "database", database, value_get_string(database, "error", ""));
        add_row(table, "workers", workers, running);
        for (size_t i = 0; i < value_length(components); i++) {
                const Value *component = value_at(components, i);
                g_autofree char *detail = component_detail(component);
                add_row(table, value_get_string(component, "name", ""), component, detail);
        }
        table_print(table, fly);
}

static bool health_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        const HealthOptions *options = data;
        g_auto(HttpReply) reply = { 0 };

        if (!fly_load(fly, error) ||
            !api_call(fly, &(ApiCall){ .path = "/api/v1/health", .raw = true, .anonymous = true },
                      &reply, error))
                return false;
        if (reply.status != 200 && reply.status != 503)
                return api_unexpected(&reply, error);
        g_autoptr(Value) health = api_decode(&reply, error);
        if (!health)
                return false;
        if (options->json)
                print_json_object(health, health_shape);
        else
                print_health(fly, health);
        return true;
}

const Command command_health = {
        .name = "health",
        .summary = "Check cluster health",
        .options = health_options,
        .size = sizeof(HealthOptions),
        .run = health_run,
};
