/* Times as headers have them (RFC 9110 §5.6.7). */
#pragma once

#include <stdint.h>

/* seconds: since 1970. Returns new: "Sun, 06 Nov 1994 08:49:37 GMT"; NULL outside of the years 1 to 9999. */
char *http_date(int64_t seconds);
