/* Ctrl-C and SIGTERM while a build is watched. */
#pragma once

#include "base/thread.h"

/* From now on each of them calls fn(data, count) on a thread of its own instead of ending the program; count: 1 for
 * the first. To be called before other threads start. */
void interrupt_watch(void (*fn)(void *data, int count), void *data);
