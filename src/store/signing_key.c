#include "store/signing_key.h"

#include "base/crypto.h"
#include "store/internal.h"

#define PERIOD (7 * 24 * DURATION_HOUR)
#define GRACE (24 * DURATION_HOUR)
#define RSA_BITS 4096

static const char *const algorithms[] = { "RS256", "ES256" };

void signing_key_free(SigningKey *key) {
        if (!key)
                return;
        g_free(key->kid);
        g_free(key->algorithm);
        g_free(key->pem);
        g_free(key);
}

static void *row_key(Store *store, DbRows *rows, GError **error) {
        g_autoptr(SigningKey) key = g_new0(SigningKey, 1);

        key->kid = g_strdup(db_text(rows, 0));
        key->algorithm = g_strdup(db_text(rows, 1));
        key->created = db_int(rows, 2);
        if (!db_unseal(store->db, db_text(rows, 3), db_text(rows, 4), &key->pem, error))
                return NULL;
        return g_steal_pointer(&key);
}

GPtrArray *signing_key_list(Store *store, GError **error) {
        return store_list(store, row_key, (GDestroyNotify) signing_key_free,
                          SQL("SELECT kid, algorithm, created, pem, pem_nonce FROM signing_keys "
                              "ORDER BY created, id"),
                          error);
}

/* ---- making them ---- */

typedef struct {
        const char *algorithm;
        char *kid, *pem, *nonce;
        Time now, not_after; /* nothing is added when one is newer than that */
} Addition;

static bool add_in(DbTx *tx, void *data, GError **error) {
        const Addition *addition = data;

        /* Another node may have been faster. */
        return tx_exec(tx,
                       SQL("INSERT INTO signing_keys (kid, algorithm, created, pem, pem_nonce) "
                           "SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT 1 FROM signing_keys "
                           "WHERE algorithm = $2 AND created > $6)",
                           DB_TEXT(addition->kid), DB_TEXT(addition->algorithm),
                           DB_INT(addition->now), DB_TEXT(addition->pem), DB_TEXT(addition->nonce),
                           DB_INT(addition->not_after)),
                       NULL, error);
}

/* A random number below 2^63, as upstream names keys. Returns new. */
static char *new_kid(void) {
        uint64_t number;

        crypto_random(&number, sizeof number);
        return g_strdup_printf("%" G_GUINT64_FORMAT, number >> 1);
}

static bool add(Store *store, const char *algorithm, Time now, Time not_after, GError **error) {
        g_autoptr(Key) key = g_str_equal(algorithm, "RS256") ? key_generate_rsa(RSA_BITS)
                                                             : key_generate_ec();
        g_autofree char *plain = key_private_pem(key), *kid = new_kid(), *pem = NULL, *nonce = NULL;

        if (!db_seal(store->db, plain, &pem, &nonce, error))
                return false;
        Addition addition = { algorithm, kid, pem, nonce, now, not_after };
        return db_write(store->db, add_in, &addition, error);
}

/* The newest of an algorithm; 0: there is none. */
static Time newest(const GPtrArray *keys, const char *algorithm) {
        Time time = 0;

        for (size_t i = 0; i < keys->len; i++) {
                const SigningKey *key = keys->pdata[i];
                if (g_str_equal(key->algorithm, algorithm))
                        time = MAX(time, key->created);
        }
        return time;
}

bool signing_keys_ensure(Store *store, Time now, GError **error) {
        g_autoptr(GPtrArray) keys = signing_key_list(store, error);

        if (!keys)
                return false;
        for (size_t i = 0; i < G_N_ELEMENTS(algorithms); i++)
                if (newest(keys, algorithms[i]) == 0 && !add(store, algorithms[i], now, 0, error))
                        return false;
        return true;
}

static bool drop_older(Store *store, const char *algorithm, Time than, GError **error) {
        return store_exec(store,
                          SQL("DELETE FROM signing_keys WHERE algorithm = $1 AND created < $2",
                              DB_TEXT(algorithm), DB_INT(than)),
                          NULL, error);
}

bool signing_keys_rotate(Store *store, Time now, GError **error) {
        g_autoptr(GPtrArray) keys = signing_key_list(store, error);

        if (!keys)
                return false;
        for (size_t i = 0; i < G_N_ELEMENTS(algorithms); i++) {
                Time last = newest(keys, algorithms[i]);
                if (last == 0)
                        continue;
                if (now - last >= PERIOD / 1000 && !add(store, algorithms[i], now, last, error))
                        return false;
                if (now - last >= GRACE / 1000 && now - last < PERIOD / 1000 &&
                    !drop_older(store, algorithms[i], last, error))
                        return false;
        }
        return true;
}
