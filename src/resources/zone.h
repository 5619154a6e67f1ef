/* Wall clocks in the zones of the IANA database, with the arithmetic of Go's time package. */
#pragma once

#include "base/error.h"

/* A moment: seconds since 1970 and the nanoseconds beyond them (0 to 999999999). */
typedef struct {
        int64_t seconds;
        int32_t nanoseconds;
} Moment;

/* What a calendar and a clock on the wall show. Out-of-range fields carry over, as in Go. */
typedef struct {
        int64_t year;
        int month; /* from 1 */
        int day;   /* from 1 */
        int hour;
        int minute;
        int second;
} Wall;

typedef struct Zone Zone;

/* "" is UTC, "Local" the machine's own zone. NULL with ERROR_INVALID: "unknown time zone X". */
Zone *zone_open(const char *name, GError **error);
void zone_free(Zone *zone);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Zone, zone_free)

const char *zone_name(const Zone *zone); /* as it was given; borrowed */

/* Seconds east of UTC at a moment. */
int32_t zone_offset(const Zone *zone, int64_t seconds);

Wall zone_wall(const Zone *zone, int64_t seconds);

/*
 * The moment at which the wall shows this. In the gap of a daylight saving switch the answer is right for one of the
 * two offsets around it, the one that Go chooses too.
 */
int64_t zone_seconds(const Zone *zone, const Wall *wall);

/* 0 is Sunday. */
int wall_weekday(const Wall *wall);

int moment_compare(const Moment *a, const Moment *b); /* below, equal to, above 0 */

/* later - earlier, saturating at the ends of Duration, in nanoseconds. */
int64_t moment_since(const Moment *later, const Moment *earlier);
