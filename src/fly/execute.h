/* What execute's files share. */
#pragma once

#include "fly/api.h"
#include "plan/plan.h"

typedef struct {
        char *name, *path;
        int64_t artifact; /* of an input, once it is sent */
} LocalFolder;

void local_folder_free(LocalFolder *folder);

typedef struct {
        Fly *fly;
        const GPtrArray *folders; /* of LocalFolder */
        const char *path;         /* where to */
        bool include_ignored;     /* what git ignores too */
} UploadSpec;

/* Sends the folders, all at once, and notes their artifacts. Of several failures the first folder's is told. */
bool execute_upload(const UploadSpec *spec, GError **error);

/* What a one-off build is made of. Everything is borrowed. */
typedef struct {
        const TaskConfig *config;
        const GPtrArray *inputs;     /* of LocalFolder */
        const GPtrArray *outputs;    /* of LocalFolder */
        const Value *job_inputs;     /* of --inputs-from; NULL: none */
        const Value *resource_types; /* of the pipeline; NULL: none */
        const Value *input_mapping;  /* task input → job input */
        const char *const *tags;     /* NULL: none */
        bool privileged;
        uint64_t counter; /* of plan ids */
} OneOff;

/* The build's plan as it is sent (reference 02 §13.4). Returns new. */
Plan *one_off_plan(OneOff *build, GError **error);
/* The job input that a task's input is mapped to; NULL: none. Borrowed. */
const Value *one_off_job_input(const OneOff *build, const char *task_input);
