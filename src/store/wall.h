/* The message that every dashboard shows (reference 01 §20). */
#pragma once

#include "base/clock.h"
#include "store/handle.h"

typedef struct {
        char *message; /* NULL: there is none */
        Time expires;  /* 0: never */
} Wall;

void wall_clear_fields(Wall *wall);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Wall, wall_clear_fields)

/* An expired one is none. */
bool wall_get(Store *store, Time now, Wall *ret, GError **error);
/* Replaces what is there. expires 0: never. */
bool wall_set(Store *store, const char *message, Time expires, GError **error);
bool wall_clear(Store *store, GError **error);
