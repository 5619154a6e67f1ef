/* The reader: upstream's YAML library decodes into untyped values, which are then converted to JSON's. */
#include "base/yaml.h"

#include "base/yaml_node.h"

#include <math.h>
#include <string.h>

#define CONVERTING "error converting YAML to JSON: "

const YamlLimits yaml_limits_default = {
        .bytes = 8 * 1024 * 1024,
        .depth = 200,
        .nodes = 500 * 1000,
};

typedef struct {
        const YamlLimits *limits;
        YamlFlags flags;
        YamlCount count;
        GString *repeated; /* keys set twice, one a line, when that is an error */
        char *unconvertible; /* the first key that JSON cannot have: reported when the whole is decoded */
        char *unsupported; /* the first number that JSON cannot have: reported last */
        GError **error;
} Decoder;

/* A map that is being filled, own keys and merged ones. */
typedef struct {
        Value *value;
        GHashTable *seen; /* keys as described, with YAML_STRICT_KEYS only */
} Filling;

static Value *decode(Decoder *decoder, YamlNode *node);
static bool fill(Decoder *decoder, YamlNode *node, Filling *map);

/* ---- scalars ---- */

/* Upstream keeps bytes as they are until they become JSON. */
static Value *decode_binary(Decoder *decoder, const YamlNode *node) {
        g_autoptr(GString) bytes = yaml_node_bytes(node, decoder->error);

        if (!bytes)
                return NULL;
        g_autoptr(GString) repaired = decoder->flags & YAML_TEMPLATE
                                              ? NULL
                                              : utf8_repaired(bytes->str, bytes->len);
        const GString *text = repaired ? repaired : bytes;
        return value_string_sized(text->str, text->len);
}

static Value *decode_float(Decoder *decoder, double number) {
        if (!isfinite(number)) {
                g_autofree char *text = float_text(number, 64);
                if (!decoder->unsupported)
                        decoder->unsupported = g_strdup_printf("json: unsupported value: %s", text);
                return value_null();
        }
        if ((decoder->flags & YAML_TEMPLATE) == 0)
                return value_float(number);
        g_autofree char *text = float_text(number, 64);
        return value_number(text);
}

static Value *decode_scalar(Decoder *decoder, const YamlNode *node) {
        Scalar scalar;

        if (yaml_node_is_binary(node))
                return decode_binary(decoder, node);
        if (!yaml_node_scalar(node, false, &scalar, decoder->error))
                return NULL;
        switch (scalar.kind) {
        case SCALAR_NULL:
                return value_null();
        case SCALAR_BOOL:
                return value_bool(scalar.boolean);
        case SCALAR_INT: {
                g_autofree char *digits = scalar_int_text(&scalar);
                return value_number(digits);
        }
        case SCALAR_FLOAT:
                return decode_float(decoder, scalar.number);
        case SCALAR_TIMESTAMP:
        case SCALAR_STRING:
                break;
        }
        return value_string_sized(node->text, node->length);
}

/* ---- maps ---- */

static char *describe(YamlNode *node) {
        GString *text = g_string_new(NULL);

        yaml_node_describe(text, node, "map[interface {}]interface {}");
        return g_string_free(text, FALSE);
}

static void note_unconvertible(Decoder *decoder, const char *type, YamlNode *key, YamlNode *item) {
        if (decoder->unconvertible)
                return;
        g_autofree char *key_text = describe(key), *item_text = describe(item);
        decoder->unconvertible = g_strdup_printf(
                "unsupported map key of type: %s, key: %s, value: %s", type, key_text, item_text);
}

/* Numbers with a fraction are cut to 32 bits, as upstream does. */
static char *float_key(double number, bool template) {
        if (isnan(number))
                return g_strdup(".nan");
        if (isinf(number))
                return g_strdup(number < 0 ? "-.inf" : ".inf");
        return float_text(number, template ? 64 : 32);
}

