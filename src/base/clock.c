#include "base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static _Atomic Duration shift;
static _Atomic Duration no_jump;
static _Atomic Duration *jump = &no_jump; /* in a mapped file, perhaps */
static Duration wall_at_start, monotonic_at_start;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static Duration read_clock(clockid_t clock) {
        struct timespec now;
        clock_gettime(clock, &now);
        return (Duration) now.tv_sec * DURATION_SECOND + now.tv_nsec;
}

static void map_jump(const char *path) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        void *map = mmap(NULL, sizeof(Duration), PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
        if (map != MAP_FAILED)
                jump = map;
}

static void clock_begin(void) {
        const char *path = getenv("WEIR_CLOCK");
        if (path)
                map_jump(path);
        wall_at_start = read_clock(CLOCK_REALTIME) + atomic_load(jump);
        monotonic_at_start = read_clock(CLOCK_MONOTONIC);
}

Time clock_now(void) {
        pthread_once(&once, clock_begin);
        return (read_clock(CLOCK_REALTIME) + clock_shifted() +
                atomic_load_explicit(jump, memory_order_relaxed)) /
               1000;
}

Time clock_steady(void) {
        pthread_once(&once, clock_begin);
        Duration passed = read_clock(CLOCK_MONOTONIC) - monotonic_at_start;
        return (wall_at_start + passed + clock_shifted()) / 1000;
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
