/* The token endpoint (reference 07 §6). */
#include "auth/auth_internal.h"

#include "base/json.h"

#include <string.h>

#define SECRET_NAME "session_signing_key"
#define RSA_BITS 2048
#define TOKEN_RANDOM 20

/* Who may ask for tokens. A NULL secret: the one of --tsa-client-secret's like. */
static const struct {
        const char *id, *secret;
} clients[] = {
        { "fly", "Zmx5" }, /* public knowledge: built into every fly */
        { "concourse-worker", NULL },
};

/* ---- signing ---- */

static Key *load_key(Auth *auth, GError **error) {
        g_autofree char *kept = NULL;

        if (auth->signing_key_path)
                return key_load(auth->signing_key_path, error);
        if (!server_secret_find(auth->store, SECRET_NAME, &kept, NULL)) {
                g_autoptr(Key) made = key_generate_rsa(RSA_BITS);
                g_autofree char *proposal = key_private_pem(made);
                if (!server_secret_ensure(auth->store, SECRET_NAME, proposal, &kept, error))
                        return NULL;
        }
        return key_parse(kept, strlen(kept), error);
}

static Key *signing_key(Auth *auth, GError **error) {
        MUTEX_SCOPE(&auth->mutex);
        if (!auth->key)
                auth->key = load_key(auth, error);
        return auth->key;
}

char *auth_sign(Auth *auth, const Value *claims, GError **error) {
        static const char header[] = "{\"alg\":\"RS256\",\"typ\":\"JWT\"}";
        const Key *key = signing_key(auth, error);
        size_t length;

        if (!key)
                return NULL;
        g_autofree char *text = json_write(claims, JSON_COMPACT, &length);
        g_autofree char *head = crypto_base64url(header, strlen(header)),
                        *body = crypto_base64url(text, length);
        g_autofree char *signed_part = g_strconcat(head, ".", body, NULL);
        g_autofree char *signature = key_sign(key, signed_part, strlen(signed_part));
        return g_strconcat(signed_part, ".", signature, NULL);
}

/* 20 random bytes and the expiry, as upstream's (07 §6.2). */
static char *make_token(int64_t expires) {
        uint8_t bytes[TOKEN_RANDOM + 8];

        crypto_random(bytes, TOKEN_RANDOM);
        for (int i = 0; i < 8; i++)
                bytes[TOKEN_RANDOM + i] = (uint8_t) ((uint64_t) expires >> (8 * i));
        char *text = crypto_base64(bytes, sizeof bytes);
        text[strcspn(text, "=")] = '\0';
        return text;
}

/* ---- claims ---- */

/* A protobuf of user id and connector id, as dex makes it. */
static char *subject(const char *user, const char *connector) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        const struct {
                guint8 tag;
                const char *text;
        } fields[] = { { 0x0a, user }, { 0x12, connector } };

        for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
                size_t length = strlen(fields[i].text);
                guint8 head[4] = { fields[i].tag };
                guint count = 1;
                for (size_t rest = length;; rest >>= 7) {
                        head[count++] = (guint8) ((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
                        if (rest <= 0x7f || count == sizeof head)
                                break;
                }
                g_byte_array_append(bytes, head, count);
                g_byte_array_append(bytes, (const guint8 *) fields[i].text, (guint) length);
        }
        return crypto_base64url(bytes->data, bytes->len);
}

static Value *basic_claims(const Auth *auth, const char *sub, const char *client, int64_t now) {
        Value *claims = value_map();

        value_map_set_string(claims, "iss", auth->issuer);
        value_map_set_string(claims, "sub", sub);
        value_map_set_string(claims, "aud", client);
        value_map_set_int(claims, "exp", now + auth->duration / DURATION_SECOND);
        value_map_set_int(claims, "iat", now);
        return claims;
}

static void add_user_claims(Value *claims, const LocalUser *user) {
        Value *federated = value_map();

        value_map_set_string(claims, "email", user->name);
        value_map_set_bool(claims, "email_verified", true);
        value_map_set_string(claims, "name", user->name);
        value_map_set_string(federated, "connector_id", "local");
        value_map_set_string(federated, "user_id", user->name);
        value_map_set(claims, "federated_claims", federated);
}

