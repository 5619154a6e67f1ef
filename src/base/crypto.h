/* What we need of OpenSSL and libcrypt, narrow. */
#pragma once

#include "base/value.h"

void crypto_random(void *ret, size_t length);
char *crypto_random_hex(size_t bytes);                    /* returns new */
char *crypto_uuid(void);                                  /* version 4; returns new */
char *crypto_sha256_hex(const void *data, size_t length); /* returns new */
void crypto_sha256(const void *data, size_t length, uint8_t ret[32]);
/* SHA-256 of what comes in pieces. */
typedef struct Sha256 Sha256;
Sha256 *sha256_new(void);
void sha256_add(Sha256 *sha256, const void *data, size_t length);
char *sha256_hex(
        Sha256 *sha256); /* of all so far, and the end of it: nothing may be added. Returns new */
void sha256_free(Sha256 *sha256); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sha256, sha256_free)
bool crypto_equal(const void *a, const void *b, size_t length); /* constant time */

char *crypto_base64(const void *data, size_t length);    /* standard, padded; returns new */
char *crypto_base64url(const void *data, size_t length); /* no padding; returns new */
GBytes *crypto_base64_decode(const char *text,
                             GError **error); /* either alphabet, padding optional */

/* AES-256-GCM (key 16 or 32 bytes). The sealed form is as upstream's columns: hex text and hex
 * nonce apart (reference 08 D.6). */
bool crypto_seal(const void *key, size_t key_length, const void *plain, size_t length,
                 char **ret_hex, char **ret_nonce, GError **error);
bool crypto_open(const void *key, size_t key_length, const char *hex, const char *nonce,
                 GBytes **ret, GError **error);

char *crypto_bcrypt(const char *password, int cost); /* returns new "$2b$…" */
bool crypto_bcrypt_check(const char *password, const char *hash);

typedef struct Key Key; /* RSA or EC, private or public; any thread */
Key *key_generate_rsa(int bits);
Key *key_generate_ec(void);                      /* P-256 */
Key *key_load(const char *path, GError **error); /* PEM: PKCS#1, PKCS#8, PKCS#1 in a PRIVATE KEY
                                                    envelope, OpenSSH public line */
Key *key_parse(const char *pem, size_t length, GError **error);
bool key_save(const Key *key, const char *path, GError **error); /* mode 0600 */
char *key_public_pem(const Key *key);
char *key_private_pem(const Key *key); /* PKCS#1 or SEC 1; NULL for a public key. Returns new */
void key_free(Key *key);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Key, key_free)

/* The public half as a JSON Web Key for signatures, members in go-jose's order. Returns new map. */
Value *key_to_jwk(const Key *key, const char *kid);

/* JWS signatures: RS256 or ES256 by the key's kind. Returns new base64url / whether it holds. */
char *key_sign(const Key *key, const void *data, size_t length);
bool key_verify(const Key *key, const void *data, size_t length, const char *base64url);
