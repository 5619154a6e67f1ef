#include "store/lease_bucket.h"

#include "store/internal.h"

typedef struct {
        LeaseWork work;
        const char *node;
        Duration period;
        uint64_t held;
} Renew;

static unsigned buckets_of(LeaseWork work) {
        return work == LEASE_JANITOR ? 1 : LEASE_BUCKETS;
}

/* Says that this node is there, forgets those that are not, and counts. */
static bool count_nodes(DbTx *tx, const Renew *renew, Time now, int64_t *ret, GError **error) {
        return tx_exec(tx,
                       SQL("INSERT INTO lease_nodes (work, node, expires) VALUES ($1, $2, $3) ON "
                           "CONFLICT (work, node) DO UPDATE SET expires = excluded.expires",
                           DB_INT(renew->work), DB_TEXT(renew->node),
                           DB_INT(now + renew->period / 1000)),
                       NULL, error) &&
               tx_exec(tx,
                       SQL("DELETE FROM lease_nodes WHERE work = $1 AND (expires <= $2 OR expires "
                           "> $3)",
                           DB_INT(renew->work), DB_INT(now),
                           DB_INT(lease_future(now, renew->period))),
                       NULL, error) &&
               tx_exec(tx,
                       SQL("DELETE FROM work_locks WHERE NOT EXISTS (SELECT 1 FROM lease_nodes n "
                           "WHERE n.node = work_locks.node)"),
                       NULL, error) &&
               tx_int(tx, 1, ret,
                      SQL("SELECT count(*) FROM lease_nodes WHERE work = $1", DB_INT(renew->work)),
                      error);
}

static bool take_bucket(DbTx *tx, const Renew *renew, unsigned bucket, Time now, GError **error) {
        return tx_exec(tx,
                       SQL("INSERT INTO lease_buckets (work, bucket, epoch, node, expires) VALUES "
                           "($1, $2, 1, $3, $4) ON CONFLICT (work, bucket) DO UPDATE SET epoch = "
                           "CASE WHEN lease_buckets.node = excluded.node THEN lease_buckets.epoch "
                           "ELSE lease_buckets.epoch + 1 END, node = excluded.node, expires = "
                           "excluded.expires",
                           DB_INT(renew->work), DB_INT(bucket), DB_TEXT(renew->node),
                           DB_INT(now + renew->period / 1000)),
                       NULL, error);
}

static bool give_bucket(DbTx *tx, const Renew *renew, unsigned bucket, GError **error) {
        return tx_exec(tx,
                       SQL("UPDATE lease_buckets SET expires = 0 WHERE work = $1 AND bucket = $2 "
                           "AND node = $3",
                           DB_INT(renew->work), DB_INT(bucket), DB_TEXT(renew->node)),
                       NULL, error);
}

/* Of each bucket: ours, somebody else's, or (by not being in either) free. */
static bool read_buckets(DbTx *tx, const Renew *renew, Time now, uint64_t *ret_ours,
                         uint64_t *ret_others, GError **error) {
        g_autoptr(DbRows) rows = db_query(tx, error,
                                          "SELECT bucket, node FROM lease_buckets WHERE work = $1 "
                                          "AND expires > $2 AND expires <= $3",
                                          DB_INT(renew->work), DB_INT(now),
                                          DB_INT(lease_future(now, renew->period)));
        if (!rows)
                return false;
        *ret_ours = *ret_others = 0;
        while (db_next(rows)) {
                uint64_t bit = (uint64_t) 1 << db_int(rows, 0);
                if (g_str_equal(db_text(rows, 1), renew->node))
                        *ret_ours |= bit;
                else
                        *ret_others |= bit;
        }
        return db_done(rows, error);
}

static bool renew_in(DbTx *tx, void *data, GError **error) {
        Renew *renew = data;
        Time now;
        int64_t nodes;
        uint64_t ours, others;
        unsigned buckets = buckets_of(renew->work), held = 0;
        renew->held = 0;
        if (!db_now(tx, &now, error) || !count_nodes(tx, renew, now, &nodes, error) ||
            !read_buckets(tx, renew, now, &ours, &others, error))
                return false;
        unsigned share = (buckets + (unsigned) nodes - 1) / (unsigned) nodes;
        /* First keep what we have, then take what is free, up to the share. */
        for (int pass = 0; pass < 2; pass++)
                for (unsigned bucket = 0; bucket < buckets; bucket++) {
                        uint64_t bit = (uint64_t) 1 << bucket;
                        bool mine = ours & bit;
                        if (mine != (pass == 0) || others & bit)
                                continue;
                        if (held < share) {
                                if (!take_bucket(tx, renew, bucket, now, error))
                                        return false;
                                renew->held |= bit;
                                held++;
                        } else if (mine && !give_bucket(tx, renew, bucket, error))
                                return false;
                }
        return true;
}

bool lease_bucket_renew(Store *store, LeaseWork work, const char *node, Duration period,
                        uint64_t *ret, GError **error) {
        Renew renew = { .work = work, .node = node, .period = period };
        /* A SQLite file has one process. */
        if (!store->postgres)
                renew.held = work == LEASE_JANITOR ? 1 : UINT64_MAX;
        else if (!db_write(store->db, renew_in, &renew, error))
                return false;
        *ret = renew.held;
        return true;
}

static bool release_in(DbTx *tx, void *data, GError **error) {
        const char *node = data;
        return tx_exec(tx,
                       SQL("UPDATE lease_buckets SET expires = 0 WHERE node = $1", DB_TEXT(node)),
                       NULL, error) &&
               tx_exec(tx, SQL("DELETE FROM lease_nodes WHERE node = $1", DB_TEXT(node)), NULL,
                       error);
}

bool lease_bucket_release(Store *store, const char *node, GError **error) {
        return !store->postgres || db_write(store->db, release_in, (void *) node, error);
}
