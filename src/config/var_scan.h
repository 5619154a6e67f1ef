/* Finding ((var)) in text. Internal to config. */
#pragma once

#include "config/vars.h"

/* The first var at or behind text: *ret_name is what stands between its parentheses. False: there is none. */
bool var_scan(const char *text, const char **ret_name, size_t *ret_length);
/* Whether text is exactly one var. */
bool var_is_whole(const char *text);
