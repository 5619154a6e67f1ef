/* YAML 1.1 as upstream reads pipelines (reference 03 §2.2), on the Value tree. */
#pragma once

#include "base/value.h"

typedef struct {
        size_t bytes; /* of text */
        size_t depth; /* of nesting */
        size_t nodes; /* after aliases are expanded: the alias-bomb limit */
} YamlLimits;

extern const YamlLimits yaml_limits_default; /* 0: these. 8 MiB, 200 deep, 500 000 nodes */

typedef enum {
        YAML_DEFAULT = 0,
        YAML_STRICT_KEYS = 1 << 0, /* a key set twice in one map is an error, by "<<" too */
        YAML_TEMPLATE = 1 << 1, /* for yaml_write_template(): keys and numbers keep their types */
} YamlFlags;

/* With YAML_TEMPLATE keys that are no strings begin with this, and string keys that begin with it do so twice. */
#define YAML_TYPED_KEY "\x01"

/*
 * Reads one document and converts it to what JSON can hold, in the steps and with the error texts
 * of reference 03 §2 and corrections 2, 3, 14, 15: they begin with "error converting YAML to JSON: ". An empty
 * document is VALUE_NULL. Keys are in byte order, as upstream sees them. Returns new, or NULL with ERROR_INVALID
 * or ERROR_LIMIT.
 */
Value *yaml_parse(const char *text, size_t length, const YamlLimits *limits, YamlFlags flags,
                  GError **error);

/*
 * What upstream's fly and set_pipeline step do with a pipeline first (reference 03 §6.6, correction 15): another
 * YAML library reads it, only to find keys that are set twice. Messages begin with "yaml: ".
 */
bool yaml_check_keys(const char *text, size_t length, const YamlLimits *limits, GError **error);

/*
 * Writes block style as upstream's fly writes configurations (reference 02 §10.3, corrections 21–24). Upstream goes
 * by JSON, so characters that JSON leaves as they are and YAML forbids are refused: "yaml: control characters are
 * not allowed". Returns new, or NULL with ERROR_INVALID.
 */
char *yaml_write(const Value *value, GError **error);

/* The same for a tree read with YAML_TEMPLATE, whose variables may have been filled in meanwhile. */
char *yaml_write_template(const Value *value, GError **error);
