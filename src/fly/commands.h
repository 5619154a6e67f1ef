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

extern const Command command_abort_build, command_active_users, command_archive_pipeline,
        command_builds, command_check_resource, command_check_resource_type, command_checklist,
        command_clear_resource_cache, command_clear_task_cache, command_clear_versions,
        command_clear_wall, command_completion, command_containers, command_curl,
        command_delete_target, command_destroy_pipeline, command_destroy_team,
        command_disable_resource_version, command_edit_target, command_enable_resource_version,
        command_execute, command_expose_pipeline, command_format_pipeline, command_get_components,
        command_get_pipeline, command_get_team, command_get_wall, command_health, command_help,
        command_hide_pipeline, command_hijack, command_jobs, command_land_worker, command_login,
        command_logout, command_order_instanced_pipelines, command_order_pipelines,
        command_pause_component, command_pause_job, command_pause_pipeline, command_paused_jobs,
        command_paused_pipelines, command_pin_resource, command_pipelines, command_prune_worker,
        command_rename_pipeline, command_rename_team, command_rerun_build,
        command_resource_versions, command_resources, command_schedule_job, command_set_pipeline,
        command_set_team, command_set_wall, command_status, command_sync, command_targets,
        command_teams, command_trigger_job, command_unpause_component, command_unpause_job,
        command_unpause_pipeline, command_unpin_resource, command_userinfo,
        command_validate_pipeline, command_volumes, command_watch, command_workers;
