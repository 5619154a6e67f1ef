/* What planner.c and type_image.c share. Internal to plan. */
#pragma once

#include "plan/planner.h"

/* source with the defaults of its type below it. Returns new; NULL when there is neither. */
Value *source_with_defaults(const GPtrArray *types, const Value *base_type_defaults,
                            const char *type, const Value *source);
/* What applies when every says nothing; otherwise 0: one minute. */
CheckEvery interval_or_default(const CheckEvery *every, Duration otherwise);
/* The list without one type: a type is no parent of its own. Returns new array, borrows its items. */
GPtrArray *types_without(const GPtrArray *types, const ResourceTypeConfig *excluded);
