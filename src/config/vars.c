#include "config/vars.h"

#include <string.h>

#include "base/json.h"
#include "base/yaml.h"
#include "config/var_scan.h"

/* ---- numbers and kinds ---- */

const char *value_go_type(const Value *value) {
        switch (value_kind(value)) {
        case VALUE_BOOL:
                return "bool";
        case VALUE_NUMBER:
                return "float64";
        case VALUE_STRING:
                return "string";
        case VALUE_LIST:
                return "[]interface {}";
        case VALUE_MAP:
                return "map[string]interface {}";
        default:
                return "<nil>";
        }
}

/* A number as Go's float64 writes it; with `integers` those that are an int64 stay what they are. */
static Value *number_settled(const Value *number, bool integers) {
        int64_t integer;

        if (integers && value_as_int(number, &integer))
                return value_int(integer);
        return value_float(value_as_double(number));
}

/* Whether a literal may be another one afterwards. Short integers need no look. */
static bool literal_changes(const char *literal) {
        const char *digits = literal + (*literal == '-');
        size_t length = strlen(digits);
        return length > 15 || strspn(digits, "0123456789") != length ||
               (digits > literal && *digits == '0');
}

static bool needs_settling(const Value *value) {
        if (value_is(value, VALUE_NUMBER))
                return literal_changes(value_text(value));
        for (size_t i = 0; i < value_length(value); i++)
                if (needs_settling(value_at(value, i)))
                        return true;
        return false;
}

static Value *settled(const Value *value, bool integers) {
        if (!needs_settling(value))
                return value ? value_ref(value) : value_null();
        if (value_is(value, VALUE_NUMBER))
                return number_settled(value, integers);
        bool is_map = value_is(value, VALUE_MAP);
        Value *copy = is_map ? value_map() : value_list();
        for (size_t i = 0; i < value_length(value); i++) {
                Value *item = settled(value_at(value, i), integers);
                if (is_map)
                        value_map_set_sized(copy, value_key_at(value, i),
                                            value_key_length_at(value, i), item);
                else
                        value_list_add(copy, item);
        }
        return copy;
}

Value *value_with_floats(const Value *value) {
        return settled(value, false);
}

/* ---- fields ---- */

static Value *walk_fields(const Value *value, const VarReference *reference, bool inexact,
                          GError **error) {
        for (char **field = reference->fields; *field; field++) {
                g_autofree char *name = var_reference_format_path(reference);
                if (!value_is(value, VALUE_MAP)) {
                        const char *type = value_is(value, VALUE_NUMBER) && !inexact
                                                   ? "json.Number"
                                                   : value_go_type(value);
                        g_set_error(error, ERROR, ERROR_INVALID,
                                    "cannot access field '%s' of non-map value ('%s') from var: %s",
                                    *field, type, name);
                        return NULL;
                }
                if (!value_has(value, *field)) {
                        g_set_error(error, ERROR, ERROR_INVALID, "missing field '%s' in var: %s",
                                    *field, name);
                        return NULL;
                }
                value = value_get(value, *field);
        }
        return value ? value_ref(value) : value_null();
}

Value *var_fields(const Value *value, const VarReference *reference, GError **error) {
        return walk_fields(value, reference, false, error);
}

/* ---- interpolation ---- */

typedef struct {
        const Vars *vars;
        VarsFlags flags;
        GHashTable *missing; /* set of formatted references */
} Walk;

static bool resolve(Walk *walk, const char *name, Value **ret, bool *ret_inexact, GError **error) {
        g_autoptr(VarReference) reference = var_reference_parse(name, error);
        Value *value = NULL;
        *ret_inexact = false;
        if (!reference ||
            !walk->vars->lookup(reference, walk->vars->data, &value, ret_inexact, error))
                return false;
        if (!value)
                g_hash_table_add(walk->missing, var_reference_format(reference));
        *ret = value;
        return true;
}

static void names_of(const char *text, GPtrArray *names) {
        const char *name;
        size_t length;
        for (; var_scan(text, &name, &length); text = name + length + 2)
                g_ptr_array_add(names, g_strndup(name, length));
}

