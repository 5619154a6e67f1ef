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

/* Steps of one job, with its hooks: "jobs.NAME.plan" is the context. */
void validate_job_steps(const PipelineConfig *config, const JobConfig *job, const char *context,
                        Section *section, ConfigFindings *findings);
void validate_var_sources(const PipelineConfig *config, ConfigFindings *findings);
