#include "../store/house.h"

#include "auth/auth.h"
#include "base/crypto.h"
#include "base/json.h"

#define SCOPES "openid profile email federated:id groups"

static Auth *open_auth(House *house, const char *users, Duration duration) {
        g_auto(GStrv) list = g_strsplit(users, " ", -1);
        g_autoptr(GPtrArray) entries = g_ptr_array_new();
        for (char **user = list; *user && **user; user++)
                g_ptr_array_add(entries, *user);
        AuthSpec spec = { .store = house->store,
                          .external_url = "https://ci.example.com",
                          .local_users = entries,
                          .duration = duration,
                          .worker_secret = "the secret" };
        return OK(auth_new(&spec, &error));
}

static AuthGrant login(const char *name, const char *password) {
        return (AuthGrant){ .grant_type = "password",
                            .client_id = "fly",
                            .client_secret = "Zmx5",
                            .username = name,
                            .password = password,
                            .scope = SCOPES };
}

static int status_of(Auth *auth, const AuthGrant *grant) {
        int status = 0;
        g_autoptr(Value) body = NULL;
        OK(auth_grant(auth, grant, &status, &body, &error));
        g_assert_nonnull(body);
        return status;
}

/* The answer to a login that works. Returns new. */
static Value *token_for(Auth *auth, const char *name, const char *password) {
        AuthGrant grant = login(name, password);
        int status;
        Value *body;
        OK(auth_grant(auth, &grant, &status, &body, &error));
        g_assert_cmpint(status, ==, 200);
        return body;
}

static const char *text(const Value *map, const char *key) {
        return value_get_string(map, key, "");
}

/* ---- passwords ---- */

static void names_are_found_whatever_their_case_and_passwords_are_exact(House *house) {
        static const struct {
                const char *name, *password;
                int status;
        } cases[] = {
                { "Test", "secret:with:colons", 200 },
                { "test", "secret:with:colons", 200 },
                { "TEST", "secret:with:colons", 200 },
                { "test", "Secret:with:colons", 401 },
                { "test", "", 401 },
                { "", "", 401 },
                { "nobody", "secret:with:colons", 401 },
                { "nothing", "", 401 }, /* no password: the entry was ignored */
        };
        g_autoptr(Auth) auth = open_auth(house, "Test:secret:with:colons nothing: :x", 0);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                AuthGrant grant = login(cases[i].name, cases[i].password);
                g_assert_cmpint(status_of(auth, &grant), ==, cases[i].status);
        }
}

static void claims_keep_the_given_spelling(House *house) {
        g_autoptr(Auth) auth = open_auth(house, "Test:pw", 0);
        g_autoptr(Value) body = token_for(auth, "tEST", "pw");
        g_autoptr(Token) token = OK(token_find(house->store, text(body, "access_token"), &error));
        const Value *federated = value_get(token->claims, "federated_claims");

        g_assert_cmpstr(text(token->claims, "name"), ==, "Test");
        g_assert_cmpstr(text(token->claims, "email"), ==, "Test");
        g_assert_true(value_get_bool(token->claims, "email_verified", false));
        g_assert_cmpstr(text(federated, "user_id"), ==, "Test");
        g_assert_cmpstr(text(federated, "connector_id"), ==, "local");
        g_assert_cmpstr(text(token->claims, "iss"), ==, "https://ci.example.com/sky/issuer");
        g_assert_cmpstr(text(token->claims, "aud"), ==, "fly");
        g_assert_false(value_has(token->claims, "groups"));
        g_assert_false(value_has(token->claims, "preferred_username"));
}

