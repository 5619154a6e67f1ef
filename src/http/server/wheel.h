/* Deadlines of many connections: a wheel of slots, O(1) to set, nothing to do while none is due. */
#pragma once

#include "base/clock.h"

#define WHEEL_SLOTS 512
#define WHEEL_TICK (20 * DURATION_MILLISECOND) /* a deadline is kept to within one tick */

typedef struct WheelEntry WheelEntry;
struct WheelEntry {
        WheelEntry *next, **link; /* link NULL: not in the wheel */
        int64_t tick;             /* of the slot it waits in */
        Duration deadline;        /* clock_monotonic time; DURATION_NEVER: none */
};

typedef struct {
        WheelEntry *slots[WHEEL_SLOTS];
        int64_t tick; /* all slots before it are done */
} Wheel;

void wheel_init(Wheel *wheel, Duration now);
/* Sets or moves the deadline. Later ones cost nothing: the entry is looked at again in its old slot.
 */
void wheel_set(Wheel *wheel, WheelEntry *entry, Duration deadline);
void wheel_remove(WheelEntry *entry);
/* Returns due entries one by one, each taken out; NULL when there are no more. */
WheelEntry *wheel_due(Wheel *wheel, Duration now);
/* Milliseconds until the wheel wants to be looked at; -1: never. */
int wheel_wait(const Wheel *wheel, Duration now);
