/* The store: opened once, handed to everything. One header per entity; this one includes them all. */
#pragma once

#include "db/db.h"
#include "store/build.h"
#include "store/build_lease.h"
#include "store/build_log.h"
#include "store/build_step.h"
#include "store/check_build.h"
#include "store/component.h"
#include "store/container.h"
#include "store/forget.h"
#include "store/handle.h"
#include "store/history.h"
#include "store/job.h"
#include "store/lease_bucket.h"
#include "store/notify.h"
#include "store/pipeline.h"
#include "store/resource.h"
#include "store/resource_cache.h"
#include "store/resource_scope.h"
#include "store/room.h"
#include "store/scheduling.h"
#include "store/signing_key.h"
#include "store/task_cache.h"
#include "store/team.h"
#include "store/token.h"
#include "store/user.h"
#include "store/volume.h"
#include "store/wall.h"
#include "store/work_lock.h"
#include "store/worker.h"
#include "store/worker_artifact.h"

/* In a web node's work directory, with SQLite. */
#define STORE_DATABASE "weir.db"
#define STORE_LOGS "logs"

typedef struct {
        DbSpec db;
        const char *log_directory; /* of build logs; made if missing. SQLite only */
        Duration flush;            /* of check times and heartbeats to the database; 0: 10 s */
        const char *node; /* this web node's name in work locks; NULL: it is the only one */
} StoreSpec;

/* Opens the database (db_open's errors), recovers logs lazily. */
Store *store_open(const StoreSpec *spec, GError **error);
/* Flushes what is in memory; nobody may use it any more. Accepts NULL. */
void store_close(Store *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Store, store_close)

Db *store_db(Store *store); /* borrowed; for backup and health */
/* Writes what waits in memory (check times, heartbeats) now. */
bool store_flush(Store *store, GError **error);
