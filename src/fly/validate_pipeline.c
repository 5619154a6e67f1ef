/* validate-pipeline: what is wrong with a file, without a server (reference 02 §10.4) */
#include "fly/commands.h"
#include "fly/template.h"

#include "base/files.h"

#include <string.h>

typedef struct {
        Globals globals;
        char *config;
        bool strict, output, across;
        GPtrArray *vars, *yaml_vars, *files;
} ValidateOptions;

static const Option validate_pipeline_options[] = {
        OPT(ValidateOptions, config, OPTION_STRING, 'c', "config", "Pipeline configuration file",
            .required = true),
        OPT(ValidateOptions, strict, OPTION_FLAG, 's', "strict", "Fail on warnings"),
        OPT(ValidateOptions, output, OPTION_FLAG, 'o', "output",
            "Output templated pipeline to stdout"),
        OPT(ValidateOptions, across, OPTION_FLAG, 0, "enable-across-step",
            "DEPRECATED: The across step is always enabled. This flag has no effect."),
        OPT_VARS(ValidateOptions),
        OPT_VARS_FILES(ValidateOptions),
        OPT_END,
};

static bool judge(const Fly *fly, const PipelineConfig *config, bool strict, GError **error) {
        g_autoptr(ConfigFindings) findings = pipeline_config_validate(config);

        show_config_warnings(fly, findings->warnings);
        if (findings->errors->len > 0)
                show_config_errors(fly, "Error loading existing config", findings->errors);
        if (findings->errors->len > 0 || (strict && findings->warnings->len > 0))
                return fly_fail(error, "configuration invalid");
        return true;
}

static bool validate_pipeline_run(Fly *fly, const void *data, const GPtrArray *arguments,
                                  GError **error) {
        const ValidateOptions *options = data;
        const TemplateSpec spec = { .vars = options->vars,
                                    .yaml_vars = options->yaml_vars,
                                    .files = options->files,
                                    .strict = true };
        g_autofree char *path = path_argument(options->config, "-c, --config", "atc.PathFlag",
                                              error);
        g_autofree char *yaml = path ? template_evaluate(path, &spec, error) : NULL;

        if (!yaml)
                return false;
        g_autoptr(PipelineConfig) config = pipeline_config_parse(
                yaml, strlen(yaml),
                options->strict ? PIPELINE_CONFIG_STRICT : PIPELINE_CONFIG_LENIENT, error);
        if (!config || !judge(fly, config, options->strict, error))
                return false;
        puts(options->output ? yaml : "looks good");
        return true;
}

const Command command_validate_pipeline = {
        .name = "validate-pipeline",
        .aliases = { "vp" },
        .summary = "Validate a pipeline config",
        .options = validate_pipeline_options,
        .size = sizeof(ValidateOptions),
        .run = validate_pipeline_run,
};
