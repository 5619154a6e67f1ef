#include "cmd/way.h"

#include "base/crypto.h"
#include "base/files.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define PLACES "/run/weir"
#define NAME_BYTES 8

char *way_closed_at(const char *path, uid_t user) {
        g_autofree char *at = g_strdup(path), *closed = NULL;
        struct stat status;

        for (;;) {
                if (stat(at, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid != user &&
                    !(status.st_mode & S_IXOTH)) {
                        g_free(closed);
                        closed = g_strdup(at);
                }
                if (g_str_equal(at, "/"))
                        return g_steal_pointer(&closed);
                g_autofree char *child = g_steal_pointer(&at);
                at = g_path_get_dirname(child);
        }
}

char *way_place(const char *path) {
        uint8_t digest[32];
        GString *place = g_string_new(PLACES "/");

        crypto_sha256(path, strlen(path), digest);
        for (size_t i = 0; i < NAME_BYTES; i++)
                g_string_append_printf(place, "%02x", digest[i]);
        return g_string_free(place, false);
}

bool way_enter(GError **error) {
        /* What the host mounts arrives here too; what we mount does not leave. */
        if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0)
                return true;
        error_set_errno(error, errno, "make a mount namespace");
        return false;
}

bool way_bind(const char *path, const char *place, GError **error) {
        if (!directory_make(place, 0711, error))
                return false;
        if (mount(path, place, NULL, MS_BIND | MS_REC, NULL) == 0)
                return true;
        error_set_errno(error, errno, "bind %s to %s", path, place);
        return false;
}
