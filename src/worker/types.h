/* The base resource types of a worker: folders with resource_metadata.json and rootfs.tgz
 * (reference 06 §5.4). */
#pragma once

#include "base/value.h"

/* Reads every entry of the folder. Returns new: the list for the registration, sorted by type.
 * ERROR_INVALID or ERROR_NOT_FOUND names the entry that is not as it should be. */
Value *resource_types_read(const char *directory, GError **error);
