/* format-pipeline: a file as fly would write it (reference 02 §10.4) */
#include "fly/commands.h"
#include "fly/template.h"

#include "base/files.h"
#include "base/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct {
        Globals globals;
        char *config;
        bool write;
} FormatOptions;

static const Option format_pipeline_options[] = {
        OPT(FormatOptions, config, OPTION_STRING, 'c', "config", "Pipeline configuration file",
            .required = true),
        OPT(FormatOptions, write, OPTION_FLAG, 'w', "write",
            "Do not print to stdout; overwrite the file in place"),
        OPT_END,
};

/* Returns new text, or NULL with the stock client's words. */
static char *formatted(const char *path, GError **error) {
        g_autoptr(GError) cause = NULL;
        size_t length;
        g_autofree char *text = config_read(path, &length, &cause);
        g_autoptr(PipelineConfig) config = NULL;

        if (!text)
                fly_fail_plain(error, "could not read config file: %s", cause->message);
        else if (!(config = pipeline_config_parse(text, length, PIPELINE_CONFIG_LENIENT, &cause)))
                fly_fail_plain(error, "could not unmarshal config: %s", cause->message);
        if (!config)
                return NULL;
        g_autoptr(Value) value = pipeline_config_to_value(config);
        char *yaml = yaml_write(value, &cause);
        if (!yaml)
                fly_fail_plain(error, "could not marshal config: %s", cause->message);
        return yaml;
}

static bool write_back(const char *path, const char *yaml, GError **error) {
        g_autoptr(GError) cause = NULL;
        struct stat status;

        if (stat(path, &status) < 0)
                return fly_fail_plain(error, "could not stat config file: %s: %s", path,
                                      g_strerror(errno));
        /* What a link points to is written, not the link. */
        g_autofree char *real = realpath(path, NULL);
        return file_write(real ? real : path, yaml, strlen(yaml), (int) (status.st_mode & 07777),
                          &cause) ||
               fly_fail_plain(error, "could not write formatted config to %s: %s", path,
                              cause->message);
}

static bool format_pipeline_run(Fly *fly, const void *data, const GPtrArray *arguments,
                                GError **error) {
        const FormatOptions *options = data;
        g_autofree char *path = path_argument(options->config, "-c, --config", "atc.PathFlag",
                                              error);
        g_autofree char *yaml = path ? formatted(path, error) : NULL;

        if (!yaml)
                return false;
        if (options->write)
                return write_back(path, yaml, error);
        fputs(yaml, stdout);
        return true;
}

const Command command_format_pipeline = {
        .name = "format-pipeline",
        .aliases = { "fp" },
        .summary = "Format a pipeline config",
        .options = format_pipeline_options,
        .size = sizeof(FormatOptions),
        .run = format_pipeline_run,
};
