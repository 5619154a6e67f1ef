/* Copies of a SQLite database that others may be writing meanwhile. */
#include "base/files.h"
#include "db/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#define BACKUP_PAGES 256 /* between two looks at the token */

static bool copy_pages(sqlite3 *source, sqlite3 *target, Cancel *cancel, GError **error) {
        sqlite3_backup *backup = sqlite3_backup_init(target, "main", source, "main");
        if (!backup) {
                sqlite_error(target, error);
                return false;
        }
        int result = SQLITE_OK;
        bool ok = true;
        while (ok && result == SQLITE_OK) {
                ok = cancel_check(cancel, error);
                if (ok)
                        result = sqlite3_backup_step(backup, BACKUP_PAGES);
        }
        sqlite3_backup_finish(backup);
        if (ok && result != SQLITE_DONE) {
                sqlite_error(target, error);
                return false;
        }
        return ok;
}

/* A transaction held open on the source keeps the copy consistent, and from starting over at each
 * write. */
static bool copy_to(Connection *source, const char *path, Cancel *cancel, GError **error) {
        sqlite3 *target = NULL;
        int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
        bool ok = sqlite3_open_v2(path, &target, flags, NULL) == SQLITE_OK;
        if (!ok)
                sqlite_error(target, error);
        else
                ok = copy_pages(source->handle, target, cancel, error);
        sqlite3_close(target);
        return ok;
}

static bool sync_parent(const char *path, GError **error) {
        g_autofree char *folder = g_path_get_dirname(path);
        autofd fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && fsync(fd) == 0)
                return true;
        error_set_errno(error, errno, "sync %s", folder);
        return false;
}

/* Only we may read it: it has the same secrets as the original. */
bool sqlite_create_file(const char *path, int flags, GError **error) {
        autofd fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | flags, 0600);
        if (fd >= 0)
                return true;
        error_set_errno(error, errno, "create %s", path);
        return false;
}

bool sqlite_copy_file(const char *from, const char *path, Cancel *cancel, GError **error) {
        g_autofree char *partial = g_strconcat(path, ".partial", NULL);
        g_autoptr(Connection) source = sqlite_connection_open(from, false, error);
        if (!source || !sqlite_create_file(partial, O_TRUNC, error))
                return false;
        bool ok = connection_do(source, "BEGIN", error) &&
                  sqlite3_exec(source->handle, "SELECT 1 FROM sqlite_schema", NULL, NULL, NULL) ==
                          SQLITE_OK &&
                  copy_to(source, partial, cancel, error);
        if (ok && g_rename(partial, path) < 0) {
                error_set_errno(error, errno, "rename %s", partial);
                ok = false;
        }
        if (!ok)
                g_unlink(partial);
        return ok && sync_parent(path, error);
}

bool db_copy(const char *from, const char *to, Cancel *cancel, GError **error) {
        if (g_file_test(to, G_FILE_TEST_EXISTS)) {
                g_set_error(error, ERROR, ERROR_EXISTS, "copy to %s: exists already", to);
                return false;
        }
        if (sqlite_copy_file(from, to, cancel, error))
                return true;
        g_prefix_error(error, "copy %s to %s: ", from, to);
        return false;
}
