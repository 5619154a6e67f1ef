#include "http/server/wheel.h"

void wheel_init(Wheel *wheel, Duration now) {
        *wheel = (Wheel){ .tick = now / WHEEL_TICK };
}

/* Rounded up: a slot is due only when all deadlines in it have passed. */
static int64_t tick_of(const Wheel *wheel, Duration deadline) {
        int64_t tick = deadline / WHEEL_TICK + 1;
        return CLAMP(tick, wheel->tick + 1, wheel->tick + WHEEL_SLOTS - 1);
}

static void insert(Wheel *wheel, WheelEntry *entry) {
        entry->tick = tick_of(wheel, entry->deadline);
        WheelEntry **slot = &wheel->slots[entry->tick % WHEEL_SLOTS];
        entry->next = *slot;
        entry->link = slot;
        if (entry->next)
                entry->next->link = &entry->next;
        *slot = entry;
}

void wheel_remove(WheelEntry *entry) {
        if (!entry->link)
                return;
        *entry->link = entry->next;
        if (entry->next)
                entry->next->link = entry->link;
        entry->next = NULL;
        entry->link = NULL;
}

void wheel_set(Wheel *wheel, WheelEntry *entry, Duration deadline) {
        entry->deadline = deadline;
        if (entry->link && entry->tick <= deadline / WHEEL_TICK + 1)
                return;
        wheel_remove(entry);
        if (deadline != DURATION_NEVER)
                insert(wheel, entry);
}

/* An entry whose deadline moved on goes to its new slot. */
static bool is_due(Wheel *wheel, WheelEntry *entry, Duration now) {
        wheel_remove(entry);
        if (entry->deadline <= now)
                return true;
        if (entry->deadline != DURATION_NEVER)
                insert(wheel, entry);
        return false;
}

WheelEntry *wheel_due(Wheel *wheel, Duration now) {
        for (int64_t end = now / WHEEL_TICK; wheel->tick <= end;) {
                WheelEntry *entry = wheel->slots[wheel->tick % WHEEL_SLOTS];
                if (!entry)
                        wheel->tick++;
                else if (is_due(wheel, entry, now))
                        return entry;
        }
        return NULL;
}

int wheel_wait(const Wheel *wheel, Duration now) {
        for (int64_t tick = wheel->tick; tick < wheel->tick + WHEEL_SLOTS; tick++)
                if (wheel->slots[tick % WHEEL_SLOTS]) {
                        Duration wait = tick * WHEEL_TICK - now;
                        return wait <= 0 ? 0 : (int) (wait / DURATION_MILLISECOND) + 1;
                }
        return -1;
}
