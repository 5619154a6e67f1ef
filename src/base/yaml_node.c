#include "base/yaml_node.h"

#include <string.h>
#include <yaml.h>

/* What a description of a node in an error message is cut off at. */
#define DESCRIPTION_MAX 4096

#define TAG_PREFIX "tag:yaml.org,2002:"

typedef struct {
        yaml_parser_t parser;
        const unsigned char *text;
        size_t length;
        YamlLines lines;
        const YamlLimits *limits;
        size_t nodes, depth;
        GHashTable *anchors; /* name → borrowed node */
        const char *cursor;  /* behind the last escape that was looked at; NULL: there are none */
        const char *end;
        size_t index; /* of cursor, in characters */
        GError **error;
} Reader;

void yaml_node_free(YamlNode *node) {
        if (!node)
                return;
        g_free(node->tag);
        g_free(node->text);
        g_clear_pointer(&node->children, g_ptr_array_unref);
        g_free(node);
}

static void free_child(void *node) {
        yaml_node_free(node);
}

/* ---- events ---- */

static bool fail_line(Reader *reader, size_t line, const char *problem) {
        if (line > 0)
                g_set_error(reader->error, ERROR, ERROR_INVALID, "yaml: line %zu: %s", line,
                            problem);
        else
                g_set_error(reader->error, ERROR, ERROR_INVALID, "yaml: %s", problem);
        return false;
}

/* A scanner's mark is one line behind; a mark on the first line says nothing. */
static size_t line_of(const yaml_parser_t *parser, YamlLines lines) {
        bool scanner = parser->error == YAML_SCANNER_ERROR;
        size_t problem = parser->problem_mark.line, context = parser->context_mark.line;

        if (lines == YAML_LINES_V3)
                return context > 0 ? context + scanner : problem > 0 ? problem + scanner : 0;
        return problem > 0 ? problem + scanner : context;
}

static bool fail_parser(Reader *reader, const yaml_parser_t *parser) {
        return fail_line(reader, line_of(parser, reader->lines),
                         parser->problem ? parser->problem
                                         : "unknown problem parsing YAML content");
}

/* The third library looks one token further for comments, so what is wrong with that one comes first. */
static bool fail_ahead(Reader *reader) {
        size_t where = reader->parser.problem_mark.index, last = 0;
        yaml_parser_t ahead;
        yaml_token_type_t type = YAML_STREAM_START_TOKEN;
        bool scanned = true;

        if (!yaml_parser_initialize(&ahead))
                g_error("no memory for a YAML parser");
        yaml_parser_set_input_string(&ahead, reader->text, reader->length);
        while (scanned && last <= where && type != YAML_STREAM_END_TOKEN) {
                yaml_token_t token;
                scanned = yaml_parser_scan(&ahead, &token);
                if (!scanned)
                        break;
                last = token.start_mark.index;
                type = token.type;
                yaml_token_delete(&token);
        }
        fail_parser(reader, scanned ? &reader->parser : &ahead);
        yaml_parser_delete(&ahead);
        return false;
}

static bool fail_syntax(Reader *reader) {
        if (reader->lines == YAML_LINES_V3 && reader->parser.error == YAML_PARSER_ERROR)
                return fail_ahead(reader);
        return fail_parser(reader, &reader->parser);
}

/* Upstream's reader knows YAML 1.1 only. */
static bool check_version(Reader *reader, const yaml_event_t *event) {
        const yaml_version_directive_t *version = event->type == YAML_DOCUMENT_START_EVENT
                                                          ? event->data.document_start
                                                                    .version_directive
                                                          : NULL;

        if (!version || (version->major == 1 && version->minor == 1))
                return true;
        return fail_line(reader, event->start_mark.line, "found incompatible YAML document");
}

/* Marks count characters. */
static void seek(Reader *reader, size_t index) {
        while (reader->index < index && reader->cursor < reader->end) {
                reader->cursor = g_utf8_next_char(reader->cursor);
                reader->index++;
        }
}

/* libyaml takes "\\/" in double quotes, as JSON does; upstream's reader does not. */
static bool check_escapes(Reader *reader, const yaml_event_t *event) {
        size_t lines = 0;

        if (!reader->cursor || event->type != YAML_SCALAR_EVENT ||
            event->data.scalar.style != YAML_DOUBLE_QUOTED_SCALAR_STYLE)
                return true;
        for (seek(reader, event->start_mark.index);
             reader->index + 1 < event->end_mark.index && reader->cursor + 1 < reader->end;
             seek(reader, reader->index + 1)) {
                lines += *reader->cursor == '\n';
                if (*reader->cursor != '\\')
                        continue;
                seek(reader, reader->index + 1);
                lines += *reader->cursor == '\n';
                if (*reader->cursor == '/') {
                        size_t start = event->start_mark.line, here = start + lines;
                        size_t line = reader->lines == YAML_LINES_V3 && start > 0 ? start : here;
                        return fail_line(reader, line > 0 ? line + 1 : 0,
                                         "found unknown escape character");
                }
        }
        return true;
}

