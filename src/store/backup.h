/*
 * A copy of what a web node with SQLite keeps, taken by another process while that node runs.
 *
 * The database first, then the logs: a build's last event is on the disk before the database says that the build has
 * finished, so every log is at least as long as the copied database says. What is longer does no harm: at start the
 * log decides. Logs of builds that the copied database does not know are left out, because their ids will be given
 * again. What workers have (containers, volumes, caches) is not part of it: they tell when they register.
 */
#pragma once

#include "base/cancel.h"

typedef struct {
        const char *from; /* the node's work directory */
        const char *to;   /* made; must not exist */
} StoreBackup;

typedef struct {
        int version; /* of the database */
        int64_t builds, logs, bytes;
} StoreBackupReport;

/*
 * Everything that was acknowledged before the call is in the copy, and nothing half; the copy has been read once over,
 * and synced. On failure `to` is removed again. ERROR_NOT_FOUND when there is no database, ERROR_EXISTS when `to` is
 * there, ERROR_UNSUPPORTED when the database is newer than this program, ERROR_INVALID when it is damaged.
 */
bool store_backup(const StoreBackup *spec, Cancel *cancel, StoreBackupReport *ret, GError **error);
