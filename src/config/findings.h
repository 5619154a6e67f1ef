/* Collecting what validation finds. Internal to config. */
#pragma once

#include "config/validate.h"

void findings_warn(ConfigFindings *findings, const char *type, const char *format, ...)
        G_GNUC_PRINTF(3, 4);

/* The faults of one section: "invalid jobs:", then each line with a tab in front. */
typedef struct {
        GString *lines;
} Section;

void section_init(Section *section);
void section_add(Section *section, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Adds the section to the findings when it has lines, and clears it. */
void section_finish(Section *section, const char *label, ConfigFindings *findings);

typedef enum {
        IDENTIFIER_GOOD,
        IDENTIFIER_EMPTY,
        IDENTIFIER_BAD,
} IdentifierVerdict;

/* *ret_message: what to say about it, context included; NULL when it is good. Returns new text there. */
IdentifierVerdict identifier_judge(const char *identifier, const char *const *context,
                                   size_t context_count, char **ret_message);
/* For the parts of a pipeline: empty is a line in the section, bad a warning. */
void section_check_identifier(Section *section, const char *identifier, const char *context,
                              ConfigFindings *findings);

/* What steps look up, so that large pipelines do not cost the square of their size. Borrows from the config. */
typedef struct {
        GHashTable *resources;     /* set of names */
        GHashTable *jobs;          /* name → JobConfig */
        GHashTable *job_resources; /* JobConfig → set of names that it gets or puts */
} StepIndex;

void step_index_init(StepIndex *index, const PipelineConfig *config);
void step_index_clear(StepIndex *index);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(StepIndex, step_index_clear)

/* Steps of one job, with its hooks: "jobs.NAME.plan" is the context. */
void validate_job_steps(const PipelineConfig *config, const StepIndex *index, const JobConfig *job,
                        const char *context, Section *section, ConfigFindings *findings);
void validate_var_sources(const PipelineConfig *config, ConfigFindings *findings);
