/* The reader: libyaml's events become a tree that JSON could hold. */
#include "base/yaml.h"

#include "base/json.h"
#include "base/yaml_scalar.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define PREFIX "error converting YAML to JSON: "

const YamlLimits yaml_limits_default = {
        .bytes = 8 * 1024 * 1024,
        .depth = 200,
        .nodes = 500 * 1000,
};

typedef struct {
        Value *value;
        size_t nodes; /* in it, for the limit */
} Anchor;

typedef struct {
        yaml_parser_t parser;
        yaml_event_t event; /* the one to read next */
        bool have_event;
        size_t depth, nodes, nodes_max;
        YamlFlags flags;
        GHashTable *anchors; /* name → Anchor */
        GError **error;
} Reader;

static Value *read_node(Reader *reader);

/* ---- events ---- */

static void *fail(Reader *reader, ErrorCode code, const char *text) {
        g_set_error(reader->error, ERROR, code, PREFIX "%s", text);
        return NULL;
}

/* Line numbers as Go's port of libyaml counts them. */
static void fail_syntax(Reader *reader) {
        const yaml_parser_t *parser = &reader->parser;
        size_t line = parser->problem_mark.line;

        if (line != 0)
                line += parser->error == YAML_SCANNER_ERROR;
        else
                line = parser->context_mark.line;
        g_autofree char *where = line ? g_strdup_printf("line %zu: ", line) : g_strdup("");
        g_set_error(reader->error, ERROR, ERROR_INVALID, PREFIX "yaml: %s%s", where,
                    parser->problem ? parser->problem : "unknown problem parsing YAML content");
}

static bool next(Reader *reader) {
        if (reader->have_event)
                yaml_event_delete(&reader->event);
        reader->have_event = yaml_parser_parse(&reader->parser, &reader->event) != 0;
        if (!reader->have_event)
                fail_syntax(reader);
        return reader->have_event;
}

static bool count_nodes(Reader *reader, size_t nodes) {
        reader->nodes += nodes;
        if (reader->nodes <= reader->nodes_max)
                return true;
        fail(reader, ERROR_LIMIT, "yaml: document contains excessive aliasing");
        return false;
}

/* ---- anchors ---- */

static void anchor_free(void *data) {
        Anchor *anchor = data;

        value_free(anchor->value);
        g_free(anchor);
}

static void keep_anchor(Reader *reader, const char *name, const Value *value, size_t nodes) {
        Anchor *anchor = g_new0(Anchor, 1);

        anchor->value = value_ref(value);
        anchor->nodes = nodes;
        g_hash_table_replace(reader->anchors, g_strdup(name), anchor);
}

static Value *read_alias(Reader *reader) {
        const char *name = (const char *) reader->event.data.alias.anchor;
        const Anchor *anchor = g_hash_table_lookup(reader->anchors, name);

        if (!anchor || !anchor->value) {
                g_autofree char *text = g_strdup_printf(
                        anchor ? "yaml: anchor '%s' value contains itself"
                               : "yaml: unknown anchor '%s' referenced",
                        name);
                return fail(reader, ERROR_INVALID, text);
        }
        if (!count_nodes(reader, anchor->nodes))
                return NULL;
        g_autoptr(Value) value = value_ref(anchor->value);
        return next(reader) ? g_steal_pointer(&value) : NULL;
}

/* ---- scalars ---- */

static bool is_text_tag(const char *tag) {
        return tag && (g_str_equal(tag, "!") || g_str_equal(tag, YAML_STR_TAG));
}

