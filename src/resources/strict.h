/* Decoding JSON into known fields only, with the rules and texts of Go's encoding/json. */
#pragma once

#include "base/value.h"

typedef enum {
        FIELD_BOOL,
        FIELD_STRING,
        FIELD_TEXT,     /* a string, or a number that is kept as it was written */
        FIELD_STRINGS,  /* a list of strings */
        FIELD_ANYTHING, /* a map of whatever: kept as it is */
        FIELD_OBJECT,
        FIELD_OBJECTS, /* a list of objects */
} FieldKind;

typedef struct StrictField {
        const char *name; /* NULL ends a table */
        FieldKind kind;
        const char *type;                 /* the Go type's name, for objects and lists of them */
        const struct StrictField *fields; /* of objects */
} StrictField;

/*
 * Returns new: a map with the table's names for the fields that were given (Go matches names
 * without regard to case), without those that were null. type is the Go type's name of the whole.
 * NULL with ERROR_INVALID: "json: unknown field "x"", "json: cannot unmarshal bool into …".
 */
Value *strict_decode(const Value *given, const char *type, const StrictField *fields,
                     GError **error);

/* What a program of a resource type reads from its input, by what it does; the fields of each part. */
typedef enum { STRICT_CHECK, STRICT_IN, STRICT_OUT } StrictRole;
typedef struct {
        const StrictField *source, *version, *get_params, *put_params;
} StrictRequest;

/* Returns new: "source" and, as the role has them, "version" and "params". NULL with ERROR_INVALID "invalid payload: …". */
Value *strict_request(const Value *given, StrictRole role, const StrictRequest *parts,
                      GError **error);

/* What Go's messages call a value of this kind: "bool", "array". */
const char *strict_kind_word(const Value *value);
