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

extern const Command command_abort_build, command_builds, command_check_resource,
        command_check_resource_type, command_curl, command_destroy_pipeline, command_execute,
        command_get_pipeline, command_help, command_hijack, command_jobs, command_login,
        command_logout, command_pause_pipeline, command_pipelines, command_resource_versions,
        command_resources, command_set_pipeline, command_status, command_targets,
        command_trigger_job, command_unpause_pipeline, command_userinfo, command_validate_pipeline,
        command_watch, command_workers;
