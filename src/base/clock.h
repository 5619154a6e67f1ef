/* Time, which tests may set. */
#pragma once

#include "base/duration.h"

typedef int64_t Time; /* microseconds since 1970, UTC; what is stored and shown */

Time clock_now(void);           /* wall clock */
Duration clock_monotonic(void); /* for timeouts and pauses; does not jump with the wall clock */

/* Test only: shifts what clock_now() returns, and by how much it is shifted in all. */
void clock_shift(Duration by);
Duration clock_shifted(void);

static inline int64_t time_seconds(Time time) {
        return time / 1000000;
}
