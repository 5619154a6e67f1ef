/* What a set_pipeline step makes of a file: vars filled in, decoded (reference 03 §9 step 5). */
#pragma once

#include "steps/step.h"

/*
 * fields: of the step, interpolated: instance_vars, vars, var_files, in this order of precedence. Vars that none of them
 * has stay as they are written. Returns new, or NULL with ERROR_INVALID, ERROR_NOT_FOUND and the text that is shown
 * behind "error parsing pipeline:".
 */
PipelineConfig *pipeline_file_parse(const StepCall *call, const char *text, size_t length,
                                    const Value *fields, GError **error);
