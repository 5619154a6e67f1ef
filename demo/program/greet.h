#pragma once

#include <stddef.h>

/* Writes a greeting of name, or of the world when name is NULL or empty, to text: at most size bytes, its end included.
 */
void greet(const char *name, char *text, size_t size);
