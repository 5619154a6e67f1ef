/* ((var)) references and their interpolation over Value trees (reference 03 §6, corrections 16, 17, 27, 29). */
#pragma once

#include "base/value.h"

/* [source:]path[.field]* ; source "" means none (also written "((:name))"), "." means local vars. */
typedef struct {
        char *source;
        char *path;
        char **fields; /* NULL-terminated, never NULL */
        char *name;    /* as it was written, between the parentheses */
} VarReference;

/* Returns new, or NULL with ERROR_INVALID "invalid var '…': empty field". */
VarReference *var_reference_parse(const char *text, GError **error);
VarReference *var_reference_new(const char *source, const char *path, const char *const *fields);
void var_reference_free(VarReference *reference);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VarReference, var_reference_free)
/* As messages show it: parts with special characters quoted. Returns new. */
char *var_reference_format(const VarReference *reference);
/* The same without the source, as field errors name it. Returns new. */
char *var_reference_format_path(const VarReference *reference);

/*
 * Looks one reference up, fields included: see var_fields(). True with *ret new, or NULL when it is not known here;
 * false with an error that ends the interpolation. *ret_inexact is set when numbers in it are float64, which
 * cannot stand inside a longer text (those of vars files; not those of load_var, across, -y).
 */
typedef bool (*VarLookupFn)(const VarReference *reference, void *data, Value **ret,
                            bool *ret_inexact, GError **error);

typedef struct {
        VarLookupFn lookup;
        void *data;
} Vars;

/* Walks the reference's fields down from the value of its path. Returns new, or NULL with ERROR_INVALID
 * "missing field 'f' in var: a.f" or "cannot access field 'f' of non-map value ('string') from var: a.f". */
Value *var_fields(const Value *value, const VarReference *reference, GError **error);

typedef enum {
        VARS_LENIENT = 0,         /* what is not known stays as it is written */
        VARS_EXPECT_ALL = 1 << 0, /* what is not known is an error: "undefined vars: a, b" */
        VARS_FLOATS = 1
                      << 1, /* numbers as written become float64: source and params (1.10 → 1.1) */
        VARS_TEMPLATE = 1
                        << 2, /* of a YAML_TEMPLATE tree: keys that become no text are marked so */
        /* What takes the place of a whole text goes through YAML: numbers in it that are no int64 become float64.
         * Inside a longer text they keep their literal (correction 27). */
        VARS_SERVER = 1 << 3,
} VarsFlags;

/* Returns new, with the keys of maps sorted; or NULL with ERROR_INVALID or the lookup's error. Map keys are interpolated too. */
Value *vars_interpolate(const Value *value, const Vars *vars, VarsFlags flags, GError **error);
/* The same for one text; the result may be of any kind. */
Value *vars_interpolate_text(const char *text, const Vars *vars, VarsFlags flags, GError **error);

/* The names of all vars in a tree, as written, in its order, with repetitions. Returns new array of new strings. */
GPtrArray *vars_names(const Value *value);

/* ---- a map as a source of vars ---- */

typedef struct {
        const Value *map; /* borrowed */
        bool inexact;     /* decoded from a vars file */
} StaticVars;

/* VarLookupFn, data is a StaticVars: answers references without a source. A path it has ends the search, be the
 * field there or not. */
bool static_vars_lookup(const VarReference *reference, void *data, Value **ret, bool *ret_inexact,
                        GError **error);
/* VarLookupFn, data is a NULL-terminated array of Vars *: the first that knows answers. */
bool multi_vars_lookup(const VarReference *reference, void *data, Value **ret, bool *ret_inexact,
                       GError **error);
/* VarLookupFn, data is a map Value of local vars: answers references with the source ".". */
bool local_vars_lookup(const VarReference *reference, void *data, Value **ret, bool *ret_inexact,
                       GError **error);

/* Sets a.b.c in a map of nested maps, as -v and instance vars do; what is in the way is replaced. Takes value. */
void static_vars_set(Value *map, const VarReference *reference, Value *value);

/* A whole tree with its numbers as a Go float64 writes them. Returns new. */
Value *value_with_floats(const Value *value);

/* What Go calls the kind of a value: "float64", "map[string]interface {}", "<nil>". */
const char *value_go_type(const Value *value);
