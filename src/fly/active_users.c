/* active-users */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/shape.h"
#include "fly/table.h"
#include "http/url.h"

#include "base/clock.h"

#include <stdio.h>
#include <time.h>

typedef struct {
        Globals globals;
        char *since;
        bool json;
} ActiveUsersOptions;

static const Option active_users_options[] = {
        OPT(ActiveUsersOptions, since, OPTION_STRING, 0, "since",
            "Start date range of returned users' last login, defaults to 2 months from today'"),
        OPT_JSON(ActiveUsersOptions),
        OPT_END,
};

/* Two months ago; a day that month lacks runs over into the next, as in Go. Returns new. */
static char *two_months_ago(void) {
        time_t now = (time_t) time_seconds(clock_now());
        struct tm date;
        char text[sizeof "YYYY-MM-DD" + 8];

        localtime_r(&now, &date);
        date.tm_mon -= 2;
        date.tm_isdst = -1;
        mktime(&date);
        strftime(text, sizeof text, "%Y-%m-%d", &date);
        return g_strdup(text);
}

static bool check_date(const char *text, GError **error) {
        int year, month, day, used = 0;
        bool whole = sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &used) == 3 && used == 10 &&
                     !text[used];
        g_autoptr(GDateTime) date = whole ? g_date_time_new_utc(year, month, day, 0, 0, 0) : NULL;

        if (!date)
                return fly_fail(error, "since time should be in the format: yyyy-mm-dd");
        return g_date_time_to_unix(date) <= time_seconds(clock_now()) ||
               fly_fail(error, "since time can't be in the future");
}

static bool active_users_run(Fly *fly, const void *data, const GPtrArray *arguments,
                             GError **error) {
        static const char *const headers[] = { "username", "connector", "last login", NULL };
        const ActiveUsersOptions *options = data;
        g_autofree char *since = options->since ? g_strdup(options->since) : two_months_ago();

        if (!fly_open(fly, NULL, error) || !check_date(since, error))
                return false;
        g_autofree char *path = g_strconcat("/api/v1/users?since=", since, NULL);
        g_autoptr(Value) list = api_get(fly, path, error);
        if (!list)
                return false;
        if (options->json) {
                print_json_list(list, user_shape);
                return true;
        }
        g_autoptr(Table) table = table_new(headers);
        for (size_t i = 0; i < value_length(list); i++) {
                const Value *user = value_at(list, i);
                g_autoptr(GDateTime) login = g_date_time_new_from_unix_local(
                        value_get_int(user, "last_login", 0));
                g_autofree char *day = g_date_time_format(login, "%Y-%m-%d");
                table_cell(table, value_get_string(user, "username", ""), COLOR_NONE);
                table_cell(table, value_get_string(user, "connector", ""), COLOR_NONE);
                table_cell(table, day, COLOR_NONE);
        }
        table_print(table, fly);
        return true;
}

const Command command_active_users = {
        .name = "active-users",
        .aliases = { "au" },
        .summary = "List the active users since a date or for the past 2 months",
        .options = active_users_options,
        .size = sizeof(ActiveUsersOptions),
        .run = active_users_run,
};
