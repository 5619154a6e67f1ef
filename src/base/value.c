#include "base/value.h"

#include "base/number.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Maps up to this size are searched one by one; larger ones have an index. */
#define INDEX_FROM 16

typedef struct {
        char *text; /* NUL-terminated beyond its length */
        size_t length;
} Text;

struct Value {
        gatomicrefcount references;
        ValueKind kind;
        bool boolean;
        Text text;         /* of strings and numbers */
        GPtrArray *items;  /* of lists and maps: Value */
        GArray *keys;      /* of maps, parallel to items: Text */
        GHashTable *index; /* of larger maps: Text * (copied pointers) → position + 1 */
};

static Value *value_new(ValueKind kind) {
        Value *value = g_new0(Value, 1);

        g_atomic_ref_count_init(&value->references);
        value->kind = kind;
        return value;
}

static Text text_copy(const char *text, size_t length) {
        char *copy = g_malloc(length + 1);

        if (length > 0)
                memcpy(copy, text, length);
        copy[length] = '\0';
        return (Text){ copy, length };
}

Value *value_null(void) {
        return value_new(VALUE_NULL);
}

Value *value_bool(bool boolean) {
        Value *value = value_new(VALUE_BOOL);

        value->boolean = boolean;
        return value;
}

static Value *number_of(const char *literal) {
        Value *value = value_new(VALUE_NUMBER);

        value->text = text_copy(literal, strlen(literal));
        return value;
}

Value *value_int(int64_t integer) {
        char literal[24];

        g_snprintf(literal, sizeof literal, "%" G_GINT64_FORMAT, integer);
        return number_of(literal);
}

/* Go drops the zero of a two-digit exponent: 1e-07 is 1e-7. */
static void trim_exponent(char *text) {
        char *mark = strchr(text, 'e');

        if (mark && (mark[1] == '-' || mark[1] == '+') && mark[2] == '0' && mark[3] != '\0')
                memmove(mark + 2, mark + 3, strlen(mark + 3) + 1);
}

/* "1.2345e+06" as 1234500. */
static char *positional(const char *text) {
        GString *digits = g_string_new(NULL), *plain = g_string_new(*text == '-' ? "-" : NULL);
        int exponent = atoi(strchr(text, 'e') + 1);

        for (const char *cursor = text; *cursor != 'e'; cursor++)
                if (g_ascii_isdigit(*cursor))
                        g_string_append_c(digits, *cursor);
        if (exponent < 0)
                g_string_append(plain, "0.");
        for (int zeros = -1; zeros > exponent; zeros--)
                g_string_append_c(plain, '0');
        for (int i = 0; i < (int) digits->len || i <= exponent; i++) {
                if (exponent >= 0 && i == exponent + 1)
                        g_string_append_c(plain, '.');
                g_string_append_c(plain, i < (int) digits->len ? digits->str[i] : '0');
        }
        g_string_free(digits, TRUE);
        return g_string_free(plain, FALSE);
}

Value *value_float(double number) {
        char text[NUMBER_TEXT_MAX];
        double magnitude = fabs(number);

        g_assert(isfinite(number));
        number_shortest(number, 64, text);
        if (magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21)) {
                trim_exponent(text);
                return number_of(text);
        }
        g_autofree char *plain = positional(text);
        return number_of(plain);
}

static bool is_number(const char *text) {
        text += *text == '-';
        if (*text == '0')
                text++;
        else if (g_ascii_isdigit(*text))
                while (g_ascii_isdigit(*text))
                        text++;
        else
                return false;
        if (*text == '.') {
                if (!g_ascii_isdigit(*++text))
                        return false;
                while (g_ascii_isdigit(*text))
                        text++;
        }
        if (*text == 'e' || *text == 'E') {
                text++;
                text += *text == '+' || *text == '-';
                if (!g_ascii_isdigit(*text))
                        return false;
                while (g_ascii_isdigit(*text))
                        text++;
        }
        return *text == '\0';
}

Value *value_number(const char *literal) {
        g_assert(is_number(literal));
        return number_of(literal);
}

Value *value_string(const char *text) {
        return text ? value_string_sized(text, strlen(text)) : value_null();
}

Value *value_string_sized(const char *text, size_t length) {
        Value *value = value_new(VALUE_STRING);

        value->text = text_copy(text, length);
        return value;
}

static void free_item(void *item) {
        value_free(item);
}

Value *value_list(void) {
        Value *value = value_new(VALUE_LIST);

        value->items = g_ptr_array_new_with_free_func(free_item);
        return value;
}

static void clear_key(void *key) {
        g_free(((Text *) key)->text);
}

Value *value_map(void) {
        Value *value = value_new(VALUE_MAP);

        value->items = g_ptr_array_new_with_free_func(free_item);
        value->keys = g_array_new(FALSE, FALSE, sizeof(Text));
        g_array_set_clear_func(value->keys, clear_key);
        return value;
}

Value *value_ref(const Value *value) {
        if (value)
                g_atomic_ref_count_inc(&((Value *) value)->references);
        return (Value *) value;
}

