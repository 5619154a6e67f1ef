#include "fly/execute.h"

#include "base/thread.h"
#include "fly/archive.h"

#include <stdio.h>

typedef struct {
        const UploadSpec *spec;
        LocalFolder *folder;
        Thread *thread;
        GError *error;
} Upload;

static void upload(void *data) {
        Upload *task = data;
        const UploadSpec *spec = task->spec;

        if (archive_upload(spec->fly, task->folder->path, spec->include_ignored, spec->path,
                           &task->folder->artifact, &task->error) &&
            spec->fly->terminal)
                printf("uploading %s done\n", task->folder->name);
}

/* Takes cause. */
static void say_why(const LocalFolder *folder, GError *cause, GError **error) {
        if (fly_error_is(cause, FLY_UNAUTHORIZED)) {
                g_propagate_error(error, cause);
                return;
        }
        fly_fail(error, "'uploading %s' failed: %s", folder->name, cause->message);
        g_error_free(cause);
}

bool execute_upload(const UploadSpec *spec, GError **error) {
        size_t count = spec->folders->len;
        g_autofree Upload *uploads = g_new0(Upload, count);
        bool good = true;

        for (size_t i = 0; i < count; i++) {
                uploads[i].spec = spec;
                uploads[i].folder = spec->folders->pdata[i];
                uploads[i].thread = thread_start("upload", upload, &uploads[i]);
        }
        for (size_t i = 0; i < count; i++) {
                thread_join(uploads[i].thread);
                g_autoptr(GError) cause = uploads[i].error;
                bool failed = cause;
                if (failed && good)
                        say_why(uploads[i].folder, g_steal_pointer(&cause), error);
                good = good && !failed;
        }
        return good;
}
