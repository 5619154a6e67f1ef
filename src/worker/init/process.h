/* What weir-init knows of one process: its streams, its terminal, its end. */
#pragma once

#include "worker/init/start.h"

#include <poll.h>

/* One direction of output, from a pipe or a terminal's master to a spool file. */
typedef struct {
        int from; /* -1: at its end */
        int to;
        int64_t offset, limit;
        int64_t told;  /* the offset that the worker knows of */
        char *pending; /* read and not yet written: the disk was full */
        size_t pending_length;
} Stream;

/* What the worker was not told yet, in the order it will be. */
enum {
        TELL_STATE = 1 << 0,
        TELL_STARTED = 1 << 1,
        TELL_FAILED = 1 << 2,
        TELL_STDOUT = 1 << 3,
        TELL_STDERR = 1 << 4,
        TELL_EXITED = 1 << 5,
};

typedef struct {
        bool used, running, terminal;
        bool failed; /* never became the program */
        bool ended;  /* exited, drained and written down */
        bool untold; /* exited and drained; there is no room to write it down */
        uint32_t number;
        pid_t pid;
        int code;
        int report; /* from launch_exec(); -1: started or failed */
        int status;
        int slave;  /* kept open so that a quiet terminal is not a closed one */
        int master; /* duplicate for input and size */
        int input;  /* what is typed into the terminal */
        char typed[4096];
        size_t typed_length;
        size_t drain_left;
        LaunchFailure failure;
        Stream streams[SHIM_STREAMS];
        unsigned tell;
        int64_t told_at; /* monotonic milliseconds, of the last word about output; 0: say it at once */
} Process;

/* Starts what fds (SHIM_FDS, absent: -1; taken) describe. false: *ret_failure says why. */
bool process_start(Process *process, uint32_t number, int fds[SHIM_FDS],
                   LaunchFailure *ret_failure);
void process_free(Process *process);

/* Adds what it waits for to polls; returns how many. At most PROCESS_POLLS. */
#define PROCESS_POLLS 5
size_t process_poll(const Process *process, struct pollfd *polls);
/* Moves what can be moved. */
void process_move(Process *process);
/* It was reaped with this wait status. */
void process_exited(Process *process, int wait_status);
/* Whether a full disk keeps it: try again later. */
bool process_stalled(const Process *process);
void process_resize(Process *process, int64_t columns, int64_t rows);
