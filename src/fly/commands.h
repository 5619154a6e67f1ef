/* Every command's options and function; commands.c makes the table of them. */
#pragma once

#include "fly/fly.h"

/* Several commands fill in templates. */
#define OPT_VARS(type)                                                                             \
        OPT(type, vars, OPTION_LIST, 'v', "var",                                                   \
            "Specify a string value to set for a variable in the pipeline",                        \
            .value_name = "[NAME=STRING]"),                                                        \
                OPT(type, yaml_vars, OPTION_LIST, 'y', "yaml-var",                                 \
                    "Specify a YAML value to set for a variable in the pipeline",                  \
                    .value_name = "[NAME=YAML]")
#define OPT_VARS_FILES(type)                                                                       \
        OPT(type, files, OPTION_LIST, 'l', "load-vars-from",                                       \
            "Variable flag that can be used for filling in template values in configuration from " \
            "a YAML file")

extern const Command command_login, command_set_pipeline, command_pause_pipeline,
        command_unpause_pipeline, command_trigger_job, command_watch, command_workers;
