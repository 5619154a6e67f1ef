/* Capabilities by name. */
#pragma once

#include "base/value.h"

/* The sets of reference 06 §5.7, as bits. */
extern const uint64_t capability_unprivileged, capability_privileged;
#define CAPABILITY_SYS_ADMIN (UINT64_C(1) << 21)

/* Our own bounding set: nobody can be given more (asking for it makes runc fail). */
uint64_t capability_bounding(void);

/* Returns new: a list of "CAP_…" names. */
Value *capability_names(uint64_t set);
