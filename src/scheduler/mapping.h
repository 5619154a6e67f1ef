/* From what the store knows to the versions a job's next build would get. Internal to the scheduler. */
#pragma once

#include "store/store.h"

/* Resolves and saves; *ret_created (may be NULL) is the id of an automatic build that was made, or 0. */
bool mapping_update(Store *store, const SchedulingCase *problem, bool ensure_pending,
                    int64_t *ret_created, GError **error);
