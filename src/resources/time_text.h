/* Times as Go writes and reads them. */
#pragma once

#include "resources/zone.h"

#include <stdbool.h>

/*
 * Reads text after a Go layout made of 2006 01 02 15 3 04 05 PM -0700 and literal text, with Go's liberties: hours of
 * one or two digits, a fraction behind the seconds. Without an offset *ret_offset (seconds east) is 0.
 * Returns false when it does not fit, or a field is out of range; both results are then untouched.
 */
bool layout_parse(const char *layout, const char *text, Wall *ret, int32_t *ret_offset);

/*
 * RFC 3339, as Go's time.Time is read from JSON. *ret_offset: as written, Z is 0.
 * ERROR_INVALID: "parsing time "X" as "2006-01-02T15:04:05Z07:00": cannot parse …".
 */
bool rfc3339_parse(const char *text, Moment *ret, int32_t *ret_offset, GError **error);

/* Each returns new: "2026-05-01T10:00:00.5-04:00"; "2026-05-01 10:00:00.5 -0400 -0400". */
char *rfc3339_format(const Moment *moment, int32_t offset);
char *timestamp_format(const Moment *moment, int32_t offset);
