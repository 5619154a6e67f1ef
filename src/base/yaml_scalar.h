/* What a plain YAML 1.1 scalar means, as Go's yaml.v2 decides it. Internal to base/yaml.c. */
#pragma once

#include "base/value.h"

/* Returns new; a string when it is nothing else. Infinities and NaN: see *ret_special, "+Inf", "-Inf", "NaN" or NULL. */
Value *yaml_scalar(const char *text, size_t length, const char **ret_special);
