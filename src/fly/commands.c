#include "fly/commands.h"

/* In alphabetical order, as --help lists them; ends with NULL. */
const Command *const commands[] = {
        &command_login,
        &command_pause_pipeline,
        &command_set_pipeline,
        &command_trigger_job,
        &command_unpause_pipeline,
        &command_watch,
        &command_workers,
        NULL,
};
