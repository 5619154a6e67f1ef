/* Pieces of URLs. */
#pragma once

#include "base/value.h"

char *url_encode_path(const char *segment); /* as Go's url.PathEscape; returns new */
char *url_encode_query(const char *text);   /* as Go's url.QueryEscape: space is '+'; returns new */
char *url_decode(const char *text, size_t length, bool plus_is_space,
                 GError **error); /* returns new; ERROR_INVALID */

/* Instance vars as query pairs, `vars.branch=%22master%22` joined by & and sorted (reference 01
 * §5). Returns new; "" for null. */
char *url_instance_vars(const Value *instance_vars);
/* The other way: from pairs of names and values (reference 01 §5). names/values as parallel arrays.
 * Returns new map, or NULL with no error when there are none. */
Value *url_parse_instance_vars(const char *const *names, const char *const *values, size_t count,
                               GError **error);