static void the_subject_is_made_as_upstreams(House *house) {
        g_autoptr(Auth) auth = open_auth(house, "test:pw", 0);
        g_autoptr(Value) body = token_for(auth, "test", "pw");
        g_autoptr(Token) token = OK(token_find(house->store, text(body, "access_token"), &error));
        g_assert_cmpstr(token->sub, ==, "CgR0ZXN0EgVsb2NhbA");
        g_assert_cmpstr(text(token->claims, "sub"), ==, "CgR0ZXN0EgVsb2NhbA");

        g_autoptr(GPtrArray) users = OK(user_list(house->store, 0, &error));
        g_assert_cmpint(users->len, ==, 1);
        const User *user = g_ptr_array_index(users, 0);
        g_assert_cmpstr(user->username, ==, "test");
        g_assert_cmpstr(user->connector, ==, "local");
}

static void bcrypt_hashes_are_passwords_too(House *house) {
        g_autofree char *hash = crypto_bcrypt("pw", 10);
        g_autofree char *users = g_strconcat("test:", hash, NULL);
        g_autoptr(Auth) auth = open_auth(house, users, 0);
        AuthGrant right = login("TEST", "pw"), wrong = login("test", "px"),
                  hash_itself = login("test", hash);
        g_assert_cmpint(status_of(auth, &right), ==, 200);
        g_assert_cmpint(status_of(auth, &wrong), ==, 401);
        g_assert_cmpint(status_of(auth, &hash_itself), ==, 401);
}

static void a_user_without_a_colon_cannot_be(House *house) {
        g_autoptr(GPtrArray) users = g_ptr_array_new();
        g_ptr_array_add(users, (void *) "nobody");
        AuthSpec spec = { .store = house->store, .external_url = "x", .local_users = users };
        FAILS(auth_new(&spec, &error), ERROR_INVALID);
}

/* ---- errors ---- */

static void assert_refused(Auth *auth, const AuthGrant *grant, int expect, const char *code,
                           const char *description) {
        int status = 0;
        g_autoptr(Value) body = NULL;
        OK(auth_grant(auth, grant, &status, &body, &error));
        g_assert_cmpint(status, ==, expect);
        g_assert_cmpstr(text(body, "error"), ==, code);
        g_assert_cmpstr(value_get_string(body, "error_description", NULL), ==, description);
}

static void every_refusal_has_its_answer(House *house) {
        static const char no_client[] = "Invalid client credentials.",
                          no_scope[] = "Missing required scope(s) [\"openid\"].";
        static const struct {
                AuthGrant grant;
                int status;
                const char *code, *description;
        } cases[] = {
                { { "password", "fly", "Zmx5", "a", "no", SCOPES },
                  401,
                  "access_denied",
                  "Invalid username or password" },
                { { "password", "fly", "Zmx5", NULL, NULL, SCOPES },
                  401,
                  "access_denied",
                  "Invalid username or password" },
                { { "password", "fly", "zmx5", "a", "pw", SCOPES },
                  401,
                  "invalid_client",
                  no_client },
                { { "password", "fly", "Zmx", "a", "pw", SCOPES },
                  401,
                  "invalid_client",
                  no_client },
                { { "password", "fly", NULL, "a", "pw", SCOPES },
                  401,
                  "invalid_client",
                  no_client },
                { { "password", "other", "Zmx5", "a", "pw", SCOPES },
                  401,
                  "invalid_client",
                  no_client },
                { { "password", NULL, NULL, "a", "pw", SCOPES }, 401, "invalid_client", no_client },
                { { "client_credentials", "concourse-worker", "wrong" },
                  401,
                  "invalid_client",
                  no_client },
                { { "password", "fly", "Zmx5", "a", "pw", "profile" },
                  400,
                  "invalid_request",
                  no_scope },
                { { "password", "fly", "Zmx5", "a", "pw", NULL },
                  400,
                  "invalid_request",
                  no_scope },
                { { "password", "fly", "Zmx5", "a", "pw", "openidx" },
                  400,
                  "invalid_request",
                  no_scope },
                { { "banana", "fly", "Zmx5", "a", "pw", SCOPES },
                  400,
                  "unsupported_grant_type",
                  NULL },
                { { NULL, "fly", "Zmx5", "a", "pw", SCOPES }, 400, "unsupported_grant_type", NULL },
        };
        g_autoptr(Auth) auth = open_auth(house, "a:pw", 0);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                assert_refused(auth, &cases[i].grant, cases[i].status, cases[i].code,
                               cases[i].description);
}

