/*
 * What `weir doctor` looks at: one function per thing, in two tables (doctor_host.c: what containers need; doctor_node.c:
 * what the web node needs). Each finds one thing right, worth knowing, or wrong with what to do about it. Nothing that
 * is there is changed; what is made to try things out is removed again.
 */
#pragma once

#include "cmd/quickstart_options.h"
#include "worker/helper/helper.h"

#include <sys/types.h>

typedef struct {
        QuickstartOptions options;
        char *programs; /* the directory that this program is in */
        char *work_directory, *web_directory, *worker_directory;
        char *nearest;  /* of worker_directory: the first above it that exists, or itself */
        uid_t web_user; /* who the web node runs as */
        /* What was tried out below `nearest`, before anything else, as it must be. */
        bool tried;
        HelperFeatures features;
        char *why_not_tried; /* when tried is false */
} Doctor;

typedef enum { VERDICT_OK, VERDICT_NOTE, VERDICT_WRONG } Verdict;

typedef struct {
        Verdict verdict;
        char *text;   /* what was found */
        char *remedy; /* what to do; NULL when it is right */
} Finding;

void finding_clear(Finding *finding);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Finding, finding_clear)
void finding_ok(Finding *ret, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* It works, and somebody should know. */
void finding_note(Finding *ret, const char *remedy, const char *format, ...) G_GNUC_PRINTF(3, 4);
void finding_wrong(Finding *ret, const char *remedy, const char *format, ...) G_GNUC_PRINTF(3, 4);

typedef struct {
        const char *name;
        void (*look)(const Doctor *doctor, Finding *ret);
} Examination;

/* Both end with a NULL name. */
extern const Examination doctor_host[], doctor_node[];

/* Fills doctor->tried and what follows. Before there is any thread. */
void doctor_try(Doctor *doctor);