static bool is_plain(const yaml_event_t *event) {
        return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static Value *scalar_value(const yaml_event_t *event, const char **ret_special) {
        const char *text = (const char *) event->data.scalar.value,
                   *tag = (const char *) event->data.scalar.tag;
        size_t length = event->data.scalar.length;

        *ret_special = NULL;
        if (is_text_tag(tag) || (!tag && !is_plain(event)))
                return value_string_sized(text, length);
        if (tag && g_str_equal(tag, "tag:yaml.org,2002:binary")) {
                size_t decoded = 0;
                g_autofree guchar *bytes = g_base64_decode(text, &decoded);
                return value_string_sized((const char *) bytes, decoded);
        }
        return yaml_scalar(text, length, ret_special);
}

static Value *read_scalar(Reader *reader) {
        const char *special;
        g_autoptr(Value) value = scalar_value(&reader->event, &special);

        if (special) {
                g_autofree char *text = g_strdup_printf("json: unsupported value: %s", special);
                return fail(reader, ERROR_INVALID, text);
        }
        if (reader->event.data.scalar.anchor)
                keep_anchor(reader, (const char *) reader->event.data.scalar.anchor, value, 1);
        return next(reader) ? g_steal_pointer(&value) : NULL;
}

/* ---- keys ---- */

/* Go's shortest %g of a float32. */
static char *float_key(double number) {
        char text[32];

        for (int digits = 1; digits <= 9; digits++) {
                g_snprintf(text, sizeof text, "%.*g", digits, (double) (float) number);
                if ((float) g_ascii_strtod(text, NULL) == (float) number)
                        break;
        }
        return g_strdup(text);
}

static char *key_text(Reader *reader, const Value *key, size_t *ret_length) {
        char *text = NULL;

        switch (value_kind(key)) {
        case VALUE_STRING:
                *ret_length = value_text_length(key);
                return g_memdup2(value_text(key), *ret_length + 1);
        case VALUE_NUMBER:
                text = strpbrk(value_text(key), ".e") ? float_key(value_as_double(key))
                                                      : g_strdup(value_text(key));
                break;
        case VALUE_BOOL:
                text = g_strdup(value_as_bool(key) ? "true" : "false");
                break;
        case VALUE_NULL:
                return fail(reader, ERROR_INVALID,
                            "unsupported map key of type: %!s(<nil>), key: <nil>");
        case VALUE_LIST:
        case VALUE_MAP: {
                g_autofree char *json = json_write(key, JSON_NO_HTML, NULL);
                g_autofree char *message = g_strdup_printf("yaml: invalid map key: %s", json);
                return fail(reader, ERROR_INVALID, message);
        }
        }
        *ret_length = strlen(text);
        return text;
}

/* ---- maps ---- */

static bool merge_one(Reader *reader, Value *map, const Value *from) {
        if (!value_is(from, VALUE_MAP)) {
                fail(reader, ERROR_INVALID,
                     "yaml: map merge requires map or sequence of maps as the value");
                return false;
        }
        for (size_t i = 0; i < value_length(from); i++)
                value_map_set_sized(map, value_key_at(from, i), value_key_length_at(from, i),
                                    value_ref(value_at(from, i)));
        return count_nodes(reader, value_length(from));
}

/* Where it stands: what was before is overwritten, what comes after wins; of a list the first wins. */
static bool merge(Reader *reader, Value *map) {
        g_autoptr(Value) from = read_node(reader);

        if (!from)
                return false;
        if (!value_is(from, VALUE_LIST))
                return merge_one(reader, map, from);
        for (size_t i = value_length(from); i > 0; i--)
                if (!merge_one(reader, map, value_at(from, i - 1)))
                        return false;
        return true;
}

static bool is_merge_key(const yaml_event_t *event) {
        return event->type == YAML_SCALAR_EVENT && is_plain(event) && !event->data.scalar.tag &&
               g_str_equal((const char *) event->data.scalar.value, "<<");
}

static Value *read_key(Reader *reader) {
        const char *special;

        if (reader->event.type != YAML_SCALAR_EVENT)
                return read_node(reader);
        g_autoptr(Value) key = scalar_value(&reader->event, &special);
        if (reader->event.data.scalar.anchor)
                keep_anchor(reader, (const char *) reader->event.data.scalar.anchor, key, 1);
        return next(reader) ? g_steal_pointer(&key) : NULL;
}

static bool read_pair(Reader *reader, Value *map) {
        size_t line = reader->event.start_mark.line + 1, length = 0;

        if (is_merge_key(&reader->event))
                return next(reader) && merge(reader, map);
        g_autoptr(Value) key = read_key(reader);
        g_autofree char *text = key ? key_text(reader, key, &length) : NULL;
        if (!text)
                return false;
        if ((reader->flags & YAML_STRICT_KEYS) && value_has(map, text)) {
                g_autofree char *message = g_strdup_printf(
                        "yaml: unmarshal errors:\n  line %zu: key \"%s\" already set in map", line,
                        text);
                fail(reader, ERROR_INVALID, message);
                return false;
        }
        Value *value = read_node(reader);
        if (!value)
                return false;
        value_map_set_sized(map, text, length, value);
        return true;
}

/* ---- collections ---- */

static Value *read_collection(Reader *reader, bool is_map, const char *anchor) {
        g_autoptr(Value) value = is_map ? value_map() : value_list();
        yaml_event_type_t end = is_map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
        size_t before = reader->nodes;

        if (anchor)
                keep_anchor(reader, anchor, NULL, 0);
        if (!next(reader))
                return NULL;
        while (reader->event.type != end) {
                Value *item = NULL;
                if (is_map ? !read_pair(reader, value) : !(item = read_node(reader)))
                        return NULL;
                if (item)
                        value_list_add(value, item);
        }
        if (anchor)
                keep_anchor(reader, anchor, value, reader->nodes - before + 1);
        return next(reader) ? g_steal_pointer(&value) : NULL;
}

static Value *read_nested(Reader *reader) {
        bool is_map = reader->event.type == YAML_MAPPING_START_EVENT;
        g_autofree char *anchor = g_strdup(
                (const char *) (is_map ? reader->event.data.mapping_start.anchor
                                       : reader->event.data.sequence_start.anchor));

        if (reader->depth == 0)
                return fail(reader, ERROR_LIMIT, "yaml: exceeded max depth");
        reader->depth--;
        Value *value = read_collection(reader, is_map, anchor);
        reader->depth++;
        return value;
}

static Value *read_node(Reader *reader) {
        if (!count_nodes(reader, 1))
                return NULL;
        switch (reader->event.type) {
        case YAML_ALIAS_EVENT:
                return read_alias(reader);
        case YAML_SCALAR_EVENT:
                return read_scalar(reader);
        case YAML_MAPPING_START_EVENT:
        case YAML_SEQUENCE_START_EVENT:
                return read_nested(reader);
        default:
                return fail(reader, ERROR_INVALID, "yaml: unexpected event");
        }
}

/* Only the first document counts. */
static Value *read_document(Reader *reader) {
        if (!next(reader) || !next(reader)) /* stream start; document start or stream end */
                return NULL;
        if (reader->event.type == YAML_STREAM_END_EVENT)
                return value_null();
        return next(reader) ? read_node(reader) : NULL;
}

Value *yaml_parse(const char *text, size_t length, const YamlLimits *limits, YamlFlags flags,
                  GError **error) {
        const YamlLimits *most = limits ? limits : &yaml_limits_default;
        Reader reader = {
                .depth = most->depth, .nodes_max = most->nodes, .flags = flags, .error = error
        };

        if (length > most->bytes)
                return fail(&reader, ERROR_LIMIT, "yaml: document is too large");
        if (!yaml_parser_initialize(&reader.parser))
                abort();
        yaml_parser_set_input_string(&reader.parser, (const unsigned char *) text, length);
        reader.anchors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, anchor_free);
        Value *value = read_document(&reader);
        if (reader.have_event)
                yaml_event_delete(&reader.event);
        g_hash_table_unref(reader.anchors);
        yaml_parser_delete(&reader.parser);
        return value;
}
