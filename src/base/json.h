/* JSON as Go's encoding/json reads and writes it (reference 01, 04 §1.2), on the Value tree. */
#pragma once

#include "base/value.h"

typedef struct {
        size_t bytes; /* of text; 0: JSON_LIMITS_DEFAULT's */
        size_t depth; /* of nesting */
        size_t items; /* values in all */
} JsonLimits;

extern const JsonLimits json_limits_default; /* 16 MiB, 512 deep (Go: 10000), 2 million items */

/*
 * Reads one value with nothing but white space behind it. Strict RFC 8259; duplicate keys: the last
 * wins, at the first's place. Lone surrogates and invalid UTF-8 become U+FFFD, as in Go. limits
 * NULL: the default. Returns new, or NULL with ERROR_INVALID (Go's texts: "unexpected end of JSON
 * input", "invalid character 'x' looking for beginning of value") or ERROR_LIMIT.
 */
Value *json_parse(const char *text, size_t length, const JsonLimits *limits, GError **error);

/*
 * Reads the first value, whatever is behind it; *ret_used is the number of bytes it took, white space before it
 * included. Where the text ends too early Go's Decoder has texts of its own: "unexpected EOF", and "EOF" when there
 * is nothing at all.
 */
Value *json_parse_first(const char *text, size_t length, const JsonLimits *limits, size_t *ret_used,
                        GError **error);

typedef enum {
        JSON_COMPACT = 0,
        JSON_SORTED = 1 << 0,  /* keys of all maps in byte order */
        JSON_NO_HTML = 1 << 1, /* leave <, >, & alone; by default they are \u003c … as in Go */
        JSON_INDENT = 1 << 2,  /* two spaces, as json.MarshalIndent(v, "", "  ") */
} JsonFlags;

/* Returns new text, NUL-terminated; *ret_length may be NULL. Byte for byte what Go writes. */
char *json_write(const Value *value, JsonFlags flags, size_t *ret_length);
void json_append(GString *text, const Value *value, JsonFlags flags);
void json_append_string(GString *text, const char *string, size_t length,
                        JsonFlags flags); /* quoted */

/* value encoded compactly with sorted keys, then SHA-256, as 64 hex digits: cache keys (reference
 * 04 §11.2). Returns new. */
char *json_digest(const Value *value);
