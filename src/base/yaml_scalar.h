/* What a plain scalar means in YAML 1.1 as upstream reads it (reference 03 §2.2). Internal to base. */
#pragma once

#include "base/error.h"

typedef enum {
        SCALAR_NULL,
        SCALAR_BOOL,
        SCALAR_INT,       /* of 64 bits: from INT64_MIN to UINT64_MAX */
        SCALAR_FLOAT,     /* infinities and NaN too */
        SCALAR_TIMESTAMP, /* stays text, but is quoted when written as a string */
        SCALAR_STRING,
} ScalarKind;

typedef struct {
        ScalarKind kind;
        bool boolean;
        bool negative; /* of integers, with the magnitude */
        uint64_t magnitude;
        double number; /* of integers too */
} Scalar;

/* timestamps: whether dates are looked for. */
Scalar scalar_resolve(const char *text, size_t length, bool timestamps);
/* "null", "bool", "int": as in the tag "!!int". */
const char *scalar_kind_name(ScalarKind kind);
/* Decimal digits of a SCALAR_INT. Returns new. */
char *scalar_int_text(const Scalar *scalar);
/* The shortest text that reads back as the same number of 32 or 64 bits, as Go's %g: "1e+06", "-Inf". Returns new. */
char *float_text(double number, int bits);
/* What is not UTF-8 becomes U+FFFD byte by byte, as in Go's JSON. Returns new, or NULL when all of it is. */
GString *utf8_repaired(const char *bytes, size_t length);
