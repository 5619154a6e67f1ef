/* Which tags a put pushes (reference 09 §7.5). No network here. */
#pragma once

#include "base/value.h"

/*
 * What bump_aliases adds for a version without pre-release: "latest" (or the variant), its major, its major.minor,
 * each unless a greater version of the same variant is among existing (char *). Returns new, of char *.
 */
GPtrArray *registry_aliases(const char *version, const char *variant, const GPtrArray *existing);
