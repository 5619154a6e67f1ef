#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic Duration shift;

static Duration read_clock(clockid_t clock) {
        struct timespec now;
        clock_gettime(clock, &now);
        return (Duration) now.tv_sec * DURATION_SECOND + now.tv_nsec;
}

Time clock_now(void) {
        return (read_clock(CLOCK_REALTIME) + clock_shifted()) / 1000;
}

Duration clock_monotonic(void) {
        return read_clock(CLOCK_MONOTONIC);
}

void clock_shift(Duration by) {
        atomic_fetch_add(&shift, by);
}

Duration clock_shifted(void) {
        return atomic_load_explicit(&shift, memory_order_relaxed);
}
