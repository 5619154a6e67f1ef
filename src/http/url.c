#include "http/url.h"

#include "base/json.h"

#include <string.h>

/* ---- escaping, as Go's net/url ---- */

static bool is_unreserved(unsigned char byte) {
        return g_ascii_isalnum(byte) || (byte != 0 && strchr("-_.~", byte) != NULL);
}

static void append_escaped(GString *text, unsigned char byte) {
        static const char digits[] = "0123456789ABCDEF";
        g_string_append_c(text, '%');
        g_string_append_c(text, digits[byte >> 4]);
        g_string_append_c(text, digits[byte & 15]);
}

static char *encode(const char *text, const char *kept, bool space_is_plus) {
        GString *out = g_string_sized_new(strlen(text) + 16);
        for (; *text; text++)
                if (is_unreserved((unsigned char) *text) || strchr(kept, *text))
                        g_string_append_c(out, *text);
                else if (*text == ' ' && space_is_plus)
                        g_string_append_c(out, '+');
                else
                        append_escaped(out, (unsigned char) *text);
        return g_string_free(out, false);
}

char *url_encode_path(const char *segment) {
        return encode(segment, "$&+=:@", false);
}

char *url_encode_query(const char *text) {
        return encode(text, "", true);
}

/* The byte at *at, which is moved past it; 0 for what cannot stand in text. */
static unsigned char decode_byte(const char *text, size_t length, bool plus_is_space, size_t *at) {
        unsigned char byte = (unsigned char) text[*at];
        if (byte != '%') {
                ++*at;
                return byte == '+' && plus_is_space ? ' ' : byte;
        }
        if (length - *at < 3)
                return 0;
        int high = g_ascii_xdigit_value(text[*at + 1]);
        int low = g_ascii_xdigit_value(text[*at + 2]);
        *at += 3;
        return high < 0 || low < 0 ? 0 : (unsigned char) (high << 4 | low);
}

char *url_decode(const char *text, size_t length, bool plus_is_space, GError **error) {
        g_autofree char *out = g_malloc(length + 1);
        size_t written = 0;
        for (size_t at = 0; at < length;) {
                size_t start = at;
                unsigned char byte = decode_byte(text, length, plus_is_space, &at);
                if (byte == 0) {
                        g_set_error(error, ERROR, ERROR_INVALID, "invalid URL escape \"%.*s\"",
                                    (int) MIN(length - start, 3), text + start);
                        return NULL;
                }
                out[written++] = (char) byte;
        }
        out[written] = '\0';
        return g_steal_pointer(&out);
}

/* ---- instance vars, reference 01 §5 ---- */

typedef struct {
        char *reference; /* "vars.branch" */
        char *json;
} VarPair;

static void var_pair_free(void *data) {
        VarPair *pair = data;
        g_free(pair->reference);
        g_free(pair->json);
        g_free(pair);
}

static int compare_pairs(const void *a, const void *b) {
        return strcmp((*(VarPair *const *) a)->reference, (*(VarPair *const *) b)->reference);
}

/* One pair for each leaf below value; lists are leaves. */
static void collect_leaves(const Value *value, const char *reference, GPtrArray *pairs) {
        if (!value_is(value, VALUE_MAP)) {
                VarPair *pair = g_new0(VarPair, 1);
                pair->reference = g_strdup(reference);
                pair->json = json_write(value, JSON_SORTED, NULL);
                g_ptr_array_add(pairs, pair);
                return;
        }
        for (size_t i = 0; i < value_length(value); i++) {
                const char *key = value_key_at(value, i);
                const char *quote = strpbrk(key, ",.:/ ") ? "\"" : "";
                g_autofree char *below = g_strconcat(reference, ".", quote, key, quote, NULL);
                collect_leaves(value_at(value, i), below, pairs);
        }
}