static void a_hash_whose_cost_is_out_of_range_fails_every_login(House *house) {
        static const char *const costs[] = { "04", "09", "17", "31" };
        g_autofree char *hash = crypto_bcrypt("pw", 10);
        for (size_t i = 0; i < G_N_ELEMENTS(costs); i++) {
                memcpy(hash + 4, costs[i], 2);
                g_autofree char *users = g_strconcat("a:", hash, NULL);
                g_autoptr(Auth) auth = open_auth(house, users, 0);
                AuthGrant grant = login("a", "pw");
                assert_refused(auth, &grant, 400, "invalid_request", "Could not login user");
        }
}

static void without_local_users_there_is_no_connector(House *house) {
        g_autoptr(Auth) auth = open_auth(house, "", 0);
        AuthGrant grant = login("a", "pw");
        assert_refused(auth, &grant, 400, "invalid_request", "Requested connector does not exist.");
}

static void the_workers_client_needs_a_secret_of_its_own(House *house) {
        AuthSpec spec = { .store = house->store, .external_url = "x" };
        g_autoptr(Auth) auth = OK(auth_new(&spec, &error));
        AuthGrant grant = { .grant_type = "client_credentials",
                            .client_id = "concourse-worker",
                            .client_secret = "" };
        assert_refused(auth, &grant, 401, "invalid_client", "Invalid client credentials.");
}

/* ---- tokens ---- */

static void a_token_is_20_random_bytes_and_its_expiry(House *house) {
        g_autoptr(Auth) auth = open_auth(house, "a:pw", DURATION_HOUR);
        int64_t before = time_seconds(clock_now());
        g_autoptr(Value) body = token_for(auth, "a", "pw");
        g_autoptr(Value) other = token_for(auth, "a", "pw");
        int64_t after = time_seconds(clock_now());
        const char *token = text(body, "access_token");
        g_autofree char *padded = g_strconcat(token, "==", NULL);
        gsize length;

        g_assert_cmpint(strlen(token), ==, 38);
        g_autofree guchar *bytes = g_base64_decode(padded, &length);
        g_assert_cmpint(length, ==, 28);
        uint64_t expires = 0;
        for (int i = 7; i >= 0; i--)
                expires = expires << 8 | bytes[20 + i];
        g_assert_cmpint((int64_t) expires, >=, before + 3600);
        g_assert_cmpint((int64_t) expires, <=, after + 3600);
        g_assert_cmpstr(text(body, "token_type"), ==, "bearer");
        g_assert_cmpint(value_get_int(body, "expires_in", 0), ==, 3599);
        g_assert_cmpint(value_length(body), ==, 4);
        g_assert_cmpstr(token, !=, text(other, "access_token"));

        g_autoptr(Token) kept = OK(token_find(house->store, token, &error));
        g_assert_cmpint(time_seconds(kept->expires), ==, expires);
        g_assert_cmpint(value_get_int(kept->claims, "exp", 0), ==, expires);
}

static void the_id_token_is_a_jwt_of_the_claims(House *house) {
        g_autoptr(Auth) auth = open_auth(house, "a:pw", 0);
        g_autoptr(Value) body = token_for(auth, "a", "pw");
        g_auto(GStrv) parts = g_strsplit(text(body, "id_token"), ".", -1);
        g_assert_cmpint(g_strv_length(parts), ==, 3);
        g_assert_cmpint(strlen(parts[2]), ==, 342); /* 256 bytes: RS256 with 2048 bits */
        g_autofree char *standard = g_strdelimit(g_strdup(parts[1]), "-", '+');
        g_strdelimit(standard, "_", '/');
        g_autofree char *padded = g_strconcat(standard, "===", NULL);
        padded[(strlen(standard) + 3) / 4 * 4] = '\0';
        gsize length;
        g_autofree char *claims_text = (char *) g_base64_decode(padded, &length);
        g_autoptr(Value) claims = OK(json_parse(claims_text, length, NULL, &error));
        g_autoptr(Token) kept = OK(token_find(house->store, text(body, "access_token"), &error));
        g_assert_true(value_equal(claims, kept->claims));
}

