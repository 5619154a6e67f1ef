/* What changes between two configurations, as fly and the set_pipeline step print it (reference 02 §10.5). */
#pragma once

#include "config/pipeline.h"

/*
 * Returns new text, or NULL when nothing changed (then there are "no changes to apply"; prototypes do not count), or
 * NULL with an error when a config cannot be written as YAML. before may be NULL: all is new.
 */
char *pipeline_config_diff(const PipelineConfig *before, const PipelineConfig *after, bool color,
                           GError **error);