/* Puts a scalar in the place of every ((name)) in text. */
static bool embed(GString *text, const char *name, const Value *value, bool inexact,
                  GError **error) {
        bool number = value_is(value, VALUE_NUMBER) && !inexact;
        if (!value_is(value, VALUE_STRING) && !number) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "cannot interpolate non-primitive value (%s) from var: %s",
                            value_go_type(value), name);
                return false;
        }
        g_autofree char *var = g_strdup_printf("((%s))", name);
        g_string_replace(text, var, value_text(value), 0);
        return true;
}

/* Text may hold NUL bytes: those cannot be part of a var, and text with them is left alone. */
static Value *interpolate_text(Walk *walk, const Value *original, GError **error) {
        const char *start = value_text(original);
        if (!strstr(start, "((") || strlen(start) != value_text_length(original))
                return value_ref(original);
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GString) text = g_string_new(start);
        names_of(start, names);
        for (size_t i = 0; i < names->len; i++) {
                const char *name = g_ptr_array_index(names, i);
                g_autoptr(Value) value = NULL;
                bool inexact;
                if (!resolve(walk, name, &value, &inexact, error))
                        return NULL;
                if (!value)
                        continue;
                if (var_is_whole(text->str))
                        return walk->flags & VARS_SERVER ? settled(value, true)
                                                         : g_steal_pointer(&value);
                if (!embed(text, name, value, inexact, error))
                        return NULL;
        }
        return value_string_sized(text->str, text->len);
}

static Value *interpolate(Walk *walk, const Value *value, GError **error);

/*
 * What a key becomes: text, or what YAML would make of a scalar in its place. Returns new. Null is refused with the
 * text that upstream's next reading of the document would end in.
 */
static char *interpolate_key(Walk *walk, const char *key, const Value *item, GError **error) {
        g_autoptr(Value) text = value_string(key);
        g_autoptr(Value) value = interpolate_text(walk, text, error);
        const char *mark = walk->flags & VARS_TEMPLATE ? YAML_TYPED_KEY : "";
        if (!value)
                return NULL;
        switch (value_kind(value)) {
        case VALUE_STRING:
                return g_strdup(value_text(value));
        case VALUE_NUMBER:
                return g_strconcat(mark, value_text(value), NULL);
        case VALUE_BOOL:
                return g_strconcat(mark, value_as_bool(value) ? "true" : "false", NULL);
        case VALUE_NULL: {
                g_autofree char *shown = json_write(item, JSON_NO_HTML, NULL);
                g_set_error(
                        error, ERROR, ERROR_INVALID,
                        "error converting YAML to JSON: unsupported map key of type: %%!s(<nil>), key: <nil>, "
                        "value: %s",
                        shown);
                return NULL;
        }
        default:
                g_set_error(error, ERROR, ERROR_INVALID, "cannot use a %s as a map key: %s",
                            value_is(value, VALUE_LIST) ? "list" : "map", key);
                return NULL;
        }
}

/* Keys that hold vars come after the others: where two become the same, theirs is the value. */
static Value *interpolate_map(Walk *walk, const Value *map, GError **error) {
        g_autoptr(Value) sorted = value_sorted(map);
        g_autoptr(Value) result = value_map();
        for (int pass = 0; pass < 2; pass++)
                for (size_t i = 0; i < value_length(sorted); i++) {
                        const char *plain = value_key_at(sorted, i);
                        size_t length = value_key_length_at(sorted, i);
                        if ((strstr(plain, "((") != NULL) != (pass == 1))
                                continue;
                        g_autoptr(Value) item = interpolate(walk, value_at(sorted, i), error);
                        if (!item)
                                return NULL;
                        if (pass == 0) {
                                value_map_set_sized(result, plain, length, g_steal_pointer(&item));
                                continue;
                        }
                        g_autofree char *key = interpolate_key(walk, plain, item, error);
                        if (!key)
                                return NULL;
                        value_map_set(result, key, g_steal_pointer(&item));
                }
        return value_sorted(result);
}

static Value *interpolate_list(Walk *walk, const Value *list, GError **error) {
        g_autoptr(Value) result = value_list();
        for (size_t i = 0; i < value_length(list); i++) {
                Value *item = interpolate(walk, value_at(list, i), error);
                if (!item)
                        return NULL;
                value_list_add(result, item);
        }
        return g_steal_pointer(&result);
}

