#include "store/token.h"

#include "base/crypto.h"
#include "store/internal.h"

void token_free(Token *token) {
        if (!token)
                return;
        g_free(token->sub);
        value_free(token->claims);
        g_free(token);
}

static void *row_token(Store *store, DbRows *rows, GError **error) {
        Token *token = g_new0(Token, 1);
        token->sub = g_strdup(db_text(rows, 0));
        token->claims = db_json(rows, 1);
        token->expires = db_int(rows, 2);
        return token;
}

static char *token_digest(const char *token) {
        return crypto_sha256_hex(token, strlen(token));
}

bool token_save(Store *store, const char *token, const char *sub, const Value *claims, Time expires,
                GError **error) {
        g_autofree char *digest = token_digest(token);
        g_autofree char *text = json_write(claims, JSON_COMPACT, NULL);
        return store_exec(store,
                          SQL("INSERT INTO tokens (digest, sub, claims, expires) VALUES ($1, $2, "
                              "$3, $4)",
                              DB_TEXT(digest), DB_TEXT(text_or_empty(sub)), DB_TEXT(text),
                              DB_INT(expires)),
                          NULL, error);
}

Token *token_find(Store *store, const char *token, GError **error) {
        g_autofree char *digest = token_digest(token);
        return store_one(
                store, row_token, "token",
                SQL("SELECT sub, claims, expires FROM tokens WHERE digest = $1", DB_TEXT(digest)),
                error);
}

bool token_delete(Store *store, const char *token, GError **error) {
        g_autofree char *digest = token_digest(token);
        return store_exec(store, SQL("DELETE FROM tokens WHERE digest = $1", DB_TEXT(digest)), NULL,
                          error);
}

bool token_delete_expired(Store *store, Time before, int64_t *ret_deleted, GError **error) {
        return store_exec(store, SQL("DELETE FROM tokens WHERE expires < $1", DB_INT(before)),
                          ret_deleted, error);
}

/* ---- secrets of the server's own ---- */

static void *row_secret(Store *store, DbRows *rows, GError **error) {
        char *secret = NULL;
        return db_unseal(store->db, db_text(rows, 0), db_text(rows, 1), &secret, error) ? secret
                                                                                        : NULL;
}

bool server_secret_find(Store *store, const char *name, char **ret, GError **error) {
        char *secret = store_one(store, row_secret, "secret",
                                 SQL("SELECT secret, secret_nonce FROM server_secrets WHERE name = "
                                     "$1",
                                     DB_TEXT(name)),
                                 error);
        if (secret)
                *ret = secret;
        return secret != NULL;
}

static bool secret_write(Store *store, const char *name, const char *secret, const char *sql,
                         GError **error) {
        g_autofree char *text = NULL, *nonce = NULL;
        return db_seal(store->db, secret, &text, &nonce, error) &&
               store_exec(store, SQL(sql, DB_TEXT(name), DB_TEXT(text), DB_TEXT(nonce)), NULL,
                          error);
}

bool server_secret_save(Store *store, const char *name, const char *secret, GError **error) {
        return secret_write(store, name, secret,
                            "INSERT INTO server_secrets (name, secret, secret_nonce) VALUES ($1, "
                            "$2, $3) ON CONFLICT (name) DO UPDATE SET secret = excluded.secret, "
                            "secret_nonce = excluded.secret_nonce",
                            error);
}

bool server_secret_ensure(Store *store, const char *name, const char *proposal, char **ret,
                          GError **error) {
        return secret_write(store, name, proposal,
                            "INSERT INTO server_secrets (name, secret, secret_nonce) VALUES ($1, "
                            "$2, $3) ON CONFLICT (name) DO NOTHING",
                            error) &&
               server_secret_find(store, name, ret, error);
}
