/* What is known of workers without asking them: the extensions they serve, the metadata of images they keep. */
#pragma once

#include "base/error.h"

typedef struct Known Known; /* any thread */

Known *known_new(void);
void known_free(Known *known);

/* From each answer of a worker's Garden: the names in the header (NULL: an upstream worker). */
void known_learn(Known *known, const char *worker, const char *names);
/* *ret: whether the worker serves the extension. Returns false when nothing of that worker is known yet. */
bool known_serves(Known *known, const char *worker, const char *name, bool *ret);

/* The metadata.json of a resource cache's volume: its content never changes. Returns new; NULL: not known. */
char *known_metadata(Known *known, const char *volume);
void known_keep_metadata(Known *known, const char *volume, const char *text);
