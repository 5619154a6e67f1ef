/* The check for keys set twice: what upstream's third YAML library says about a pipeline. */
#include "base/yaml.h"

#include "base/yaml_node.h"

#include <string.h>

#define TOP "map[string]interface {}"
/* A longer scalar is shown up to here. */
#define SHOWN_MAX 10
#define SHOWN_CUT 7

typedef struct {
        const YamlLimits *limits;
        YamlCount count;
        GString *faults; /* one a line */
        GError **error;
} Checker;

static bool check(Checker *checker, YamlNode *node);

static const char *tag_of(const YamlNode *node) {
        Scalar scalar;
        static const char *const names[] = {
                [SCALAR_NULL] = "!!null",  [SCALAR_BOOL] = "!!bool",
                [SCALAR_INT] = "!!int",    [SCALAR_FLOAT] = "!!float",
                [SCALAR_STRING] = "!!str", [SCALAR_TIMESTAMP] = "!!timestamp",
        };

        if (node->kind == NODE_SEQUENCE)
                return "!!seq";
        if (node->kind == NODE_MAPPING)
                return "!!map";
        if (node->tag)
                return node->tag;
        return yaml_node_scalar(node, true, &scalar, NULL) ? names[scalar.kind] : "!!str";
}

static void note_type(Checker *checker, const YamlNode *node, const char *wanted) {
        g_string_append_printf(checker->faults, "\n  line %zu: cannot unmarshal %s", node->line,
                               tag_of(node));
        if (node->kind == NODE_SCALAR && node->length > SHOWN_MAX)
                g_string_append_printf(checker->faults, " `%.*s...`", SHOWN_CUT, node->text);
        else if (node->kind == NODE_SCALAR)
                g_string_append_printf(checker->faults, " `%s`", node->text);
        g_string_append_printf(checker->faults, " into %s", wanted);
}

/* Notes every pair of keys that are written alike, quoted or not. Returns whether there is none. */
static bool check_repetition(Checker *checker, const YamlNode *node) {
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        bool unique = true;

        for (size_t i = 0; i < node->children->len; i += 2) {
                YamlNode *key = node->children->pdata[i];
                if (key->kind != NODE_SCALAR)
                        continue;
                YamlNode *first = g_hash_table_lookup(seen, key->text);
                if (!first) {
                        g_hash_table_insert(seen, key->text, key);
                        continue;
                }
                g_string_append_printf(
                        checker->faults,
                        "\n  line %zu: mapping key \"%s\" already defined at line %zu", key->line,
                        key->text, first->line);
                unique = false;
        }
        return unique;
}

static bool check_key(Checker *checker, YamlNode *key, bool top, bool *ret_skip) {
        YamlNode *target = yaml_node_follow(key);
        Scalar scalar;

        *ret_skip = false;
        if (target->kind == NODE_SCALAR)
                return yaml_node_scalar(target, true, &scalar, checker->error);
        if (top) {
                note_type(checker, target, "string");
                *ret_skip = true;
                return true;
        }
        g_autoptr(GString) text = g_string_new(NULL);
        yaml_node_describe(text, target, TOP);
        g_set_error(checker->error, ERROR, ERROR_INVALID, "yaml: invalid map key: %s", text->str);
        return false;
}

static bool check_merge(Checker *checker, YamlNode *source) {
        bool fits = yaml_node_is_mapping(source) || source->kind == NODE_SEQUENCE;

        if (fits && source->kind == NODE_SEQUENCE)
                for (size_t i = 0; i < source->children->len; i++)
                        fits = fits && yaml_node_is_mapping(source->children->pdata[i]);
        if (!fits) {
                g_set_error(checker->error, ERROR, ERROR_INVALID,
                            "yaml: map merge requires map or sequence of maps as the value");
                return false;
        }
        return check(checker, source);
}

static bool check_mapping(Checker *checker, YamlNode *node, bool top) {
        YamlNode *merged = NULL;

        if (!check_repetition(checker, node))
                return true;
        for (size_t i = 0; i + 1 < node->children->len; i += 2) {
                YamlNode *key = node->children->pdata[i], *item = node->children->pdata[i + 1];
                bool skip;
                if (yaml_node_is_merge(key)) {
                        merged = item;
                        continue;
                }
                if (!check_key(checker, key, top, &skip) || (!skip && !check(checker, item)))
                        return false;
        }
        return !merged || check_merge(checker, merged);
}

static bool check_scalar(Checker *checker, const YamlNode *node) {
        Scalar scalar;

        if (yaml_node_is_binary(node)) {
                g_autoptr(GString) bytes = yaml_node_bytes(node, checker->error);
                return bytes != NULL;
        }
        return yaml_node_scalar(node, true, &scalar, checker->error);
}

static bool check_alias(Checker *checker, YamlNode *node) {
        if (!yaml_alias_enter(&checker->count, node, checker->error))
                return false;
        bool checked = check(checker, node->target);
        yaml_alias_leave(&checker->count, node);
        return checked;
}

static bool check(Checker *checker, YamlNode *node) {
        bool checked = true;

        if (!yaml_count_enter(&checker->count, checker->limits, checker->error))
                return false;
        switch (node->kind) {
        case NODE_SCALAR:
                checked = check_scalar(checker, node);
                break;
        case NODE_ALIAS:
                checked = check_alias(checker, node);
                break;
        case NODE_MAPPING:
                checked = check_mapping(checker, node, false);
                break;
        case NODE_SEQUENCE:
                for (size_t i = 0; checked && i < node->children->len; i++)
                        checked = check(checker, node->children->pdata[i]);
        }
        yaml_count_leave(&checker->count);
        return checked;
}

/* A pipeline is a map, or nothing at all. */
static bool check_top(Checker *checker, YamlNode *root) {
        Scalar scalar;

        if (root->kind == NODE_MAPPING)
                return check_mapping(checker, root, true);
        if (root->kind == NODE_SCALAR) {
                if (!yaml_node_scalar(root, true, &scalar, checker->error))
                        return false;
                if (scalar.kind == SCALAR_NULL)
                        return true;
        }
        note_type(checker, root, TOP);
        return true;
}

bool yaml_check_keys(const char *text, size_t length, const YamlLimits *limits, GError **error) {
        const YamlLimits *most = limits ? limits : &yaml_limits_default;
        g_autoptr(YamlNode) root = NULL;
        g_autoptr(GString) faults = g_string_new(NULL);
        Checker checker = { .limits = most, .faults = faults, .error = error };

        if (!yaml_node_read(text, length, most, YAML_LINES_V3, &root, error))
                return false;
        if (root && !check_top(&checker, root))
                return false;
        if (faults->len == 0)
                return true;
        g_set_error(error, ERROR, ERROR_INVALID, "yaml: unmarshal errors:%s", faults->str);
        return false;
}