static bool next_event(Reader *reader, yaml_event_t *ret) {
        if (!yaml_parser_parse(&reader->parser, ret))
                return fail_syntax(reader);
        if (!check_version(reader, ret) || !check_escapes(reader, ret)) {
                yaml_event_delete(ret);
                return false;
        }
        return true;
}

/* ---- nodes ---- */

static YamlNode *read_node(Reader *reader, const yaml_event_t *event);

static YamlNode *node_new(Reader *reader, const yaml_event_t *event, YamlNodeKind kind,
                          const yaml_char_t *tag, const yaml_char_t *anchor) {
        YamlNode *node = g_new0(YamlNode, 1);
        const char *name = (const char *) tag;

        node->kind = kind;
        node->line = event->start_mark.line + 1;
        if (name && g_str_has_prefix(name, TAG_PREFIX))
                node->tag = g_strconcat("!!", name + strlen(TAG_PREFIX), NULL);
        else
                node->tag = g_strdup(name);
        if (kind == NODE_SEQUENCE || kind == NODE_MAPPING)
                node->children = g_ptr_array_new_with_free_func(free_child);
        if (anchor)
                g_hash_table_replace(reader->anchors, g_strdup((const char *) anchor), node);
        return node;
}

/* Reads children up to the event that ends the collection. */
static YamlNode *read_children(Reader *reader, YamlNode *parent) {
        g_autoptr(YamlNode) node = parent;

        if (reader->depth == 0) {
                g_set_error(reader->error, ERROR, ERROR_LIMIT, "yaml: exceeded max depth of %zu",
                            reader->limits->depth);
                return NULL;
        }
        reader->depth--;
        for (;;) {
                yaml_event_t event;
                if (!next_event(reader, &event))
                        return NULL;
                bool end = event.type == YAML_SEQUENCE_END_EVENT ||
                           event.type == YAML_MAPPING_END_EVENT;
                YamlNode *child = end ? NULL : read_node(reader, &event);
                yaml_event_delete(&event);
                if (end)
                        break;
                if (!child)
                        return NULL;
                g_ptr_array_add(node->children, child);
        }
        reader->depth++;
        return g_steal_pointer(&node);
}

static YamlNode *read_alias(Reader *reader, const yaml_event_t *event) {
        const char *name = (const char *) event->data.alias.anchor;
        YamlNode *target = g_hash_table_lookup(reader->anchors, name);

        if (!target) {
                g_set_error(reader->error, ERROR, ERROR_INVALID,
                            "yaml: unknown anchor '%s' referenced", name);
                return NULL;
        }
        YamlNode *node = node_new(reader, event, NODE_ALIAS, NULL, NULL);
        node->text = g_strdup(name);
        node->length = strlen(name);
        node->target = target;
        return node;
}

static YamlNode *read_node(Reader *reader, const yaml_event_t *event) {
        YamlNode *node;

        if (++reader->nodes > reader->limits->nodes) {
                g_set_error(reader->error, ERROR, ERROR_LIMIT, "yaml: more than %zu values",
                            reader->limits->nodes);
                return NULL;
        }
        switch (event->type) {
        case YAML_ALIAS_EVENT:
                return read_alias(reader, event);
        case YAML_SCALAR_EVENT:
                node = node_new(reader, event, NODE_SCALAR, event->data.scalar.tag,
                                event->data.scalar.anchor);
                node->implicit = event->data.scalar.plain_implicit;
                node->length = event->data.scalar.length;
                node->text = g_malloc(node->length + 1);
                memcpy(node->text, event->data.scalar.value, node->length + 1);
                return node;
        case YAML_SEQUENCE_START_EVENT:
                return read_children(reader, node_new(reader, event, NODE_SEQUENCE,
                                                      event->data.sequence_start.tag,
                                                      event->data.sequence_start.anchor));
        case YAML_MAPPING_START_EVENT:
                return read_children(reader, node_new(reader, event, NODE_MAPPING,
                                                      event->data.mapping_start.tag,
                                                      event->data.mapping_start.anchor));
        default:
                g_assert_not_reached();
        }
}

