/* YAML 1.1 as upstream reads pipelines (reference 03 §2.2), on the Value tree. */
#pragma once

#include "base/value.h"

typedef struct {
        size_t bytes; /* of text */
        size_t depth; /* of nesting */
        size_t nodes; /* after aliases are expanded: the alias-bomb limit */
} YamlLimits;

extern const YamlLimits yaml_limits_default; /* 8 MiB, 200 deep, 500 000 nodes */

typedef enum {
        YAML_DEFAULT = 0,
        YAML_STRICT_KEYS = 1 << 0, /* a key set twice in one map is an error */
} YamlFlags;

/*
 * Reads one document and converts it to what JSON can hold, in the steps and with the error texts
 * of reference 03 §2 and corrections 2, 3, 14, 15. An empty document is VALUE_NULL. Returns new, or
 * NULL with ERROR_INVALID or ERROR_LIMIT.
 */
Value *yaml_parse(const char *text, size_t length, const YamlLimits *limits, YamlFlags flags,
                  GError **error);

/* Writes block style as upstream's fly does (reference 02 §10.3, corrections 21–24). Returns new,
 * or NULL with ERROR_INVALID. */
char *yaml_write(const Value *value, GError **error);
