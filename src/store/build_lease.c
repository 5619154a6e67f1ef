#include "store/build_lease.h"

#include "base/fault.h"
#include "store/internal.h"

static bool is_newest(int64_t newest, int64_t build_id, int64_t epoch, GError **error) {
        if (newest != epoch)
                g_set_error(error, ERROR, ERROR_STALE,
                            "the lease of build %" G_GINT64_FORMAT " is not ours any more",
                            build_id);
        return newest == epoch;
}

/* The lock holds up whoever takes the lease until this transaction has ended: what he reads next, he reads whole. */
bool tx_lease_check(DbTx *tx, int64_t build_id, int64_t epoch, GError **error) {
        int64_t newest;
        return tx_int(tx, 0, &newest,
                      SQL("SELECT epoch FROM build_leases WHERE build_id = $1 {{postgres}} FOR "
                          "SHARE {{end}}",
                          DB_INT(build_id)),
                      error) &&
               is_newest(newest, build_id, epoch, error);
}

typedef struct {
        int64_t build_id;
        const char *node;
        Duration period;
        int64_t epoch;
        Time started;
} Acquire;

/* expires 0: released. Time is the database's: nodes' clocks may differ. */
#define IS_HELD(now_, future_) "expires > " now_ " AND expires <= " future_

static bool held_by_other(DbTx *tx, const Acquire *acquire, Time now, GError **error) {
        int64_t held;
        if (!tx_int(tx, 0, &held,
                    SQL("SELECT count(*) FROM build_leases WHERE build_id = $1 AND " IS_HELD("$2",
                                                                                             "$3"),
                        DB_INT(acquire->build_id), DB_INT(now),
                        DB_INT(lease_future(now, acquire->period))),
                    error))
                return true;
        if (held)
                g_set_error(error, ERROR, ERROR_BUSY, "build %" G_GINT64_FORMAT " is being run",
                            acquire->build_id);
        return held != 0;
}

static bool acquire_in(DbTx *tx, void *data, GError **error) {
        Acquire *acquire = data;
        Time now;
        if (!tx_int(tx, 0, &acquire->started,
                    SQL("SELECT started FROM builds WHERE id = $1 AND status = 'started'",
                        DB_INT(acquire->build_id)),
                    error) ||
            !changed_or_not_found(acquire->started, "started build", error) ||
            !db_now(tx, &now, error) || held_by_other(tx, acquire, now, error))
                return false;
        return tx_insert(tx, &acquire->epoch,
                         SQL("INSERT INTO build_leases (build_id, epoch, node, expires) VALUES "
                             "($1, 1, $2, $3) ON CONFLICT (build_id) DO UPDATE SET epoch = "
                             "build_leases.epoch + 1, node = excluded.node, expires = "
                             "excluded.expires RETURNING epoch",
                             DB_INT(acquire->build_id), DB_TEXT(acquire->node),
                             DB_INT(now + acquire->period / 1000)),
                         error);
}

bool build_lease_acquire(Store *store, int64_t build_id, const char *node, Duration period,
                         BuildLease *ret, GError **error) {
        Acquire acquire = { .build_id = build_id, .node = node, .period = period };
        if (!db_write(store->db, acquire_in, &acquire, error))
                return false;
        fault_here("build-leased");
        BuildLease lease = { build_id, acquire.epoch };
        logs_fence(store, build_id, acquire.epoch);

        bool final;
        BuildStatus status;
        Time time;
        if (!log_begin(store, &lease, acquire.started, &final, &status, &time, error))
                return false;
        if (final) {
                /* It had ended when the program died: the log decides. */
                FinishCommit commit = { build_id, acquire.epoch, status, time };
                if (!build_finish_commit(store, &commit, error))
                        return false;
                log_close(store, build_id);
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "build %" G_GINT64_FORMAT " has ended",
                            build_id);
                return false;
        }
        *ret = lease;
        return true;
}

/* ---- renewing ---- */

