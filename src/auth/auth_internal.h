/* Shared by the files of auth. */
#pragma once

#include "auth/auth.h"
#include "base/crypto.h"
#include "base/thread.h"

typedef struct {
        char *name;         /* as given */
        char *lower;        /* the key */
        char *hash;         /* bcrypt; NULL: */
        uint8_t digest[32]; /* SHA-256 of the plain password with the process's salt */
} LocalUser;

struct Auth {
        Store *store;
        char *issuer; /* <external-url>/sky/issuer */
        char *signing_key_path;
        char *worker_secret;
        Duration duration;
        GPtrArray *users; /* LocalUser */
        uint8_t salt[16];
        Mutex mutex;
        Key *key;         /* made when the first token is */
        GPtrArray *teams; /* Team; NULL: to be loaded. Replaced, never changed */
        uint64_t changes; /* how often they were forgotten */
        uint64_t watch;
};

/* Teams as of now. Returns new (a reference). */
GPtrArray *auth_teams(Auth *auth, GError **error);
/* The user that name and password are, or NULL; *ret_refusal is then why it cannot be known, NULL: they are wrong. */
const LocalUser *auth_check_password(Auth *auth, const char *name, const char *password,
                                     const char **ret_refusal);
bool local_user_parse(Auth *auth, const char *text, GError **error);
void local_user_free(LocalUser *user);

/* A signed JWT of claims. Returns new. */
char *auth_sign(Auth *auth, const Value *claims, GError **error);