char *url_instance_vars(const Value *instance_vars) {
        GString *text = g_string_new(NULL);
        g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(var_pair_free);
        if (!value_is_null(instance_vars))
                collect_leaves(instance_vars, "vars", pairs);
        g_ptr_array_sort(pairs, compare_pairs);
        for (size_t i = 0; i < pairs->len; i++) {
                VarPair *pair = pairs->pdata[i];
                g_autofree char *name = url_encode_query(pair->reference);
                g_autofree char *json = url_encode_query(pair->json);
                g_string_append_printf(text, "%s%s=%s", i > 0 ? "&" : "", name, json);
        }
        return g_string_free(text, false);
}

/* The segments of a reference: cut at dots outside quotes, quotes taken out, trimmed. */
static GPtrArray *split_reference(const char *reference, GError **error) {
        g_autoptr(GPtrArray) segments = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GString) segment = g_string_new(NULL);
        bool quoted = false;
        for (const char *byte = reference;; byte++) {
                if (*byte == '"')
                        quoted = !quoted;
                else if (*byte != '\0' && (*byte != '.' || quoted))
                        g_string_append_c(segment, *byte);
                else {
                        char *trimmed = g_strstrip(g_strdup(segment->str));
                        g_ptr_array_add(segments, trimmed);
                        g_string_truncate(segment, 0);
                        if (*trimmed == '\0') {
                                g_set_error(error, ERROR, ERROR_INVALID,
                                            "invalid var '%s': empty field", reference);
                                return NULL;
                        }
                }
                if (*byte == '\0')
                        return g_steal_pointer(&segments);
        }
}

/* Returns new: base (taken; may be NULL) with leaf (taken) at the end of the path. */
static Value *deep_set(Value *base, const GPtrArray *path, size_t depth, Value *leaf) {
        if (depth == path->len) {
                value_free(base);
                return leaf;
        }
        const char *key = path->pdata[depth];
        if (!value_is(base, VALUE_MAP)) {
                value_free(base);
                base = value_map();
        }
        const Value *old = value_get(base, key);
        Value *below = deep_set(old ? value_copy(old) : NULL, path, depth + 1, leaf);
        value_map_set(base, key, below);
        return base;
}

static bool is_instance_var(const char *name) {
        return strcmp(name, "vars") == 0 || g_str_has_prefix(name, "vars.");
}

static GPtrArray *instance_pairs(const char *const *names, const char *const *values,
                                 size_t count) {
        GPtrArray *pairs = g_ptr_array_new_with_free_func(var_pair_free);
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        for (size_t i = 0; i < count; i++) {
                if (!is_instance_var(names[i]) || !g_hash_table_add(seen, (void *) names[i]))
                        continue; /* of repeated ones the first counts */
                VarPair *pair = g_new0(VarPair, 1);
                pair->reference = g_strdup(names[i]);
                pair->json = g_strdup(values[i]);
                g_ptr_array_add(pairs, pair);
        }
        g_ptr_array_sort(pairs, compare_pairs);
        return pairs;
}

#define INSTANCE_VARS_DEPTH_MAX 64

Value *url_parse_instance_vars(const char *const *names, const char *const *values, size_t count,
                               GError **error) {
        g_autoptr(GPtrArray) pairs = instance_pairs(names, values, count);
        g_autoptr(Value) vars = NULL;
        for (size_t i = 0; i < pairs->len; i++) {
                VarPair *pair = pairs->pdata[i];
                g_autoptr(GPtrArray) path = split_reference(pair->reference, error);
                if (!path)
                        return NULL;
                if (path->len > INSTANCE_VARS_DEPTH_MAX) {
                        g_set_error(error, ERROR, ERROR_LIMIT, "invalid var '%s': too deep",
                                    pair->reference);
                        return NULL;
                }
                Value *leaf = json_parse(pair->json, strlen(pair->json), NULL, error);
                if (!leaf)
                        return NULL;
                vars = deep_set(g_steal_pointer(&vars), path, 1, leaf);
        }
        if (value_is_null(vars))
                return NULL;
        if (!value_is(vars, VALUE_MAP)) {
                g_set_error_literal(error, ERROR, ERROR_INVALID, "instance vars must be a map");
                return NULL;
        }
        return g_steal_pointer(&vars);
}
