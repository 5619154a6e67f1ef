/* Named narrow windows where tests make the program die, stop or fail. Compiled in always; off
 * unless WEIR_FAULT names one. */
#pragma once

#include <stdbool.h>

/*
 * WEIR_FAULT="<point>=kill|stop|exit|error[@N[+]]": at the Nth (default first) passage of the point,
 * with "+" at every later one too, the process sends itself SIGKILL or SIGSTOP, exits with 70, or
 * fault_here() returns true and the caller fails as the world would have made it. Several are
 * separated by commas. Aborts when the text is wrong. Any thread.
 */
bool fault_here(const char *point);

/* Test only: replaces what WEIR_FAULT said; NULL: none. Not while other threads pass points. */
void fault_set(const char *text);