void value_free(Value *value) {
        if (!value || !g_atomic_ref_count_dec(&value->references))
                return;
        g_free(value->text.text);
        g_clear_pointer(&value->items, g_ptr_array_unref);
        g_clear_pointer(&value->index, g_hash_table_unref);
        g_clear_pointer(&value->keys, g_array_unref);
        g_free(value);
}

/* ---- building ---- */

static void assert_unshared(const Value *value, ValueKind kind) {
        g_assert(value->kind == kind);
        g_assert(g_atomic_ref_count_compare((gatomicrefcount *) &value->references, 1));
}

void value_list_add(Value *list, Value *item) {
        assert_unshared(list, VALUE_LIST);
        g_ptr_array_add(list->items, item);
}

static guint hash_text(const void *data) {
        const Text *text = data;
        guint hash = 5381;

        for (size_t i = 0; i < text->length; i++)
                hash = hash * 33 + (unsigned char) text->text[i];
        return hash;
}

static gboolean equal_text(const void *a, const void *b) {
        const Text *left = a, *right = b;

        return left->length == right->length && memcmp(left->text, right->text, left->length) == 0;
}

static void index_key(Value *map, size_t position) {
        Text *key = g_memdup2(&g_array_index(map->keys, Text, position), sizeof(Text));

        g_hash_table_insert(map->index, key, GSIZE_TO_POINTER(position + 1));
}

static void reindex(Value *map) {
        g_clear_pointer(&map->index, g_hash_table_unref);
        if (map->keys->len < INDEX_FROM)
                return;
        map->index = g_hash_table_new_full(hash_text, equal_text, g_free, NULL);
        for (size_t i = 0; i < map->keys->len; i++)
                index_key(map, i);
}

/* Returns the position + 1; 0: not there. */
static size_t find_key(const Value *map, const char *key, size_t length) {
        const Text wanted = { (char *) key, length };

        if (map->index)
                return GPOINTER_TO_SIZE(g_hash_table_lookup(map->index, &wanted));
        for (size_t i = 0; i < map->keys->len; i++)
                if (equal_text(&g_array_index(map->keys, Text, i), &wanted))
                        return i + 1;
        return 0;
}

void value_map_set_sized(Value *map, const char *key, size_t length, Value *item) {
        assert_unshared(map, VALUE_MAP);
        if (!item)
                return;
        size_t found = find_key(map, key, length);
        if (found > 0) {
                value_free(map->items->pdata[found - 1]);
                map->items->pdata[found - 1] = item;
                return;
        }
        Text copy = text_copy(key, length);
        g_array_append_val(map->keys, copy);
        g_ptr_array_add(map->items, item);
        if (map->index)
                index_key(map, map->keys->len - 1);
        else if (map->keys->len == INDEX_FROM)
                reindex(map);
}

void value_map_set(Value *map, const char *key, Value *item) {
        value_map_set_sized(map, key, strlen(key), item);
}

void value_map_remove(Value *map, const char *key) {
        assert_unshared(map, VALUE_MAP);
        size_t found = find_key(map, key, strlen(key));
        if (found == 0)
                return;
        g_clear_pointer(&map->index, g_hash_table_unref);
        g_array_remove_index(map->keys, (guint) found - 1);
        g_ptr_array_remove_index(map->items, (guint) found - 1);
        reindex(map);
}

void value_map_set_string(Value *map, const char *key, const char *text) {
        value_map_set(map, key, value_string(text));
}

void value_map_set_int(Value *map, const char *key, int64_t integer) {
        value_map_set(map, key, value_int(integer));
}

void value_map_set_bool(Value *map, const char *key, bool boolean) {
        value_map_set(map, key, value_bool(boolean));
}

void value_map_set_string_opt(Value *map, const char *key, const char *text) {
        if (text && *text)
                value_map_set_string(map, key, text);
}

void value_map_set_int_opt(Value *map, const char *key, int64_t integer) {
        if (integer != 0)
                value_map_set_int(map, key, integer);
}

void value_map_set_bool_opt(Value *map, const char *key, bool boolean) {
        if (boolean)
                value_map_set_bool(map, key, boolean);
}

/* ---- reading ---- */

ValueKind value_kind(const Value *value) {
        return value ? value->kind : VALUE_NULL;
}

bool value_is(const Value *value, ValueKind kind) {
        return value_kind(value) == kind;
}

bool value_is_null(const Value *value) {
        return value_kind(value) == VALUE_NULL;
}

bool value_as_bool(const Value *value) {
        return value_is(value, VALUE_BOOL) && value->boolean;
}

static bool has_text(const Value *value) {
        return value_is(value, VALUE_STRING) || value_is(value, VALUE_NUMBER);
}

const char *value_text(const Value *value) {
        return has_text(value) ? value->text.text : NULL;
}

size_t value_text_length(const Value *value) {
        return has_text(value) ? value->text.length : 0;
}

