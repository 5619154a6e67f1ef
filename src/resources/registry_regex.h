/* Regular expressions in Go's syntax. */
#pragma once

#include "base/error.h"

/* ERROR_INVALID "invalid regex pattern: …": also what Go has not: looking around, going back, atoms. Returns new. */
GRegex *registry_regex(const char *pattern, GError **error);