/* Up to the end of the first document: what is behind it does not matter, be it right or wrong. */
static bool read_document(Reader *reader, YamlNode **ret) {
        g_autoptr(YamlNode) root = NULL;

        for (;;) {
                yaml_event_t event;
                if (!next_event(reader, &event))
                        return false;
                yaml_event_type_t type = event.type;
                bool before = type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT;
                bool end = type == YAML_STREAM_END_EVENT || type == YAML_DOCUMENT_END_EVENT;
                if (!before && !end)
                        root = read_node(reader, &event);
                yaml_event_delete(&event);
                if (end)
                        break;
                if (!before && !root)
                        return false;
        }
        *ret = g_steal_pointer(&root);
        return true;
}

bool yaml_node_read(const char *text, size_t length, const YamlLimits *limits, YamlLines lines,
                    YamlNode **ret, GError **error) {
        Reader reader = { .text = (const unsigned char *) (length > 0 ? text : ""),
                          .length = length,
                          .lines = lines,
                          .limits = limits,
                          .depth = limits->depth,
                          .error = error };

        if (length > limits->bytes) {
                g_set_error(error, ERROR, ERROR_LIMIT, "yaml: more than %zu bytes", limits->bytes);
                return false;
        }
        if (!yaml_parser_initialize(&reader.parser))
                g_error("no memory for a YAML parser");
        yaml_parser_set_input_string(&reader.parser, reader.text, length);
        if (length > 0 && memmem(text, length, "\\/", 2)) {
                bool mark = length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0; /* not counted */
                reader.cursor = text + (mark ? 3 : 0);
                reader.end = text + length;
        }
        reader.anchors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        bool read = read_document(&reader, ret);
        g_hash_table_unref(reader.anchors);
        yaml_parser_delete(&reader.parser);
        return read;
}

/* ---- asking ---- */

bool yaml_node_is_merge(const YamlNode *key) {
        return key->kind == NODE_SCALAR && g_str_equal(key->text, "<<") &&
               (key->implicit || (key->tag && g_str_equal(key->tag, "!!merge")));
}

YamlNode *yaml_node_follow(YamlNode *node) {
        return node->kind == NODE_ALIAS ? node->target : node;
}

bool yaml_node_is_mapping(YamlNode *node) {
        return yaml_node_follow(node)->kind == NODE_MAPPING;
}

/* The share of what is decoded that may come from aliases. */
static double alias_share(size_t decoded) {
        const double low = 400000, high = 4000000;

        if ((double) decoded <= low)
                return 0.99;
        if ((double) decoded >= high)
                return 0.10;
        return 0.99 - 0.89 * (((double) decoded - low) / (high - low));
}

bool yaml_count_enter(YamlCount *count, const YamlLimits *limits, GError **error) {
        count->decoded++;
        if (count->aliases > 0)
                count->aliased++;
        if (count->aliased > 100 && count->decoded > 1000 &&
            (double) count->aliased / (double) count->decoded > alias_share(count->decoded)) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "yaml: document contains excessive aliasing");
                return false;
        }
        if (count->decoded > limits->nodes) {
                g_set_error(error, ERROR, ERROR_LIMIT, "yaml: more than %zu values", limits->nodes);
                return false;
        }
        if (count->level > limits->depth) {
                g_set_error(error, ERROR, ERROR_LIMIT, "yaml: exceeded max depth of %zu",
                            limits->depth);
                return false;
        }
        count->level++;
        return true;
}

void yaml_count_leave(YamlCount *count) {
        count->level--;
}

bool yaml_alias_enter(YamlCount *count, YamlNode *alias, GError **error) {
        if (alias->busy) {
                g_set_error(error, ERROR, ERROR_INVALID, "yaml: anchor '%s' value contains itself",
                            alias->text);
                return false;
        }
        alias->busy = true;
        count->aliases++;
        return true;
}

void yaml_alias_leave(YamlCount *count, YamlNode *alias) {
        alias->busy = false;
        count->aliases--;
}

static bool tag_kind(const char *tag, ScalarKind *ret) {
        for (ScalarKind kind = SCALAR_NULL; kind <= SCALAR_STRING; kind++)
                if (g_str_has_prefix(tag, "!!") && g_str_equal(tag + 2, scalar_kind_name(kind))) {
                        *ret = kind;
                        return true;
                }
        return false;
}

