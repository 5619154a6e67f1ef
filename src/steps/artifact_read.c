#include "steps/artifact_file.h"

/* As much as a configuration may have when it is set through the API. */
#define FILE_MAX ((size_t) 8 * 1024 * 1024)

char *artifact_file_read(const StepCall *call, const ArtifactFile *file, size_t *ret_length,
                         GError **error) {
        g_autoptr(Artifact) artifact = scope_artifact(call->scope, file->artifact);
        g_autoptr(GError) local = NULL;

        if (!artifact) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND,
                            "unknown artifact source: '%s' in file path '%s'", file->artifact,
                            file->path);
                return NULL;
        }
        char *text = pool_artifact_file(run_settings(call->run)->pool, artifact, file->path,
                                        FILE_MAX, ret_length, call->cancel, &local);
        if (error_is(local, ERROR_NOT_FOUND))
                g_set_error(error, ERROR, ERROR_NOT_FOUND,
                            "file '%s' not found within artifact '%s'", file->path, file->artifact);
        else if (local)
                g_propagate_error(error, g_steal_pointer(&local));
        return text;
}
