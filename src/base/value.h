/* A tree of JSON or YAML data: what configs, plans, versions and messages are made of. */
#pragma once

#include "base/error.h"

/*
 * Reference counted (atomically). A value is built by one thread; once shared it is immutable
 * and any thread may read it. Containers own their children; keys keep their order.
 * Numbers keep the literal they were written with ("1.10", "1E3", 70 digits).
 * Strings are UTF-8 and may contain NUL bytes, hence lengths; text pointers are NUL-terminated too.
 */
typedef struct Value Value;

typedef enum {
        VALUE_NULL,
        VALUE_BOOL,
        VALUE_NUMBER,
        VALUE_STRING,
        VALUE_LIST,
        VALUE_MAP,
} ValueKind;

/* Each returns new. value_number() asserts a valid JSON number literal; value_float() writes as
 * Go's encoding/json. */
Value *value_null(void);
Value *value_bool(bool boolean);
Value *value_int(int64_t integer);
Value *value_float(double number);
Value *value_number(const char *literal);
Value *value_string(const char *text); /* NULL makes null */
Value *value_string_sized(const char *text, size_t length);
Value *value_list(void);
Value *value_map(void);

Value *value_ref(const Value *value); /* accepts NULL */
void value_free(Value *value);        /* drops one reference; accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Value, value_free)

/* Building; asserts the container's kind and that it is not shared (one reference). Takes item. */
void value_list_add(Value *list, Value *item);
void value_map_set(Value *map, const char *key,
                   Value *item); /* replaces in place; NULL item: no-op */
void value_map_set_sized(Value *map, const char *key, size_t length, Value *item);
void value_map_remove(Value *map, const char *key);
/* Short forms for value_map_set(map, key, value_x(…)). The _opt ones leave the key out when "" /
 * NULL / 0 / false. */
void value_map_set_string(Value *map, const char *key, const char *text);
void value_map_set_int(Value *map, const char *key, int64_t integer);
void value_map_set_bool(Value *map, const char *key, bool boolean);
void value_map_set_string_opt(Value *map, const char *key, const char *text);
void value_map_set_int_opt(Value *map, const char *key, int64_t integer);
void value_map_set_bool_opt(Value *map, const char *key, bool boolean);

/* Reading; NULL is accepted everywhere and reads as null. Pointers are borrowed. */
ValueKind value_kind(const Value *value);
bool value_is(const Value *value, ValueKind kind);
bool value_is_null(const Value *value);     /* NULL or VALUE_NULL */
bool value_as_bool(const Value *value);     /* false unless VALUE_BOOL true */
const char *value_text(const Value *value); /* of a string or number literal; else NULL */
size_t value_text_length(const Value *value);
bool value_as_int(const Value *value, int64_t *ret);     /* a number literal that is an int64 */
double value_as_double(const Value *value);              /* 0 unless a number */
size_t value_length(const Value *value);                 /* items of a list or map, else 0 */
const Value *value_at(const Value *value, size_t index); /* item of a list or map, by position */
const char *value_key_at(const Value *map, size_t index);
size_t value_key_length_at(const Value *map, size_t index);
const Value *value_get(const Value *map, const char *key); /* NULL when absent or not a map */
bool value_has(const Value *map, const char *key);
/* Typed look-ups in a map with a default for absent, null or another kind. */
const char *value_get_string(const Value *map, const char *key, const char *otherwise);
int64_t value_get_int(const Value *map, const char *key, int64_t otherwise);
bool value_get_bool(const Value *map, const char *key, bool otherwise);

bool value_equal(const Value *a, const Value *b); /* maps in any order; numbers by literal */
Value *value_copy(const Value *value);            /* returns new, deep, unshared: may be changed */
Value *value_sorted(
        const Value *value); /* returns new, deep, all map keys in byte order, as Go writes maps */
