/*
 * One at a time for each key among the web nodes of one PostgreSQL: what they would make twice on a worker. A lock is its
 * node's while the node is heard of (lease_nodes). With SQLite there is one node, and every call succeeds at once.
 * Threads of one node keep each other out by pool/key_lock first.
 */
#pragma once

#include "base/cancel.h"
#include "store/handle.h"

/* *ret false: another node has it. */
bool work_lock_try(Store *store, const char *key, bool *ret, GError **error);
/* Waits until it may be free again; takes nothing. Returns as cancel_check(). */
bool work_lock_wait(Store *store, Cancel *cancel, GError **error);
/* Waits and takes it. */
bool work_lock_take(Store *store, const char *key, Cancel *cancel, GError **error);
/* What fails here ends with the node, or is ours again at the next try. */
void work_lock_release(Store *store, const char *key);
