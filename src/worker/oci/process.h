/*
 * One process in a container: its spools, its standard input, its end.
 *
 * weir-init appends what the process writes to one file per stream, and nothing of it is ever
 * dropped unread: a process that is SPOOL_CEILING ahead of all its readers waits in write(). What was
 * sent is kept for SPOOL_KEEP bytes more, so that a reader can come back to an earlier offset.
 */
#pragma once

#include "wire/garden.h"
#include "worker/oci/shim.h"

#define SPOOL_CEILING ((int64_t) 1024 * 1024 * 1024)
#define SPOOL_KEEP ((int64_t) 64 * 1024 * 1024)

typedef struct Process Process; /* reference counted; any thread */

typedef struct {
        const char *id;
        bool tty;
        uint32_t number;
        const char *directory; /* of its files, made if missing */
        Shim *shim;            /* borrowed, and let go at its end; NULL: the container is dead */
        int64_t ceiling;       /* 0: SPOOL_CEILING */
} ProcessSetup;

/* Makes the files of a new process / finds those of one that an earlier worker started. */
Process *process_new(const ProcessSetup *setup, GError **error);
Process *process_load(const char *directory, uint32_t number, Shim *shim, GError **error);
Process *process_ref(Process *process);
void process_free(Process *process); /* drops one reference; accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Process, process_free)

typedef struct {
        const GardenProcessSpec *spec;
        const GPtrArray *env; /* all of it */
        uint32_t user, group;
        uint32_t owner; /* the user as the host sees it */
        bool make_directory;
} ProcessStart;

/* Starts it and waits for how that went. The errors are upstream's texts (correction 28). */
bool process_start(Process *process, const ProcessStart *start, Cancel *cancel, GError **error);

/* What the shim said of it; on the watching thread. gone: the container died under it. */
void process_told(Process *process, const ShimMessage *message);
/* Its end was not told: it is as the status file says, else killed. reason (may be NULL) is then its failure. */
void process_gone(Process *process, const char *reason);
/* After a restart: whether the shim has not named it (yet). */
bool process_doubtful(Process *process);

const char *process_id(const Process *process);
uint32_t process_number(const Process *process);
bool process_tty(const Process *process);

/* ---- following it ---- */

typedef struct {
        bool ended;
        bool read;         /* its end and all of its output were sent to somebody */
        Duration ended_at; /* monotonic; of an earlier worker's: when it was loaded */
        int code;          /* exit code, or 128 + signal */
        const char
                *failure; /* why its end is not known; NULL: it is. Lives as long as the process */
        int64_t end[SHIM_STREAMS];   /* bytes there are of each stream */
        unsigned turn[SHIM_STREAMS]; /* as process_take_over() */
} ProcessState;

void process_state(Process *process, ProcessState *ret);
/* What a watch tells of, beside the process's end and changes of who reads it. */
enum {
        PROCESS_WATCH_END = 0,
        PROCESS_WATCH_STDOUT = 1 << SHIM_STDOUT,
        PROCESS_WATCH_STDERR = 1 << SHIM_STDERR,
};

/* A descriptor that becomes readable when the state may have changed; read it (8 bytes) before
 * looking. streams: bits of PROCESS_WATCH_*. Who holds one may use what follows. Give it back with
 * process_unwatch(); -1 with an error when we have no descriptors left. */
int process_watch(Process *process, unsigned streams, GError **error);
void process_unwatch(Process *process, int watch); /* accepts -1 */
/* Waits for its end. */
bool process_wait(Process *process, Cancel *cancel, int *ret_code, GError **error);

/* Reads what is there at offset. Returns 0 when there is nothing yet or any more. */
ssize_t process_read(Process *process, unsigned stream, int64_t offset, void *ret, size_t length,
                     GError **error);
/* The first offset that is still held; up to where any reader was sent. */
int64_t process_first(Process *process, unsigned stream);
int64_t process_sent(Process *process, unsigned stream);
/* A reader was sent all before offset: room for more. */
void process_mark_sent(Process *process, unsigned stream, int64_t offset);
/* Somebody was told how it ended. */
void process_mark_told(Process *process);
/* An attach without offsets reads where the last one stopped, so only the newest may: returns its
 * turn; who sees another in the state stops. */
unsigned process_take_over(Process *process, unsigned stream);

/* ---- acting on it ---- */

/* A copy of its standard input's descriptor, not blocking; -1 when that is closed. The end of input
 * comes when process_close_input() was called and all copies are closed; a terminal's never does. */
int process_input(Process *process);
void process_close_input(Process *process);
bool process_resize(Process *process, GardenWindow window, GError **error);
bool process_signal(Process *process, int number, GError **error);
/* The same to all of its process group. */
bool process_signal_group(Process *process, int number, GError **error);
