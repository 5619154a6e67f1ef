/* The settings of `weir quickstart`: the web node's, and the worker's with "worker-" before them. `weir doctor` takes the
 * same, so that it looks at what quickstart would use. */
#pragma once

#include "web/options.h"
#include "worker/options.h"

typedef struct {
        WebOptions web; /* its work_dir is ours: the web node's is below it */
        WorkerOptions worker;
} QuickstartOptions;

/* Of Option, NULL-terminated; its texts live as long as the program. Returns new. */
GArray *quickstart_options_new(void);

/* The directory that this program is in. Returns new. */
char *quickstart_programs(void);
/* A program that stands beside ours, or where an installation keeps it. Returns new. ERROR_NOT_FOUND. */
char *quickstart_find_program(const char *programs, const char *name, GError **error);
/* Gives options->worker.resource_types a value when it has none: an installation's folder, or the build's. */
void quickstart_find_resource_types(const char *programs, QuickstartOptions *options);
