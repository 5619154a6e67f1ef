/* Whether the disks have room for another build. What runs already goes on; nothing new begins until there is room. */
#pragma once

#include "store/handle.h"

/*
 * *ret is new: why a build of this team may not begin now, "no room on the disk of any worker: w1, w2" or "no room on the
 * web node's disk"; NULL when it may. With SQLite the web node's disk has the database and the logs; it is low from
 * less than 64 MiB free on (a twentieth of a disk smaller than 1.25 GiB), until there is half as much again. A worker
 * says itself that its disk is low. Without any running worker nothing is said: placement knows better.
 */
bool room_for_build(Store *store, int64_t team_id, char **ret, GError **error);
