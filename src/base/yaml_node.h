/* YAML text as a tree of nodes: between libyaml's events and what they mean. Internal to base. */
#pragma once

#include "base/yaml.h"
#include "base/yaml_scalar.h"

typedef enum { NODE_SCALAR, NODE_SEQUENCE, NODE_MAPPING, NODE_ALIAS } YamlNodeKind;

typedef struct YamlNode YamlNode;
struct YamlNode {
        YamlNodeKind kind;
        bool implicit;       /* of scalars: plain, without a tag */
        bool busy;           /* of aliases: being expanded just now */
        size_t line;         /* from 1 */
        char *tag;           /* short form: "!!int", "!mine"; NULL: none */
        char *text;          /* of scalars; of aliases the anchor's name */
        size_t length;       /* of text */
        GPtrArray *children; /* YamlNode: items, or keys and values in turns */
        YamlNode *target;    /* of aliases */
};

typedef enum {
        YAML_LINES_V2, /* of two readers that count lines of syntax errors differently */
        YAML_LINES_V3,
} YamlLines;

/* Reads the first document. *ret is new, or NULL for an empty one. Messages begin with "yaml: ". */
bool yaml_node_read(const char *text, size_t length, const YamlLimits *limits, YamlLines lines,
                    YamlNode **ret, GError **error);
void yaml_node_free(YamlNode *node);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(YamlNode, yaml_node_free)

/* An unquoted "<<". */
bool yaml_node_is_merge(const YamlNode *key);
/* The node an alias stands for, else the node itself. */
YamlNode *yaml_node_follow(YamlNode *node);
/* Whether node can be the value of "<<", but for what its own items are. */
bool yaml_node_is_mapping(YamlNode *node);

/* Counts what is decoded, to stop small texts that expand to large trees. Zeroed at first. */
typedef struct {
        size_t decoded;
        size_t aliased;
        size_t aliases; /* that are being expanded */
        size_t level;
} YamlCount;

/* Around each node that is decoded: the first fails when too much came from aliases, or limits are reached. */
bool yaml_count_enter(YamlCount *count, const YamlLimits *limits, GError **error);
void yaml_count_leave(YamlCount *count);

/* Around an alias: the first fails when it contains itself. */
bool yaml_alias_enter(YamlCount *count, YamlNode *alias, GError **error);
void yaml_alias_leave(YamlCount *count, YamlNode *alias);

/* What a scalar node means, its tag considered; "!!binary" and tags of others make it SCALAR_STRING. Fails with
 * "cannot decode !!str `x` as a !!int". few_bools: only true and false are bools. */
bool yaml_node_scalar(const YamlNode *node, bool few_bools, Scalar *ret, GError **error);

/* The bytes of a "!!binary" scalar. Returns new, or NULL when they are no base64. */
GString *yaml_node_bytes(const YamlNode *node, GError **error);
bool yaml_node_is_binary(const YamlNode *node);

/* A node as Go's %#v shows it; maps names the type of maps. Long ones are cut off. */
void yaml_node_describe(GString *text, YamlNode *node, const char *maps);
