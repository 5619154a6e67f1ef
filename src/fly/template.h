/* Configurations as templates: ((vars)) filled in from flags and files (reference 02 §9). */
#pragma once

#include "config/validate.h"
#include "fly/fly.h"

typedef struct {
        const GPtrArray *vars;      /* of "name=text" */
        const GPtrArray *yaml_vars; /* of "name=yaml" */
        const GPtrArray *files;     /* of paths; a later one goes before an earlier one */
        const Value *instance_vars; /* a map, lies over both; may be NULL */
        bool strict;                /* keys that are set twice are an error */
} TemplateSpec;

/* Evaluates the file (or "-", stdin) and writes it as YAML again: what is sent and validated. Returns new. */
char *template_evaluate(const char *path, const TemplateSpec *spec, GError **error);

/* "name=value" pairs into a map, dotted names nest. False with the flag's text around what is wrong. */
bool template_add_pairs(Value *map, const GPtrArray *pairs, bool yaml, const char *flag,
                        GError **error);

/* A path of the command line: a pattern that matches exactly one file; "-" is /dev/stdin. flag may be NULL. Returns
 * new. */
char *path_argument(const char *text, const char *flag, const char *type, GError **error);

/* A file's text, as of file_read(); system errors begin small, as Go writes them: "read p: is a directory". */
char *config_read(const char *path, size_t *ret_length, GError **error);

/* The warnings (stderr), with the link to the schema where names are the matter. */
void show_config_warnings(const Fly *fly, const GPtrArray *warnings);
void show_warnings_of_value(const Fly *fly, const Value *warnings);
void show_config_errors(const Fly *fly, const char *header, const GPtrArray *errors);