/* The text of a key that is no string; NULL: it is one. */
static char *typed_key(Decoder *decoder, const Scalar *scalar, YamlNode *key, YamlNode *item) {
        bool template = (decoder->flags & YAML_TEMPLATE) != 0;

        switch (scalar->kind) {
        case SCALAR_NULL:
                if (!template)
                        note_unconvertible(decoder, "%!s(<nil>)", key, item);
                return g_strdup("null");
        case SCALAR_BOOL:
                return g_strdup(scalar->boolean ? "true" : "false");
        case SCALAR_INT:
                if (!template && scalar->magnitude > INT64_MAX && !scalar->negative)
                        note_unconvertible(decoder, "uint64", key, item);
                return scalar_int_text(scalar);
        case SCALAR_FLOAT:
                return float_key(scalar->number, template);
        case SCALAR_TIMESTAMP:
        case SCALAR_STRING:
                break;
        }
        return NULL;
}

/* Keys are text in JSON. */
static Value *decode_key(Decoder *decoder, YamlNode *node, YamlNode *item) {
        YamlNode *key = yaml_node_follow(node);
        Scalar scalar;

        if (yaml_node_is_binary(key))
                return decode_binary(decoder, key);
        if (!yaml_node_scalar(key, false, &scalar, decoder->error))
                return NULL;
        g_autofree char *typed = typed_key(decoder, &scalar, key, item);
        if ((decoder->flags & YAML_TEMPLATE) && (typed || *key->text == *YAML_TYPED_KEY)) {
                g_autoptr(GString) marked = g_string_new(YAML_TYPED_KEY);
                if (typed)
                        g_string_append(marked, typed);
                else
                        g_string_append_len(marked, key->text, (gssize) key->length);
                return value_string_sized(marked->str, marked->len);
        }
        return typed ? value_string(typed) : value_string_sized(key->text, key->length);
}

static bool fail_merge(Decoder *decoder) {
        g_set_error(decoder->error, ERROR, ERROR_INVALID,
                    "yaml: map merge requires map or sequence of maps as the value");
        return false;
}

/* Earlier maps of a sequence win: it is merged backwards. */
static bool merge(Decoder *decoder, YamlNode *source, Filling *map) {
        if (yaml_node_is_mapping(source))
                return fill(decoder, source, map);
        if (source->kind != NODE_SEQUENCE)
                return fail_merge(decoder);
        for (size_t i = source->children->len; i > 0; i--) {
                YamlNode *item = source->children->pdata[i - 1];
                if (!yaml_node_is_mapping(item))
                        return fail_merge(decoder);
                if (!fill(decoder, item, map))
                        return false;
        }
        return true;
}

/* Whether key is new in map; if it is not, the fault is noted. */
static bool note_key(Decoder *decoder, Filling *map, YamlNode *key, const YamlNode *item) {
        if (!map->seen)
                return true;
        g_autofree char *name = describe(key);
        if (g_hash_table_contains(map->seen, name)) {
                g_string_append_printf(decoder->repeated, "\n  line %zu: key %s already set in map",
                                       item->line, name);
                return false;
        }
        g_hash_table_add(map->seen, g_steal_pointer(&name));
        return true;
}

static bool fill_pair(Decoder *decoder, YamlNode *key, YamlNode *item, Filling *map) {
        YamlNode *target = yaml_node_follow(key);

        if (yaml_node_is_merge(key))
                return merge(decoder, item, map);
        if (target->kind != NODE_SCALAR) {
                g_autofree char *text = describe(target);
                g_set_error(decoder->error, ERROR, ERROR_INVALID, "yaml: invalid map key: %s",
                            text);
                return false;
        }
        if (!yaml_count_enter(&decoder->count, decoder->limits, decoder->error))
                return false;
        yaml_count_leave(&decoder->count);
        g_autoptr(Value) name = decode_key(decoder, key, item);
        Value *value = name ? decode(decoder, item) : NULL;
        if (!value)
                return false;
        if (note_key(decoder, map, target, item))
                value_map_set_sized(map->value, value_text(name), value_text_length(name), value);
        else
                value_free(value);
        return true;
}

