#include "base/crypto.h"

#include <crypt.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>
#include <sys/random.h>

#define NONCE_BYTES ((size_t) 12)
#define TAG_BYTES ((size_t) 16)
#define UUID_BYTES ((size_t) 16)
#define SEALED_MAX ((size_t) 1 << 30) /* OpenSSL counts in int */

/* ---- random, hash, compare ---- */

void crypto_random(void *ret, size_t length) {
        for (size_t done = 0; done < length;) {
                ssize_t got = getrandom((uint8_t *) ret + done, length - done, 0);
                if (got < 0 && errno != EINTR)
                        g_error("getrandom: %s", g_strerror(errno));
                if (got > 0)
                        done += (size_t) got;
        }
}

static char *hex(const uint8_t *data, size_t length) {
        static const char digits[] = "0123456789abcdef";
        char *text = g_malloc(2 * length + 1);
        for (size_t i = 0; i < length; i++) {
                text[2 * i] = digits[data[i] >> 4];
                text[2 * i + 1] = digits[data[i] & 15];
        }
        text[2 * length] = '\0';
        return text;
}

char *crypto_random_hex(size_t bytes) {
        g_autofree uint8_t *data = g_malloc(bytes);
        crypto_random(data, bytes);
        return hex(data, bytes);
}

char *crypto_uuid(void) {
        uint8_t bytes[UUID_BYTES];
        crypto_random(bytes, sizeof(bytes));
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        g_autofree char *text = hex(bytes, sizeof(bytes));
        return g_strdup_printf("%.8s-%.4s-%.4s-%.4s-%.12s", text, text + 8, text + 12, text + 16,
                               text + 20);
}

void crypto_sha256(const void *data, size_t length, uint8_t ret[32]) {
        SHA256(data, length, ret);
}

char *crypto_sha256_hex(const void *data, size_t length) {
        uint8_t digest[32];
        crypto_sha256(data, length, digest);
        return hex(digest, sizeof(digest));
}

struct Sha256 {
        EVP_MD_CTX *context;
};

Sha256 *sha256_new(void) {
        Sha256 *sha256 = g_new0(Sha256, 1);
        sha256->context = EVP_MD_CTX_new();
        g_assert(sha256->context && EVP_DigestInit_ex(sha256->context, EVP_sha256(), NULL) == 1);
        return sha256;
}

void sha256_add(Sha256 *sha256, const void *data, size_t length) {
        g_assert(EVP_DigestUpdate(sha256->context, data, length) == 1);
}

char *sha256_hex(Sha256 *sha256) {
        uint8_t sum[SHA256_DIGEST_LENGTH];
        g_assert(EVP_DigestFinal_ex(sha256->context, sum, NULL) == 1);
        return hex(sum, sizeof(sum));
}

void sha256_free(Sha256 *sha256) {
        if (sha256)
                EVP_MD_CTX_free(sha256->context);
        g_free(sha256);
}

bool crypto_equal(const void *a, const void *b, size_t length) {
        return CRYPTO_memcmp(a, b, length) == 0;
}

/* ---- base64 ---- */

char *crypto_base64(const void *data, size_t length) {
        return length == 0 ? g_strdup("") : g_base64_encode(data, length);
}

char *crypto_base64url(const void *data, size_t length) {
        char *text = crypto_base64(data, length);
        g_strdelimit(text, "+", '-');
        g_strdelimit(text, "/", '_');
        text[strcspn(text, "=")] = '\0';
        return text;
}

/* Returns -1 for what is in neither alphabet. */
static int sextet(char c) {
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        if (c == '+' || c == '-')
                return 62;
        return c == '/' || c == '_' ? 63 : -1;
}

GBytes *crypto_base64_decode(const char *text, GError **error) {
        size_t digits = strcspn(text, "="), padding = strlen(text + digits);
        bool padded = digits % 4 != 0 && digits % 4 + padding == 4 &&
                      strspn(text + digits, "=") == padding;
        if (digits % 4 == 1 || (padding > 0 && !padded)) {
                g_set_error(error, ERROR, ERROR_INVALID, "invalid base64 of length %zu",
                            digits + padding);
                return NULL;
        }
        g_autoptr(GByteArray) data = g_byte_array_sized_new((guint) (digits / 4 * 3 + 3));
        unsigned bits = 0, count = 0;
        for (size_t i = 0; i < digits; i++) {
                int value = sextet(text[i]);
                if (value < 0) {
                        g_set_error(error, ERROR, ERROR_INVALID, "invalid base64 at byte %zu", i);
                        return NULL;
                }
                bits = (bits << 6 | (unsigned) value) & 0xffff;
                count += 6;
                if (count >= 8) {
                        count -= 8;
                        uint8_t byte = (uint8_t) (bits >> count);
                        g_byte_array_append(data, &byte, 1);
                }
        }
        return g_byte_array_free_to_bytes(g_steal_pointer(&data));
}

/* ---- AES-GCM ---- */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)

static const EVP_CIPHER *cipher_for(size_t key_length, GError **error) {
        switch (key_length) {
        case 16:
                return EVP_aes_128_gcm();
        case 24:
                return EVP_aes_192_gcm();
        case 32:
                return EVP_aes_256_gcm();
        default:
                /* Go's words: reference 08 D.6 */
                g_set_error(error, ERROR, ERROR_INVALID,
                            "failed to construct AES cipher: crypto/aes: invalid key size %zu",
                            key_length);
                return NULL;
        }
}

