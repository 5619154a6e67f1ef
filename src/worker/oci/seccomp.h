/* What containers may not ask of the kernel. */
#pragma once

#include "base/value.h"

/*
 * The default: a short list of what is refused. A list of all that is allowed, as upstream's, costs
 * each container 12 ms of compiling in runc where this costs 1; what it names is what upstream's list
 * leaves out. Returns new: OCI's linux.seccomp.
 */
Value *seccomp_standard(void);
/* With what FUSE needs (--containerd-privileged-mode=fuse-only). */
Value *seccomp_fuse(void);