typedef struct {
        const BuildLease *leases;
        size_t count;
        const char *node;
        Duration period;
        GArray *lost;
} Renew;

static bool renew_in(DbTx *tx, void *data, GError **error) {
        Renew *renew = data;
        Time now;
        g_array_set_size(renew->lost, 0);
        if (!db_now(tx, &now, error))
                return false;
        for (size_t i = 0; i < renew->count; i++) {
                int64_t changed;
                if (!tx_exec(tx,
                             SQL("UPDATE build_leases SET expires = $4 WHERE build_id = $1 AND "
                                 "epoch = $2 AND node = $3",
                                 DB_INT(renew->leases[i].build_id), DB_INT(renew->leases[i].epoch),
                                 DB_TEXT(renew->node), DB_INT(now + renew->period / 1000)),
                             &changed, error))
                        return false;
                if (changed == 0)
                        g_array_append_val(renew->lost, renew->leases[i]);
        }
        return true;
}

bool build_lease_renew(Store *store, const BuildLease *leases, size_t count, const char *node,
                       Duration period, GArray **ret_lost, GError **error) {
        g_autoptr(GArray) lost = g_array_new(false, false, sizeof(BuildLease));
        Renew renew = { leases, count, node, period, lost };
        if (count > 0 && !db_write(store->db, renew_in, &renew, error))
                return false;
        if (ret_lost)
                *ret_lost = g_steal_pointer(&lost);
        return true;
}

typedef struct {
        const BuildLease *lease;
        const char *node;
} Release;

static bool release_in(DbTx *tx, void *data, GError **error) {
        Release *release = data;
        int64_t changed;
        if (!tx_exec(tx,
                     SQL("UPDATE build_leases SET expires = 0 WHERE build_id = $1 AND epoch = $2",
                         DB_INT(release->lease->build_id), DB_INT(release->lease->epoch)),
                     &changed, error))
                return false;
        if (changed)
                tx_notify(tx, NOTIFY_BUILD_STARTED, release->lease->build_id);
        return true;
}

bool build_lease_release(Store *store, const BuildLease *lease, GError **error) {
        return db_write(store->db, release_in, &(Release){ .lease = lease }, error);
}

static bool check_in(DbTx *tx, void *data, GError **error) {
        const BuildLease *lease = data;
        int64_t newest;
        return tx_int(tx, 0, &newest,
                      SQL("SELECT epoch FROM build_leases WHERE build_id = $1",
                          DB_INT(lease->build_id)),
                      error) &&
               is_newest(newest, lease->build_id, lease->epoch, error);
}

bool build_lease_check(Store *store, const BuildLease *lease, GError **error) {
        return db_read(store->db, check_in, (void *) lease, error);
}

typedef struct {
        GArray *ids;
        Duration period;
} Free;

static bool free_in(DbTx *tx, void *data, GError **error) {
        Free *found = data;
        Time now;
        return db_now(tx, &now, error) &&
               tx_ids(tx, found->ids,
                      SQL("SELECT b.id FROM builds b LEFT JOIN build_leases l ON l.build_id = b.id "
                          "WHERE NOT b.completed AND b.status = 'started' AND (l.build_id IS NULL "
                          "OR NOT (l." IS_HELD("$1", "$2") ")) ORDER BY b.id",
                          DB_INT(now), DB_INT(lease_future(now, found->period))),
                      error);
}

GArray *build_lease_list_free(Store *store, Duration period, GError **error) {
        g_autoptr(GArray) ids = g_array_new(false, false, sizeof(int64_t));
        return db_read(store->db, free_in, &(Free){ ids, period }, error) ? g_steal_pointer(&ids)
                                                                          : NULL;
}

bool build_lease_release_node(Store *store, const char *node, GError **error) {
        return store_exec(store,
                          SQL("UPDATE build_leases SET expires = 0 WHERE node = $1 OR $2",
                              DB_TEXT(node), DB_BOOL(!store->postgres)),
                          NULL, error);
}