/* ---- answers ---- */

static bool refuse(int status, const char *code, const char *description, int *ret_status,
                   Value **ret_body) {
        *ret_status = status;
        *ret_body = value_map();
        value_map_set_string(*ret_body, "error", code);
        value_map_set_string_opt(*ret_body, "error_description", description);
        return true;
}

/* Takes claims. */
static bool issue(Auth *auth, Value *claims, const LocalUser *user, int *ret_status,
                  Value **ret_body, GError **error) {
        g_autoptr(Value) owned = claims;
        int64_t expires = value_get_int(owned, "exp", 0);
        const char *sub = value_get_string(owned, "sub", "");
        g_autofree char *token = make_token(expires);
        g_autofree char *id_token = auth_sign(auth, owned, error);

        if (!id_token || !token_save(auth->store, token, sub, owned, expires * 1000000, error) ||
            !user_save(auth->store, sub, user ? user->name : "", user ? "local" : "", clock_now(),
                       error))
                return false;
        Value *body = value_map();
        value_map_set_string(body, "access_token", token);
        value_map_set_string(body, "token_type", "bearer");
        value_map_set_int(body, "expires_in", auth->duration / DURATION_SECOND - 1);
        value_map_set_string(body, "id_token", id_token);
        *ret_status = 200;
        *ret_body = body;
        return true;
}

static bool has_scope(const char *scopes, const char *wanted) {
        g_auto(GStrv) list = g_strsplit(scopes ? scopes : "", " ", -1);

        return g_strv_contains((const char *const *) list, wanted);
}

static bool grant_password(Auth *auth, const AuthGrant *grant, int *ret_status, Value **ret_body,
                           GError **error) {
        if (!has_scope(grant->scope, "openid"))
                return refuse(400, "invalid_request", "Missing required scope(s) [\"openid\"].",
                              ret_status, ret_body);
        const char *refusal;
        const LocalUser *user = auth_check_password(auth, grant->username ? grant->username : "",
                                                    grant->password ? grant->password : "",
                                                    &refusal);
        if (refusal)
                return refuse(400, "invalid_request", refusal, ret_status, ret_body);
        if (!user)
                return refuse(401, "access_denied", "Invalid username or password", ret_status,
                              ret_body);
        g_autofree char *sub = subject(user->name, "local");
        Value *claims = basic_claims(auth, sub, grant->client_id, time_seconds(clock_now()));
        add_user_claims(claims, user);
        return issue(auth, claims, user, ret_status, ret_body, error);
}

static bool is_client(const Auth *auth, const AuthGrant *grant) {
        for (size_t i = 0; grant->client_id && i < G_N_ELEMENTS(clients); i++) {
                const char *secret = clients[i].secret ? clients[i].secret : auth->worker_secret;
                if (g_str_equal(clients[i].id, grant->client_id))
                        return secret && grant->client_secret &&
                               strlen(secret) == strlen(grant->client_secret) &&
                               crypto_equal(secret, grant->client_secret, strlen(secret));
        }
        return false;
}

bool auth_grant(Auth *auth, const AuthGrant *grant, int *ret_status, Value **ret_body,
                GError **error) {
        const char *type = grant->grant_type ? grant->grant_type : "";

        if (!is_client(auth, grant))
                return refuse(401, "invalid_client", "Invalid client credentials.", ret_status,
                              ret_body);
        if (g_str_equal(type, "password"))
                return grant_password(auth, grant, ret_status, ret_body, error);
        if (g_str_equal(type, "client_credentials")) {
                g_autofree char *sub = subject(grant->client_id, "client");
                Value *claims = basic_claims(auth, sub, grant->client_id,
                                             time_seconds(clock_now()));
                return issue(auth, claims, NULL, ret_status, ret_body, error);
        }
        return refuse(400, "unsupported_grant_type", "", ret_status, ret_body);
}

bool auth_revoke(Auth *auth, const char *token, GError **error) {
        return token_delete(auth->store, token, error);
}
