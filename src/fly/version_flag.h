/* Versions of resources as flags give them and tables show them. */
#pragma once

#include "fly/fly.h"

/* "key:value" pairs make a version; without a colon the value is empty, as go-flags reads maps. Returns new map. */
Value *version_of_pairs(const GPtrArray *pairs);
/* "k:v,k:v", keys in order. Returns new; "" for none. */
char *version_format(const Value *version);
/* {"k":"v"}, keys in order, as messages have it. Returns new. */
char *version_json(const Value *version);
/* "filter=k%3Av&…": the versions that have all of these. Returns new. */
char *version_filter(const Value *version);
