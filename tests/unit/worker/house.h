/* What tests of containers have in common: a work directory, a root file system, the runtime. */
#pragma once

#include "worker/oci/container.h"

typedef struct {
        char *directory, *root; /* a temporary one; the root file system in it */
        Runtime *runtime;
        Containers *containers;
        int64_t spool_ceiling; /* of the next house_enter(), as: */
        Duration read_keep;
} House;

/* NULL, and the test is skipped, when this machine cannot run containers. */
House *house_open(void);
void house_close(House *house);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(House, house_close)

/* A worker begins with what is in `directory` / ends; and both. */
void house_enter(House *house);
void house_leave(House *house);
void house_restart(House *house);

void house_container(House *house, const char *handle); /* unprivileged */
void house_make(House *house, const GardenContainerSpec *spec);

/* The pid of process 1. */
pid_t house_init(House *house, const char *handle);

/* What a process did. */
typedef struct {
        int code;
        char *output, *error; /* of all it wrote; NUL bytes end it for these tests */
        size_t output_length;
} Ran;
void ran_clear(Ran *ran);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Ran, ran_clear)

/* Runs a shell script to its end, with this standard input. */
void house_run(House *house, const char *handle, const char *script, const char *input, Ran *ret);
/* Reads all of a stream. Returns new. */
char *house_read(Process *process, unsigned stream, size_t *ret_length);
Process *house_start(House *house, const char *handle, const char *id, const char *script,
                     bool tty);
