/* Folders as gzipped tar streams, to the server and from it (reference 02 §13.3). */
#pragma once

#include "fly/api.h"

/* Sends a folder to `path`; what git ignores stays here unless include_ignored. *ret is the artifact's id. */
bool archive_upload(Fly *fly, const char *folder, bool include_ignored, const char *path,
                    int64_t *ret, GError **error);
/* Fetches `path` into a folder, which is made. */
bool archive_download(Fly *fly, const char *path, const char *folder, GError **error);
