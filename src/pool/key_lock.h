/* One at a time for each key, in this process: volumes being made, caches being fetched. */
#pragma once

#include "base/cancel.h"

bool key_lock_try(const char *key);
/* Waits until nobody holds it (takes nothing). Returns as cancel_check(). */
bool key_lock_wait(const char *key, Cancel *cancel, GError **error);
/* Waits and takes it. */
bool key_lock_take(const char *key, Cancel *cancel, GError **error);
void key_lock_release(const char *key);
