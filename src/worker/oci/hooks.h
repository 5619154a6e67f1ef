/* Programs that the OCI runtime runs at stages of every container's life, as files say (reference 06 §5.7). */
#pragma once

#include "base/value.h"

/*
 * Reads {"hook": an OCI hook, "stages": […]} from each regular file of the directory, in the order of their names; "when" is
 * ignored, as upstream does. Returns new: the hooks of a config.json. ERROR_INVALID names the file.
 */
Value *hooks_read(const char *directory, GError **error);
