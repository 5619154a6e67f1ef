/* What the files about workers share. */
#pragma once

#include "store/internal.h"

/* A heartbeat that waits in memory is newer than the row. */
void heartbeat_apply(Store *store, Worker *worker);
void heartbeat_forget(Store *store, const char *name);