static Value *interpolate(Walk *walk, const Value *value, GError **error) {
        switch (value_kind(value)) {
        case VALUE_STRING:
                return interpolate_text(walk, value, error);
        case VALUE_LIST:
                return interpolate_list(walk, value, error);
        case VALUE_MAP:
                return interpolate_map(walk, value, error);
        default:
                return walk->flags & VARS_FLOATS ? settled(value, false)
                       : value                   ? value_ref(value)
                                                 : value_null();
        }
}

static int compare_texts(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Sets "undefined vars: a, b" and returns false when something was missing. */
static bool all_known(GHashTable *missing, GError **error) {
        if (g_hash_table_size(missing) == 0)
                return true;
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        GHashTableIter iter;
        void *name;
        g_hash_table_iter_init(&iter, missing);
        while (g_hash_table_iter_next(&iter, &name, NULL))
                g_ptr_array_add(names, name);
        g_ptr_array_sort(names, compare_texts);
        g_ptr_array_add(names, NULL);
        g_autofree char *joined = g_strjoinv(", ", (char **) names->pdata);
        g_set_error(error, ERROR, ERROR_INVALID, "undefined vars: %s", joined);
        return false;
}

Value *vars_interpolate(const Value *value, const Vars *vars, VarsFlags flags, GError **error) {
        g_autoptr(GHashTable)
                missing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        Walk walk = { vars, flags, missing };
        g_autoptr(Value) result = interpolate(&walk, value, error);
        if (!result || ((flags & VARS_EXPECT_ALL) && !all_known(missing, error)))
                return NULL;
        return g_steal_pointer(&result);
}

Value *vars_interpolate_text(const char *text, const Vars *vars, VarsFlags flags, GError **error) {
        g_autoptr(Value) value = value_string(text);
        return vars_interpolate(value, vars, flags, error);
}

static void collect_names(const Value *value, GPtrArray *names) {
        if (value_is(value, VALUE_STRING))
                names_of(value_text(value), names);
        for (size_t i = 0; i < value_length(value); i++) {
                if (value_is(value, VALUE_MAP))
                        names_of(value_key_at(value, i), names);
                collect_names(value_at(value, i), names);
        }
}

GPtrArray *vars_names(const Value *value) {
        GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
        collect_names(value, names);
        return names;
}

/* ---- sources ---- */

static bool lookup_in_map(const Value *map, bool inexact, const VarReference *reference,
                          Value **ret, bool *ret_inexact, GError **error) {
        if (!value_has(map, reference->path)) {
                *ret = NULL;
                return true;
        }
        Value *value = walk_fields(value_get(map, reference->path), reference, inexact, error);
        if (!value)
                return false;
        *ret = value;
        *ret_inexact = inexact;
        return true;
}

bool static_vars_lookup(const VarReference *reference, void *data, Value **ret, bool *ret_inexact,
                        GError **error) {
        const StaticVars *vars = data;
        *ret = NULL;
        return *reference->source ||
               lookup_in_map(vars->map, vars->inexact, reference, ret, ret_inexact, error);
}

bool multi_vars_lookup(const VarReference *reference, void *data, Value **ret, bool *ret_inexact,
                       GError **error) {
        *ret = NULL;
        for (const Vars *const *vars = data; *vars && !*ret; vars++)
                if (!(*vars)->lookup(reference, (*vars)->data, ret, ret_inexact, error))
                        return false;
        return true;
}

bool local_vars_lookup(const VarReference *reference, void *data, Value **ret, bool *ret_inexact,
                       GError **error) {
        *ret = NULL;
        return !g_str_equal(reference->source, ".") ||
               lookup_in_map(data, false, reference, ret, ret_inexact, error);
}

/* map with the path below it set; the maps on the way are new. Takes value. */
static Value *with_path(const Value *map, const char *key, char *const *fields, Value *value) {
        Value *copy = value_map();
        for (size_t i = 0; value_is(map, VALUE_MAP) && i < value_length(map); i++)
                value_map_set(copy, value_key_at(map, i), value_ref(value_at(map, i)));
        if (*fields)
                value = with_path(value_get(map, key), *fields, fields + 1, value);
        value_map_set(copy, key, value);
        return copy;
}

void static_vars_set(Value *map, const VarReference *reference, Value *value) {
        if (*reference->fields)
                value = with_path(value_get(map, reference->path), *reference->fields,
                                  reference->fields + 1, value);
        value_map_set(map, reference->path, value);
}
