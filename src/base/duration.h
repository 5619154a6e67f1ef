/* Durations as pipelines write them: "1h30m", "250ms", "-1.5s". */
#pragma once

#include "base/error.h"

typedef int64_t Duration; /* nanoseconds */

#define DURATION_MILLISECOND ((Duration) 1000 * 1000)
#define DURATION_SECOND (1000 * DURATION_MILLISECOND)
#define DURATION_MINUTE (60 * DURATION_SECOND)
#define DURATION_HOUR (60 * DURATION_MINUTE)
#define DURATION_NEVER INT64_MAX

/*
 * Parses the notation of Go's time.ParseDuration: an optional sign, then one or more
 * decimal numbers, each with a unit (ns, us, µs, ms, s, m, h); or a bare "0".
 * Fractions of a nanosecond are cut off.
 *
 * Returns false with ERROR_INVALID on anything else, and when the value does not fit;
 * *ret is then untouched.
 */
bool duration_parse(const char *text, Duration *ret, GError **error);

/* As Go's Duration.String(): "1h0m0s", "1m0s", "1.5s", "250ms", "0s". Returns new. */
char *duration_format(Duration duration);