/* Sets the pairs of a mapping, or of one that node stands for, in map. */
static bool fill(Decoder *decoder, YamlNode *node, Filling *map) {
        bool filled = true;

        if (!yaml_count_enter(&decoder->count, decoder->limits, decoder->error))
                return false;
        if (node->kind == NODE_ALIAS) {
                if (!yaml_alias_enter(&decoder->count, node, decoder->error))
                        return false;
                filled = fill(decoder, node->target, map);
                yaml_alias_leave(&decoder->count, node);
        } else
                for (size_t i = 0; filled && i + 1 < node->children->len; i += 2)
                        filled = fill_pair(decoder, node->children->pdata[i],
                                           node->children->pdata[i + 1], map);
        yaml_count_leave(&decoder->count);
        return filled;
}

/* ---- all kinds ---- */

static Value *decode_mapping(Decoder *decoder, YamlNode *node) {
        g_autoptr(Value) value = value_map();
        g_autoptr(GHashTable) seen = NULL;

        if (decoder->flags & YAML_STRICT_KEYS)
                seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        Filling map = { value, seen };
        return fill(decoder, node, &map) ? g_steal_pointer(&value) : NULL;
}

static Value *decode_sequence(Decoder *decoder, const YamlNode *node) {
        g_autoptr(Value) list = value_list();

        for (size_t i = 0; i < node->children->len; i++) {
                Value *item = decode(decoder, node->children->pdata[i]);
                if (!item)
                        return NULL;
                value_list_add(list, item);
        }
        return g_steal_pointer(&list);
}

static Value *decode_alias(Decoder *decoder, YamlNode *node) {
        if (!yaml_alias_enter(&decoder->count, node, decoder->error))
                return NULL;
        Value *value = decode(decoder, node->target);
        yaml_alias_leave(&decoder->count, node);
        return value;
}

static Value *decode(Decoder *decoder, YamlNode *node) {
        Value *value = NULL;

        if (node->kind == NODE_MAPPING) /* counted when it is filled */
                return decode_mapping(decoder, node);
        if (!yaml_count_enter(&decoder->count, decoder->limits, decoder->error))
                return NULL;
        if (node->kind == NODE_SCALAR)
                value = decode_scalar(decoder, node);
        else if (node->kind == NODE_SEQUENCE)
                value = decode_sequence(decoder, node);
        else
                value = decode_alias(decoder, node);
        yaml_count_leave(&decoder->count);
        return value;
}

/* What was noted on the way, in the order of upstream's steps. */
static bool report(Decoder *decoder) {
        if (decoder->repeated->len > 0)
                g_set_error(decoder->error, ERROR, ERROR_INVALID, "yaml: unmarshal errors:%s",
                            decoder->repeated->str);
        else if (decoder->unconvertible || decoder->unsupported)
                g_set_error_literal(decoder->error, ERROR, ERROR_INVALID,
                                    decoder->unconvertible ? decoder->unconvertible
                                                           : decoder->unsupported);
        else
                return true;
        return false;
}

static Value *decode_document(YamlNode *root, const YamlLimits *limits, YamlFlags flags,
                              GError **error) {
        g_autoptr(GString) repeated = g_string_new(NULL);
        Decoder decoder = {
                .limits = limits, .flags = flags, .repeated = repeated, .error = error
        };

        g_autoptr(Value) value = decode(&decoder, root);
        if (value && !report(&decoder))
                g_clear_pointer(&value, value_free);
        g_free(decoder.unconvertible);
        g_free(decoder.unsupported);
        return value ? value_sorted(value) : NULL;
}

Value *yaml_parse(const char *text, size_t length, const YamlLimits *limits, YamlFlags flags,
                  GError **error) {
        YamlLimits most = limits ? *limits : yaml_limits_default;
        g_autoptr(YamlNode) root = NULL;
        g_autoptr(Value) value = NULL;

        most.bytes = most.bytes ? most.bytes : yaml_limits_default.bytes;
        most.depth = most.depth ? most.depth : yaml_limits_default.depth;
        most.nodes = most.nodes ? most.nodes : yaml_limits_default.nodes;
        if (yaml_node_read(text, length, &most, YAML_LINES_V2, &root, error))
                value = root ? decode_document(root, &most, flags, error) : value_null();
        if (!value)
                g_prefix_error(error, CONVERTING);
        return g_steal_pointer(&value);
}
