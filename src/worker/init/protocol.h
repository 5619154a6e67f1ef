/* What the worker and weir-init, process 1 of every container, say to each other. */
#pragma once

#include <stdint.h>

/*
 * SOCK_SEQPACKET: one message a packet, both ends of one build of Weir (SHIM_VERSION is checked when
 * a worker meets the shim of an older one). The shim serves one connection at a time; a new one takes
 * the old one's place, so a restarted worker is never locked out.
 *
 * A process is a number the worker chose. The shim remembers an ended one until it is told to forget
 * it, so that no exit is missed; what was written and how it ended also stand in the files that were
 * passed with it.
 */
#define SHIM_VERSION 1
#define SHIM_FD 3 /* the listening socket, inherited */

#define SHIM_PROCESSES_MAX 256           /* known at once, in one container */
#define SHIM_GROUPS_MAX 32               /* supplementary */
#define SHIM_SPEC_MAX (8u * 1024 * 1024) /* bytes of a ShimSpec with its text */
#define SHIM_ARGUMENTS_MAX 65536         /* arguments and variables together */

enum { SHIM_STDOUT = 0, SHIM_STDERR = 1, SHIM_STREAMS = 2 };

typedef enum {
        /* to the shim */
        SHIM_HELLO = 1, /* answered with SHIM_STATE of each process, then SHIM_HELLO */
        SHIM_START,     /* with descriptors, see ShimStart; answered with STARTED or FAILED */
        SHIM_SIGNAL, /* value: the signal; number 0: to all it started; extra 1: to the whole group */
        SHIM_RESIZE, /* value: columns, extra: rows */
        SHIM_LIMIT,  /* stream value may be appended up to offset extra */
        SHIM_INPUT,  /* with one descriptor: what is typed into the process's terminal */
        SHIM_FORGET, /* an ended process */
        /* from the shim */
        SHIM_STARTED = 64, /* value: its pid in the container */
        SHIM_FAILED,       /* value: a ShimStage, extra: errno */
        SHIM_APPENDED,     /* stream value now ends at offset extra */
        SHIM_EXITED,       /* value: exit code or 128 + signal; after the last SHIM_APPENDED */
        SHIM_STATE,        /* of a process that runs or has ended; value: 1 when it runs */
} ShimKind;

/* Where a start failed. */
typedef enum {
        SHIM_STAGE_PROTOCOL, /* the request itself */
        SHIM_STAGE_RESOURCE, /* pipes, terminals, processes */
        SHIM_STAGE_DIRECTORY,
        SHIM_STAGE_USER,
        SHIM_STAGE_LOOKUP, /* ENOENT: not in $PATH, or no such file when the name has a slash */
} ShimStage;

typedef struct {
        uint32_t kind;
        uint32_t number;
        int64_t value;
        int64_t extra;
} ShimMessage;

/* The descriptors of SHIM_START, always all of them: /dev/null where ShimSpec.flags need none. */
enum {
        SHIM_FD_SPEC,   /* a ShimSpec: a sealed memory file */
        SHIM_FD_STATUS, /* gets "exit CODE STDOUT-BYTES STDERR-BYTES\n" in one write */
        SHIM_FD_STDOUT, /* the spool files */
        SHIM_FD_STDERR,
        SHIM_FD_INPUT, /* read end of a pipe */
        SHIM_FDS,
};

typedef enum {
        SHIM_TERMINAL = 1 << 0, /* no SHIM_FD_STDERR then */
        SHIM_HAS_INPUT = 1 << 1,
        SHIM_MAKE_DIRECTORY = 1 << 2, /* with its parents, if it is missing */
} ShimFlags;

/* Followed by the texts, each with its NUL: directory, path, arguments, variables. */
typedef struct {
        uint32_t version;
        uint32_t flags;
        uint32_t user, group;
        uint32_t group_count;
        uint32_t groups[SHIM_GROUPS_MAX];
        uint32_t columns, rows;
        uint32_t argument_count, variable_count;
        int64_t limit[SHIM_STREAMS]; /* as SHIM_LIMIT */
        uint64_t text_length;
} ShimSpec;
