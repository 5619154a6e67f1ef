/* What a status is called, in Go's words. */
#pragma once

#include <stdbool.h>

const char *http_status_text(int status); /* "" when it has no name */

static inline bool http_status_is_success(int status) {
        return status >= 200 && status <= 299;
}
