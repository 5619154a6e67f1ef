/* Pipelines, jobs and resources as they are named on the command line (reference 02 §3). */
#pragma once

#include "config/instance_vars.h"
#include "fly/fly.h"

typedef struct {
        char *name;
        Value *vars; /* a map; NULL: none */
} PipelineRef;

/* A job, a resource or a resource type. */
typedef struct {
        PipelineRef pipeline;
        char *name;
} ItemRef;

void pipeline_ref_clear(PipelineRef *ref);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PipelineRef, pipeline_ref_clear)
void item_ref_clear(ItemRef *ref);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ItemRef, item_ref_clear)

/* flag is how it was given, "-p, --pipeline": for go-flags' text around what is wrong. */
bool pipeline_ref_parse(const char *text, const char *flag, PipelineRef *ret, GError **error);
typedef enum { ITEM_JOB, ITEM_RESOURCE } ItemKind;
bool item_ref_parse(const char *text, ItemKind kind, const char *flag, ItemRef *ret,
                    GError **error);

/* "name" or "name/branch:master". Returns new. */
char *pipeline_ref_format(const PipelineRef *ref);
char *item_ref_format(const ItemRef *ref);
/* Of an object that the server sent. Returns new. */
char *pipeline_ref_of(const Value *object, const char *name_key, const char *vars_key);

/* "branch:master,list:[1]". Returns new map, or NULL with what is wrong. */
Value *instance_vars_parse(const char *text, GError **error);
