/* Which artifacts a put sees (reference 04 §4.2). */
#pragma once

#include "config/step.h"
#include "steps/scope.h"

/* Names, sorted, each once: all, those listed, or those that the uninterpolated params speak of.
 * ERROR_INVALID "input not found: x" for a listed one that does not exist. Returns new. */
GPtrArray *put_input_names(const PutInputs *inputs, const Value *params, Scope *scope,
                           GError **error);
