#include "fly/commands.h"

/* In alphabetical order, as --help lists them; ends with NULL. */
const Command *const commands[] = {
        &command_abort_build,
        &command_builds,
        &command_check_resource,
        &command_check_resource_type,
        &command_curl,
        &command_destroy_pipeline,
        &command_get_pipeline,
        &command_jobs,
        &command_login,
        &command_logout,
        &command_pause_pipeline,
        &command_pipelines,
        &command_resource_versions,
        &command_resources,
        &command_set_pipeline,
        &command_status,
        &command_targets,
        &command_trigger_job,
        &command_unpause_pipeline,
        &command_userinfo,
        &command_validate_pipeline,
        &command_watch,
        &command_workers,
        NULL,
};