bool yaml_node_scalar(const YamlNode *node, bool few_bools, Scalar *ret, GError **error) {
        ScalarKind wanted = SCALAR_STRING;
        bool known = node->tag && tag_kind(node->tag, &wanted);

        *ret = (Scalar){ .kind = SCALAR_STRING };
        if (known ? wanted == SCALAR_STRING : node->tag != NULL || !node->implicit)
                return true;
        Scalar found = scalar_resolve(node->text, node->length,
                                      !known || wanted == SCALAR_TIMESTAMP);
        if (few_bools && found.kind == SCALAR_BOOL && g_ascii_tolower(*node->text) != 't' &&
            g_ascii_tolower(*node->text) != 'f')
                found = (Scalar){ .kind = SCALAR_STRING };
        if (known && wanted == SCALAR_FLOAT && found.kind == SCALAR_INT)
                found.kind = SCALAR_FLOAT;
        if (known && found.kind != wanted) {
                g_set_error(error, ERROR, ERROR_INVALID, "yaml: cannot decode !!%s `%s` as a %s",
                            scalar_kind_name(found.kind), node->text, node->tag);
                return false;
        }
        *ret = found;
        return true;
}

bool yaml_node_is_binary(const YamlNode *node) {
        return node->tag && g_str_equal(node->tag, "!!binary");
}

static bool is_base64(const GString *text) {
        size_t padding = 0;

        for (size_t i = 0; i < text->len; i++) {
                char byte = text->str[i];
                if (byte == '=')
                        padding++;
                else if (padding > 0 || (!g_ascii_isalnum(byte) && byte != '+' && byte != '/'))
                        return false;
        }
        return text->len % 4 == 0 && padding <= 2;
}

/* Line breaks do not count, all else does. */
GString *yaml_node_bytes(const YamlNode *node, GError **error) {
        GString *text = g_string_new(NULL);

        for (size_t i = 0; i < node->length; i++)
                if (node->text[i] != '\n' && node->text[i] != '\r')
                        g_string_append_c(text, node->text[i]);
        if (!is_base64(text)) {
                g_string_free(text, TRUE);
                g_set_error(error, ERROR, ERROR_INVALID,
                            "yaml: !!binary value contains invalid base64 data");
                return NULL;
        }
        if (text->len > 0) {
                size_t length;
                g_base64_decode_inplace(text->str, &length);
                g_string_truncate(text, length);
        }
        return text;
}

/* ---- descriptions ---- */

/* Characters beyond ASCII stay as they are. */
static void append_quoted(GString *text, const char *plain) {
        char beyond[129] = { 0 };

        for (size_t i = 0; i < 128; i++)
                beyond[i] = (char) (0x80 + i);
        g_autofree char *escaped = g_strescape(plain, beyond);
        g_string_append_printf(text, "\"%s\"", escaped);
}

static void describe_scalar(GString *text, const YamlNode *node) {
        Scalar scalar;
        g_autofree char *number = NULL;

        if (!yaml_node_scalar(node, false, &scalar, NULL))
                scalar.kind = SCALAR_STRING;
        switch (scalar.kind) {
        case SCALAR_NULL:
                g_string_append(text, "<nil>");
                return;
        case SCALAR_BOOL:
                g_string_append(text, scalar.boolean ? "true" : "false");
                return;
        case SCALAR_INT:
                if (scalar.magnitude > INT64_MAX && !scalar.negative) {
                        g_string_append_printf(text, "0x%" G_GINT64_MODIFIER "x", scalar.magnitude);
                        return;
                }
                number = scalar_int_text(&scalar);
                break;
        case SCALAR_FLOAT:
                number = float_text(scalar.number, 64);
                break;
        case SCALAR_TIMESTAMP:
        case SCALAR_STRING:
                append_quoted(text, node->text);
                return;
        }
        g_string_append(text, number);
}

/* Inside another value Go tells the type of nil. */
static void describe_item(GString *text, YamlNode *node, const char *maps) {
        size_t start = text->len;

        yaml_node_describe(text, node, maps);
        if (g_str_equal(text->str + start, "<nil>")) {
                g_string_truncate(text, start);
                g_string_append(text, "interface {}(nil)");
        }
}

void yaml_node_describe(GString *text, YamlNode *node, const char *maps) {
        bool mapping = node->kind == NODE_MAPPING;

        if (text->len > DESCRIPTION_MAX)
                return;
        if (node->kind == NODE_SCALAR) {
                describe_scalar(text, node);
                return;
        }
        if (node->kind == NODE_ALIAS) {
                if (node->busy)
                        return;
                node->busy = true;
                yaml_node_describe(text, node->target, maps);
                node->busy = false;
                return;
        }
        g_string_append_printf(text, "%s{", mapping ? maps : "[]interface {}");
        for (size_t i = 0; i < node->children->len; i++) {
                if (i > 0)
                        g_string_append(text, mapping && i % 2 ? ":" : ", ");
                describe_item(text, node->children->pdata[i], maps);
        }
        g_string_append_c(text, '}');
}
