#include "steps/artifact_file.h"

#include <string.h>

void artifact_file_clear(ArtifactFile *file) {
        g_free(file->artifact);
        g_free(file->path);
        *file = (ArtifactFile){ 0 };
}

bool artifact_file_parse(const char *text, const char *what, ArtifactFile *ret, GError **error) {
        const char *slash = strchr(text, '/');

        if (!slash) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "%s '%s' does not specify where the file lives", what, text);
                return false;
        }
        *ret = (ArtifactFile){ g_strndup(text, (size_t) (slash - text)), g_strdup(slash + 1) };
        return true;
}
