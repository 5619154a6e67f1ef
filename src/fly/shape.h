/* What --json prints: what the server sent, with the fields that fly knows, in its order (reference 02 §7). */
#pragma once

#include "fly/fly.h"

typedef enum {
        FIELD_ANY,    /* as it comes; null when absent */
        FIELD_MAP,    /* a map with free keys: sorted */
        FIELD_STRING, /* "" */
        FIELD_NUMBER, /* 0 */
        FIELD_BOOL,   /* false */
        FIELD_TIME,   /* "0001-01-01T00:00:00Z" */
        FIELD_OBJECT, /* of `shape`; null when absent */
        FIELD_LIST,   /* of objects of `shape`; null when absent */
} FieldKind;

typedef struct Field {
        const char *name; /* NULL ends a shape */
        FieldKind kind;
        bool optional; /* left out when it is empty */
        const struct Field *shape;
} Field;

extern const Field build_shape[], pipeline_shape[], job_shape[], resource_shape[], version_shape[],
        container_shape[], volume_shape[], worker_shape[], team_shape[], user_info_shape[],
        user_shape[], component_shape[], health_shape[];

/* The object as fly would write it; an empty one has every field that is not optional. Returns new. */
Value *shape_object(const Value *object, const Field *shape);

/* Prints a list of such objects, indented by two, and a newline. */
void print_json_list(const Value *list, const Field *shape);
void print_json_object(const Value *object, const Field *shape);
