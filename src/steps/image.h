/* What a step's container is made of: a base type, or an image that a check and a get fetch first (reference 04 §4.8). */
#pragma once

#include "steps/step.h"

typedef struct {
        const char *base_type; /* the type at the bottom; borrowed from the plan; NULL: none */
        Artifact *image;       /* NULL: the base type itself */
        bool privileged;
} StepImage;

void step_image_clear(StepImage *image);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(StepImage, step_image_clear)

/* Of a get, put or check. */
bool step_image_fetch(const StepCall *call, const TypeImage *type, StepImage *ret, GError **error);
/* Of a task's image_resource; either plan may be NULL. Emits image-check and image-get. */
bool step_image_fetch_for_task(const StepCall *call, const Plan *check, const Plan *get,
                               StepImage *ret, GError **error);
/* The resource config of a type's source: by the image's cache for custom types, else by the base
 * type. ERROR_NOT_FOUND with upstream's text. */
bool step_image_config(const StepCall *call, const StepImage *image, const Value *source,
                       int64_t *ret_config_id, GError **error);
