#include "resources/zone.h"

#include <string.h>
#include <time.h>

#define DAY_SECONDS ((int64_t) 24 * 60 * 60)
#define NANOSECONDS ((int64_t) 1000 * 1000 * 1000)

struct Zone {
        char *name;
        GTimeZone *rules;
};

/* GLib takes "+02:00" and POSIX rules for names too: only what the database holds is a zone. */
static bool is_in_database(const char *name) {
        const char *folder = g_getenv("TZDIR");
        g_autofree char *path = g_build_filename(folder ? folder : "/usr/share/zoneinfo", name,
                                                 NULL);
        return !strstr(name, "..") && name[0] != '/' && !strchr(name, '\\') &&
               g_file_test(path, G_FILE_TEST_IS_REGULAR);
}

Zone *zone_open(const char *name, GError **error) {
        g_autoptr(GTimeZone) rules = NULL;
        if (name[0] == '\0' || g_str_equal(name, "UTC"))
                rules = g_time_zone_new_utc();
        else if (g_str_equal(name, "Local"))
                rules = g_time_zone_new_local();
        else if (is_in_database(name))
                rules = g_time_zone_new_identifier(name);
        if (!rules) {
                g_set_error(error, ERROR, ERROR_INVALID, "unknown time zone %s", name);
                return NULL;
        }
        Zone *zone = g_new0(Zone, 1);
        zone->name = g_strdup(name);
        zone->rules = g_steal_pointer(&rules);
        return zone;
}

void zone_free(Zone *zone) {
        if (!zone)
                return;
        g_time_zone_unref(zone->rules);
        g_free(zone->name);
        g_free(zone);
}

const char *zone_name(const Zone *zone) {
        return zone->name;
}

int32_t zone_offset(const Zone *zone, int64_t seconds) {
        int interval = g_time_zone_find_interval(zone->rules, G_TIME_TYPE_UNIVERSAL, seconds);
        return interval < 0 ? 0 : g_time_zone_get_offset(zone->rules, interval);
}

/* Seconds since 1970 as if the wall were in UTC. */
static int64_t wall_count(const Wall *wall) {
        struct tm fields = {
                .tm_year = (int) (wall->year - 1900),
                .tm_mon = wall->month - 1,
                .tm_mday = wall->day,
                .tm_hour = wall->hour,
                .tm_min = wall->minute,
                .tm_sec = wall->second,
        };
        return timegm(&fields);
}

Wall zone_wall(const Zone *zone, int64_t seconds) {
        time_t shown = seconds + zone_offset(zone, seconds);
        struct tm fields = { 0 };
        gmtime_r(&shown, &fields);
        return (Wall){
                .year = (int64_t) fields.tm_year + 1900,
                .month = fields.tm_mon + 1,
                .day = fields.tm_mday,
                .hour = fields.tm_hour,
                .minute = fields.tm_min,
                .second = fields.tm_sec,
        };
}

int64_t zone_seconds(const Zone *zone, const Wall *wall) {
        int64_t count = wall_count(wall);
        int32_t offset = zone_offset(zone, count);
        /* The first guess took the wall for UTC: near a switch the other side's offset may be the right one. */
        if (offset != 0)
                offset = zone_offset(zone, count - offset);
        return count - offset;
}

int wall_weekday(const Wall *wall) {
        int64_t count = wall_count(wall);
        int64_t days = (count - ((count % DAY_SECONDS + DAY_SECONDS) % DAY_SECONDS)) / DAY_SECONDS;
        return (int) (((days + 4) % 7 + 7) % 7); /* 1970 began on a Thursday */
}

int moment_compare(const Moment *a, const Moment *b) {
        if (a->seconds != b->seconds)
                return a->seconds < b->seconds ? -1 : 1;
        return (a->nanoseconds > b->nanoseconds) - (a->nanoseconds < b->nanoseconds);
}

int64_t moment_since(const Moment *later, const Moment *earlier) {
        int64_t seconds, total;
        if (__builtin_sub_overflow(later->seconds, earlier->seconds, &seconds) ||
            __builtin_mul_overflow(seconds, NANOSECONDS, &total) ||
            __builtin_add_overflow(total, (int64_t) later->nanoseconds - earlier->nanoseconds,
                                   &total))
                return moment_compare(later, earlier) < 0 ? INT64_MIN : INT64_MAX;
        return total;
}
