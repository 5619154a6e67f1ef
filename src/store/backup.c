#include "store/backup.h"

#include "base/files.h"
#include "store/internal.h"
#include "store/log_keeper.h"
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define AT_ONCE 500
/* Of a log whose segment is compressed just as it is to be copied: then it has another name. */
#define TRIES_MAX 10

typedef struct {
        const StoreBackup *spec;
        Cancel *cancel;
        char *logs, *to_logs;
        struct stat owner; /* of the work directory */
        StoreBackupReport report;
} Backup;

/* Ours as the original is the node's: whoever restores need not know which user that was. */
static bool make_directory(const Backup *backup, const char *path, GError **error) {
        if (mkdir(path, 0700) < 0 && errno != EEXIST) {
                error_set_errno(error, errno, "make directory %s", path);
                return false;
        }
        (void) !chown(path, backup->owner.st_uid, backup->owner.st_gid); /* only root may */
        return true;
}

/* ---- logs ---- */

static int compare_names(const void *a, const void *b) {
        return g_strcmp0(*(char *const *) a, *(char *const *) b);
}

/* Ascending, which is the order in which they were begun. NULL with no error: there is no log. */
static GPtrArray *list_segments(const char *path, GError **error) {
        DIR *directory = opendir(path);
        if (!directory) {
                if (errno != ENOENT)
                        error_set_errno(error, errno, "open %s", path);
                return NULL;
        }
        GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
        for (struct dirent *entry; (entry = readdir(directory));)
                if (g_str_has_suffix(entry->d_name, ".log") ||
                    g_str_has_suffix(entry->d_name, ".zst"))
                        g_ptr_array_add(names, g_strdup(entry->d_name));
        closedir(directory);
        g_ptr_array_sort(names, compare_names);
        return names;
}

/* One that is begun while we copy is not listed, and all before it were whole when the listing was made. */
static bool copy_segments(Backup *backup, const char *from, const char *to, GError **error) {
        g_autoptr(GError) failure = NULL;
        g_autoptr(GPtrArray) names = list_segments(from, &failure);
        if (failure) {
                g_propagate_error(error, g_steal_pointer(&failure));
                return false;
        }
        if (!names)
                return true;
        if (!make_directory(backup, to, error))
                return false;
        for (guint i = 0; i < names->len; i++) {
                g_autofree char *source = g_build_filename(from, names->pdata[i], NULL);
                g_autofree char *target = g_build_filename(to, names->pdata[i], NULL);
                int64_t bytes;
                if (!file_copy(source, target, &bytes, error))
                        return false;
                backup->report.bytes += bytes;
        }
        backup->report.logs++;
        return true;
}

static bool copy_log(Backup *backup, int64_t build_id, GError **error) {
        g_autofree char *from = log_files_directory(backup->logs, build_id);
        g_autofree char *to = log_files_directory(backup->to_logs, build_id);
        g_autofree char *parent = g_path_get_dirname(to);
        if (!make_directory(backup, parent, error))
                return false;
        for (int tries = 1;; tries++) {
                g_autoptr(GError) failure = NULL;
                if (copy_segments(backup, from, to, &failure))
                        return true;
                bool again = error_is(failure, ERROR_NOT_FOUND) && tries < TRIES_MAX;
                if (!again) {
                        g_propagate_error(error, g_steal_pointer(&failure));
                        return false;
                }
                if (!directory_remove(to, error))
                        return false;
        }
}

/* ---- the copied database ---- */

typedef struct {
        int64_t after;
        GArray *ids;
} IdPage;

static bool page_in(DbTx *tx, void *data, GError **error) {
        IdPage *page = data;
        g_autoptr(DbRows) rows = db_query(tx, error,
                                          "SELECT id FROM builds WHERE id > $1 AND reaped = 0 "
                                          "ORDER BY id LIMIT $2",
                                          DB_INT(page->after), DB_INT(AT_ONCE));
        g_array_set_size(page->ids, 0);
        if (!rows)
                return false;
        while (db_next(rows)) {
                int64_t id = db_int(rows, 0);
                g_array_append_val(page->ids, id);
        }
        return db_done(rows, error);
}