static void a_worker_token_carries_only_the_basic_claims(House *house) {
        g_autoptr(Auth) auth = open_auth(house, "a:pw", 0);
        AuthGrant grant = { .grant_type = "client_credentials",
                            .client_id = "concourse-worker",
                            .client_secret = "the secret" };
        int status;
        g_autoptr(Value) body = NULL;
        OK(auth_grant(auth, &grant, &status, &body, &error));
        g_assert_cmpint(status, ==, 200);
        g_autoptr(Token) kept = OK(token_find(house->store, text(body, "access_token"), &error));
        g_assert_cmpstr(text(kept->claims, "aud"), ==, "concourse-worker");
        g_assert_cmpint(value_length(kept->claims), ==, 5);
        g_autoptr(GPtrArray) users = OK(user_list(house->store, 0, &error));
        g_assert_cmpint(users->len, ==, 1);
        g_assert_cmpstr(((User *) g_ptr_array_index(users, 0))->username, ==, "");
}

static void a_revoked_token_is_worth_nothing(House *house) {
        g_autoptr(Auth) auth = open_auth(house, "a:pw", 0);
        g_autoptr(Value) body = token_for(auth, "a", "pw");
        g_autofree char *header = g_strconcat("Bearer ", text(body, "access_token"), NULL);
        g_autoptr(Access) before = OK(access_new(auth, header, &error));
        g_assert_true(access_is_authenticated(before));
        OK(auth_revoke(auth, text(body, "access_token"), &error));
        OK(auth_revoke(auth, "unknown", &error));
        g_autoptr(Access) access = OK(access_new(auth, header, &error));
        g_assert_true(access_has_token(access));
        g_assert_false(access_is_authenticated(access));
}

static void the_signing_key_is_kept(House *house) {
        g_autofree char *first = NULL, *second = NULL;
        {
                g_autoptr(Auth) auth = open_auth(house, "a:pw", 0);
                g_autoptr(Value) body = token_for(auth, "a", "pw");
                OK(server_secret_find(house->store, "session_signing_key", &first, &error));
        }
        g_autoptr(Auth) auth = open_auth(house, "a:pw", 0);
        g_autoptr(Value) body = token_for(auth, "a", "pw");
        OK(server_secret_find(house->store, "session_signing_key", &second, &error));
        g_assert_cmpstr(first, ==, second);
}

static void add(void) {
        house_add("/grant/password/plain",
                  names_are_found_whatever_their_case_and_passwords_are_exact);
        house_add("/grant/password/spelling", claims_keep_the_given_spelling);
        house_add("/grant/password/subject", the_subject_is_made_as_upstreams);
        house_add("/grant/password/bcrypt", bcrypt_hashes_are_passwords_too);
        house_add("/grant/password/no-colon", a_user_without_a_colon_cannot_be);
        house_add("/grant/refusals", every_refusal_has_its_answer);
        house_add("/grant/cost", a_hash_whose_cost_is_out_of_range_fails_every_login);
        house_add("/grant/no-users", without_local_users_there_is_no_connector);
        house_add("/grant/worker/no-secret", the_workers_client_needs_a_secret_of_its_own);
        house_add("/grant/worker", a_worker_token_carries_only_the_basic_claims);
        house_add("/grant/token", a_token_is_20_random_bytes_and_its_expiry);
        house_add("/grant/id-token", the_id_token_is_a_jwt_of_the_claims);
        house_add("/grant/revoke", a_revoked_token_is_worth_nothing);
        house_add("/grant/key", the_signing_key_is_kept);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
