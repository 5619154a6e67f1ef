/* Named narrow windows where tests make the program die, stop or fail. Compiled in always; off
 * unless WEIR_FAULT names one. fault_points has them all, so that a test can go through them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct {
        const char *name;
        const char *program; /* "web", "worker" */
        const char *window;  /* what has happened when it is passed, and what has not */
} FaultPoint;

extern const FaultPoint fault_points[];
extern const size_t fault_points_count;

/*
 * WEIR_FAULT="<point>=kill|stop|exit|error[@N[+]]": at the Nth (default first) passage of the point,
 * with "+" at every later one too, the process sends itself SIGKILL or SIGSTOP, exits with 70, or
 * fault_here() returns true and the caller fails as the world would have made it. Several are
 * separated by commas. Aborts when the text is wrong or names a point that is not in the table. Any thread.
 */
bool fault_here(const char *point);

/* Test only: replaces what WEIR_FAULT said; NULL: none. Not while other threads pass points. */
void fault_set(const char *text);