static bool check_in(DbTx *tx, void *data, GError **error) {
        g_autoptr(DbRows) rows = db_query(tx, error, "PRAGMA quick_check(1)");
        if (!rows)
                return false;
        if (db_next(rows) && g_strcmp0(db_text(rows, 0), "ok") != 0) {
                g_set_error(error, ERROR, ERROR_INVALID, "the database is damaged: %s",
                            db_text(rows, 0));
                return false;
        }
        return db_done(rows, error);
}

/* Containers, volumes and caches too. Whoever starts on the copy need not have the same workers, and what those
 * have is from another time: they register, and give up what nobody here knows. */
static bool forget_workers_in(DbTx *tx, void *data, GError **error) {
        return db_exec(tx, error, "DELETE FROM workers");
}

static bool copy_logs(Backup *backup, Db *db, GError **error) {
        g_autoptr(GArray) ids = g_array_new(false, false, sizeof(int64_t));
        IdPage page = { .ids = ids };
        do {
                if (!db_read(db, page_in, &page, error))
                        return false;
                for (guint i = 0; i < ids->len; i++) {
                        page.after = g_array_index(ids, int64_t, i);
                        if (!cancel_check(backup->cancel, error) ||
                            !copy_log(backup, page.after, error))
                                return false;
                }
                backup->report.builds += ids->len;
        } while (ids->len > 0);
        return true;
}

/* What opening it left beside it, and the owner of the original. */
static bool tidy(const Backup *backup, const char *database, GError **error) {
        static const char *const leftovers[] = { ".lock", "-wal", "-shm" };
        struct stat status;
        for (size_t i = 0; i < G_N_ELEMENTS(leftovers); i++) {
                g_autofree char *path = g_strconcat(database, leftovers[i], NULL);
                unlink(path);
        }
        (void) !chown(database, backup->owner.st_uid, backup->owner.st_gid); /* only root may */
        if (stat(database, &status) < 0) {
                error_set_errno(error, errno, "stat %s", database);
                return false;
        }
        return true;
}

static bool copy_all(Backup *backup, GError **error) {
        const StoreBackup *spec = backup->spec;
        g_autofree char *from = g_build_filename(spec->from, STORE_DATABASE, NULL);
        g_autofree char *to = g_build_filename(spec->to, STORE_DATABASE, NULL);
        struct stat status;
        if (!db_copy(from, to, backup->cancel, error) ||
            !make_directory(backup, backup->to_logs, error))
                return false;

        const DbSpec copy = { .kind = DB_SQLITE, .path = to, .readers = 1, .no_migrate = true };
        Db *db = db_open(&copy, error);
        if (!db)
                return false;
        backup->report.version = db_schema_version(db);
        bool copied = db_read(db, check_in, NULL, error) && copy_logs(backup, db, error) &&
                      db_write(db, forget_workers_in, NULL, error);
        db_close(db);
        if (!copied || !tidy(backup, to, error))
                return false;
        if (stat(to, &status) == 0)
                backup->report.bytes += status.st_size;
        return disk_sync(spec->to, error);
}

bool store_backup(const StoreBackup *spec, Cancel *cancel, StoreBackupReport *ret, GError **error) {
        g_autofree char *database = g_build_filename(spec->from, STORE_DATABASE, NULL);
        g_autofree char *logs = g_build_filename(spec->from, STORE_LOGS, NULL);
        g_autofree char *to_logs = g_build_filename(spec->to, STORE_LOGS, NULL);
        Backup backup = { .spec = spec, .cancel = cancel, .logs = logs, .to_logs = to_logs };

        if (access(database, F_OK) < 0 || stat(spec->from, &backup.owner) < 0) {
                error_set_errno(error, errno, "open %s", database);
                return false;
        }
        if (access(spec->to, F_OK) == 0) {
                g_set_error(error, ERROR, ERROR_EXISTS, "%s exists already", spec->to);
                return false;
        }
        if (!make_directory(&backup, spec->to, error))
                return false;
        if (!copy_all(&backup, error)) {
                directory_remove(spec->to, NULL);
                return false;
        }
        *ret = backup.report;
        return true;
}
