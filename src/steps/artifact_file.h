/* One file of an artifact, as load_var and set_pipeline name it: "artifact/path" (reference 04 §4.6, §4.7). */
#pragma once

#include "steps/step.h"

typedef struct {
        char *artifact; /* name in the scope */
        char *path;     /* within it */
} ArtifactFile;

void artifact_file_clear(ArtifactFile *file);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ArtifactFile, artifact_file_clear)

/* what: "file" or "config path". ERROR_INVALID "<what> 'x' does not specify where the file lives". */
bool artifact_file_parse(const char *text, const char *what, ArtifactFile *ret, GError **error);

/* Its bytes, at most 8 MiB, NUL-terminated. Returns new; or NULL with ERROR_NOT_FOUND "unknown artifact source: 'a'
 * in file path 'p'", "file 'p' not found within artifact 'a'", or the worker's error. */
char *artifact_file_read(const StepCall *call, const ArtifactFile *file, size_t *ret_length,
                         GError **error);
