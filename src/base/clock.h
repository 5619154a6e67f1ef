/* Time, which tests may set. */
#pragma once

#include "base/duration.h"

typedef int64_t Time; /* microseconds since 1970, UTC; what is stored and shown */

Time clock_now(void);           /* wall clock */
Duration clock_monotonic(void); /* for timeouts and pauses; does not jump with the wall clock */

/*
 * As clock_now() when the program first asked, and on from there by the monotonic clock: for what is compared with a
 * period or with another such time (leases, ages, when something is due). Who sets the wall clock changes nothing.
 */
Time clock_steady(void);

/* Test only: shifts what clock_now() and clock_steady() return, and by how much in all. The wall clock alone is shifted
 * by the eight bytes (nanoseconds) of the file that WEIR_CLOCK names, whenever they change. */
void clock_shift(Duration by);
Duration clock_shifted(void);

static inline int64_t time_seconds(Time time) {
        return time / 1000000;
}
