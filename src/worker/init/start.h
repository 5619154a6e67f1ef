/* The way of one process from its request to execve(). */
#pragma once

#include "worker/init/protocol.h"

#include <stdbool.h>
#include <sys/types.h>

typedef struct {
        const ShimSpec *spec;
        char *directory;
        char *path;
        char **arguments; /* argv, NULL-terminated; argv[0] is path */
        char **variables;
} Launch;

typedef struct {
        int32_t stage; /* a ShimStage */
        int32_t error; /* errno */
} LaunchFailure;

/* Reads and checks what the descriptor holds into memory that launch_free() gives back. */
bool launch_read(int fd, Launch *ret);
void launch_free(Launch *launch);

/* In the child, never returns: becomes the program. 0, 1 and 2 come from `stdio`; a failure goes to
 * `report`, which closes itself at success. */
void launch_exec(const Launch *launch, const int stdio[3], int report) __attribute__((noreturn));
