/* What tells instances of a pipeline apart, as people read it (reference 03 §8.3). Pure. */
#pragma once

#include "base/value.h"

/* "branch:master,deep.k:true": leaves sorted by name, values as JSON, plain where they would be read as the same text.
 * Returns new; "" for none. */
char *instance_vars_format(const Value *vars);
/* "name" or "name/branch:master". Returns new. */
char *pipeline_reference_format(const char *name, const Value *vars);