bool value_as_int(const Value *value, int64_t *ret) {
        if (!value_is(value, VALUE_NUMBER) || strpbrk(value->text.text, ".eE"))
                return false;
        errno = 0;
        gint64 integer = g_ascii_strtoll(value->text.text, NULL, 10);
        if (errno != 0)
                return false;
        *ret = integer;
        return true;
}

double value_as_double(const Value *value) {
        return value_is(value, VALUE_NUMBER) ? g_ascii_strtod(value->text.text, NULL) : 0;
}

static bool has_items(const Value *value) {
        return value_is(value, VALUE_LIST) || value_is(value, VALUE_MAP);
}

size_t value_length(const Value *value) {
        return has_items(value) ? value->items->len : 0;
}

const Value *value_at(const Value *value, size_t index) {
        return index < value_length(value) ? value->items->pdata[index] : NULL;
}

const char *value_key_at(const Value *map, size_t index) {
        g_assert(value_is(map, VALUE_MAP) && index < map->keys->len);
        return g_array_index(map->keys, Text, index).text;
}

size_t value_key_length_at(const Value *map, size_t index) {
        g_assert(value_is(map, VALUE_MAP) && index < map->keys->len);
        return g_array_index(map->keys, Text, index).length;
}

const Value *value_get(const Value *map, const char *key) {
        if (!value_is(map, VALUE_MAP))
                return NULL;
        size_t found = find_key(map, key, strlen(key));
        return found > 0 ? map->items->pdata[found - 1] : NULL;
}

bool value_has(const Value *map, const char *key) {
        return value_get(map, key) != NULL;
}

const char *value_get_string(const Value *map, const char *key, const char *otherwise) {
        const Value *value = value_get(map, key);

        return value_is(value, VALUE_STRING) ? value->text.text : otherwise;
}

int64_t value_get_int(const Value *map, const char *key, int64_t otherwise) {
        int64_t integer;

        return value_as_int(value_get(map, key), &integer) ? integer : otherwise;
}

bool value_get_bool(const Value *map, const char *key, bool otherwise) {
        const Value *value = value_get(map, key);

        return value_is(value, VALUE_BOOL) ? value->boolean : otherwise;
}

/* ---- whole trees ---- */

static bool equal_maps(const Value *a, const Value *b) {
        for (size_t i = 0; i < a->keys->len; i++) {
                const Text *key = &g_array_index(a->keys, Text, i);
                size_t found = find_key(b, key->text, key->length);
                if (found == 0 || !value_equal(a->items->pdata[i], b->items->pdata[found - 1]))
                        return false;
        }
        return true;
}

bool value_equal(const Value *a, const Value *b) {
        if (value_kind(a) != value_kind(b) || value_length(a) != value_length(b))
                return false;
        switch (value_kind(a)) {
        case VALUE_NULL:
                return true;
        case VALUE_BOOL:
                return a->boolean == b->boolean;
        case VALUE_NUMBER:
        case VALUE_STRING:
                return equal_text(&a->text, &b->text);
        case VALUE_MAP:
                return equal_maps(a, b);
        case VALUE_LIST:
                break;
        }
        for (size_t i = 0; i < a->items->len; i++)
                if (!value_equal(a->items->pdata[i], b->items->pdata[i]))
                        return false;
        return true;
}

static int compare_keys(const void *a, const void *b, void *data) {
        const Value *map = data;
        const Text *left = &g_array_index(map->keys, Text, *(const size_t *) a);
        const Text *right = &g_array_index(map->keys, Text, *(const size_t *) b);
        int order = memcmp(left->text, right->text, MIN(left->length, right->length));

        if (order != 0)
                return order;
        return left->length < right->length ? -1 : left->length > right->length ? 1 : 0;
}

static Value *copy(const Value *value, bool sorted) {
        size_t count = value_length(value);

        switch (value_kind(value)) {
        case VALUE_NULL:
                return value_null();
        case VALUE_BOOL:
                return value_bool(value->boolean);
        case VALUE_NUMBER:
                return number_of(value->text.text);
        case VALUE_STRING:
                return value_string_sized(value->text.text, value->text.length);
        case VALUE_LIST: {
                Value *list = value_list();
                for (size_t i = 0; i < count; i++)
                        value_list_add(list, copy(value->items->pdata[i], sorted));
                return list;
        }
        case VALUE_MAP:
                break;
        }
        Value *map = value_map();
        g_autofree size_t *order = g_new(size_t, count);
        for (size_t i = 0; i < count; i++)
                order[i] = i;
        if (sorted)
                g_qsort_with_data(order, (int) count, sizeof *order, compare_keys, (void *) value);
        for (size_t i = 0; i < count; i++) {
                const Text *key = &g_array_index(value->keys, Text, order[i]);
                value_map_set_sized(map, key->text, key->length,
                                    copy(value->items->pdata[order[i]], sorted));
        }
        return map;
}

Value *value_copy(const Value *value) {
        return copy(value, false);
}

Value *value_sorted(const Value *value) {
        return copy(value, true);
}
