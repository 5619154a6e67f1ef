/* Whether a configuration makes sense: upstream's faults and warnings, word for word (reference 03 §4, §5, §6.7). */
#pragma once

#include "config/pipeline.h"
#include "config/vars.h"

typedef struct {
        char *type; /* "invalid_identifier", "deprecated_field", "pipeline", "var_shadowed" */
        char *message;
} ConfigWarning;

typedef struct {
        GPtrArray *
                errors; /* of char *: one text for each failing section, lines inside; empty: valid */
        GPtrArray *warnings; /* of ConfigWarning */
} ConfigFindings;

ConfigFindings *config_findings_new(void);
void config_findings_free(ConfigFindings *findings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ConfigFindings, config_findings_free)

/* Returns new. */
ConfigFindings *pipeline_config_validate(const PipelineConfig *config);

/*
 * Whether the cluster's credential managers know every ((var)) in the sources of types and resources, webhook tokens,
 * params and vars of tasks, and task configs that stand in the pipeline (reference 03 §6.9). Local vars and those of var sources are
 * not known to them. Returns new: what is wrong, "credential validation failed\n\n1 error occurred:…"; or NULL.
 */
char *pipeline_config_check_creds(const PipelineConfig *config, const Vars *vars);

/*
 * Checks one identifier; context is what stands before the colon ("pipeline", "team"). False with ERROR_INVALID
 * ("pipeline: identifier cannot be an empty string") when it is empty; otherwise true, and a warning is added to the
 * findings when the name is not as it should be.
 */
bool identifier_check(const char *identifier, const char *context, ConfigFindings *findings,
                      GError **error);

/* [{"type":…,"message":…}], as SaveConfig answers; NULL when there are none. Returns new. */
Value *config_warnings_to_value(const ConfigFindings *findings);

/* Whether a var source's configuration is one that its type accepts (reference 03 §6.7). */
bool var_source_config_check(const VarSourceConfig *source, GError **error);

/*
 * The order in which var sources can be made, each after those its config refers to. Returns new array of borrowed
 * VarSourceConfig, or NULL with ERROR_INVALID "could not resolve inter-dependent var sources: a, b".
 */
GPtrArray *var_sources_order(const GPtrArray *sources, GError **error);