bool crypto_seal(const void *key, size_t key_length, const void *plain, size_t length,
                 char **ret_hex, char **ret_nonce, GError **error) {
        const EVP_CIPHER *cipher = cipher_for(key_length, error);
        if (!cipher)
                return false;
        if (length > SEALED_MAX) {
                g_set_error(error, ERROR, ERROR_LIMIT, "cannot encrypt more than %zu bytes",
                            SEALED_MAX);
                return false;
        }
        uint8_t nonce[NONCE_BYTES];
        crypto_random(nonce, sizeof(nonce));
        g_autofree uint8_t *sealed = g_malloc(length + TAG_BYTES);
        g_autoptr(EVP_CIPHER_CTX) context = EVP_CIPHER_CTX_new();
        int wrote = 0, rest = 0;
        bool ok = EVP_EncryptInit_ex(context, cipher, NULL, key, nonce) == 1 &&
                  (length == 0 ||
                   EVP_EncryptUpdate(context, sealed, &wrote, plain, (int) length) == 1) &&
                  EVP_EncryptFinal_ex(context, sealed + wrote, &rest) == 1 &&
                  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, sealed + length) ==
                          1;
        g_assert(ok); /* nothing here depends on the input */
        *ret_hex = hex(sealed, length + TAG_BYTES);
        *ret_nonce = hex(nonce, sizeof(nonce));
        return true;
}

/* Returns new, or NULL for what is not hexadecimal. */
static uint8_t *unhex(const char *text, size_t *ret_length) {
        size_t length = strlen(text);
        if (length % 2 != 0)
                return NULL;
        g_autofree uint8_t *data = g_malloc(length / 2 + 1);
        for (size_t i = 0; i < length / 2; i++) {
                int high = g_ascii_xdigit_value(text[2 * i]);
                int low = g_ascii_xdigit_value(text[2 * i + 1]);
                if (high < 0 || low < 0)
                        return NULL;
                data[i] = (uint8_t) (high << 4 | low);
        }
        *ret_length = length / 2;
        return g_steal_pointer(&data);
}

static bool decrypt(const EVP_CIPHER *cipher, const void *key, const uint8_t *nonce,
                    uint8_t *sealed, size_t length, uint8_t *plain) {
        g_autoptr(EVP_CIPHER_CTX) context = EVP_CIPHER_CTX_new();
        int wrote = 0, rest = 0;
        return EVP_DecryptInit_ex(context, cipher, NULL, key, nonce) == 1 &&
               (length == 0 ||
                EVP_DecryptUpdate(context, plain, &wrote, sealed, (int) length) == 1) &&
               EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, sealed + length) ==
                       1 &&
               EVP_DecryptFinal_ex(context, plain + wrote, &rest) == 1;
}

bool crypto_open(const void *key, size_t key_length, const char *hex_text, const char *nonce_text,
                 GBytes **ret, GError **error) {
        const EVP_CIPHER *cipher = cipher_for(key_length, error);
        if (!cipher)
                return false;
        size_t length = 0, nonce_length = 0;
        g_autofree uint8_t *sealed = unhex(hex_text, &length);
        g_autofree uint8_t *nonce = unhex(nonce_text, &nonce_length);
        if (!sealed || !nonce || length < TAG_BYTES || length > SEALED_MAX + TAG_BYTES ||
            nonce_length != NONCE_BYTES) {
                g_set_error_literal(error, ERROR, ERROR_INVALID, "malformed encrypted value");
                return false;
        }
        length -= TAG_BYTES;
        g_autofree uint8_t *plain = g_malloc(length + 1);
        if (!decrypt(cipher, key, nonce, sealed, length, plain)) {
                ERR_clear_error(); /* OpenSSL's queue is the thread's: TLS would trip over it */
                g_set_error_literal(error, ERROR, ERROR_DENIED, "encrypted with another key");
                return false;
        }
        *ret = g_bytes_new_take(g_steal_pointer(&plain), length);
        return true;
}

/* ---- bcrypt ---- */

char *crypto_bcrypt(const char *password, int cost) {
        g_autofree struct crypt_data *data = g_new0(struct crypt_data, 1);
        char random[16], salt[CRYPT_GENSALT_OUTPUT_SIZE];
        crypto_random(random, sizeof(random));
        if (!crypt_gensalt_rn("$2b$", (unsigned long) cost, random, sizeof(random), salt,
                              sizeof(salt)))
                g_error("bcrypt: cost %d", cost);
        const char *hash = crypt_r(password, salt, data);
        g_assert(hash && g_str_has_prefix(hash, "$2b$"));
        return g_strdup(hash);
}

bool crypto_bcrypt_check(const char *password, const char *hash) {
        if (!g_str_has_prefix(hash, "$2"))
                return false; /* libcrypt knows weaker kinds too */
        g_autofree struct crypt_data *data = g_new0(struct crypt_data, 1);
        const char *got = crypt_r(password, hash, data);
        return got && strlen(got) == strlen(hash) && crypto_equal(got, hash, strlen(hash));
}
