#include "base/crypto.h"
#include "base/files.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#define KEY_BYTES_MAX ((size_t) 64 * 1024) /* of its text */
#define RSA_BITS_MIN 1024
#define RSA_BITS_MAX 16384
#define EC_HALF 32 /* bytes of r and of s, P-256 */
#define EC_POINT 65

struct Key {
        EVP_PKEY *key;
        bool private;
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_MD_CTX, EVP_MD_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIO, BIO_free_all)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIGNUM, BN_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ECDSA_SIG, ECDSA_SIG_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OSSL_PARAM, OSSL_PARAM_free)

/* Takes pkey. */
static Key *key_wrap(EVP_PKEY *pkey, bool private) {
        Key *key = g_new0(Key, 1);
        *key = (Key){ pkey, private };
        return key;
}

void key_free(Key *key) {
        if (!key)
                return;
        EVP_PKEY_free(key->key);
        g_free(key);
}

static bool is_rsa(const EVP_PKEY *key) {
        return EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
}

Key *key_generate_rsa(int bits) {
        EVP_PKEY *key = EVP_RSA_gen((unsigned) bits);
        g_assert(key);
        return key_wrap(key, true);
}

Key *key_generate_ec(void) {
        EVP_PKEY *key = EVP_EC_gen("P-256");
        g_assert(key);
        return key_wrap(key, true);
}

/* ---- reading ---- */

/* Takes pkey (NULL: it could not be read). Only kinds and sizes that this program works with. */
static Key *accept_key(EVP_PKEY *pkey, bool private, GError **error) {
        g_autoptr(EVP_PKEY) key = pkey;
        ERR_clear_error(); /* OpenSSL's queue is the thread's: TLS would trip over it */
        if (!key) {
                g_set_error_literal(error, ERROR, ERROR_INVALID, "malformed key");
                return NULL;
        }
        int bits = EVP_PKEY_get_bits(key);
        char curve[32] = "";
        if (is_rsa(key) ? bits < RSA_BITS_MIN || bits > RSA_BITS_MAX
                        : !EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL) ||
                                  !g_str_equal(curve, "prime256v1")) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "unsupported key: RSA of %d to %d bits or EC P-256 is needed",
                            RSA_BITS_MIN, RSA_BITS_MAX);
                return NULL;
        }
        return key_wrap(g_steal_pointer(&key), private);
}

/* One length-prefixed field of an OpenSSH blob. */
static bool ssh_field(const uint8_t **cursor, size_t *left, const uint8_t **ret,
                      size_t *ret_length) {
        if (*left < 4)
                return false;
        size_t length = (size_t) (*cursor)[0] << 24 | (size_t) (*cursor)[1] << 16 |
                        (size_t) (*cursor)[2] << 8 | (*cursor)[3];
        if (length > *left - 4)
                return false;
        *ret = *cursor + 4;
        *ret_length = length;
        *cursor += 4 + length;
        *left -= 4 + length;
        return true;
}

static EVP_PKEY *from_parameters(const char *kind, OSSL_PARAM_BLD *builder) {
        g_autoptr(OSSL_PARAM) parameters = OSSL_PARAM_BLD_to_param(builder);
        g_autoptr(EVP_PKEY_CTX) context = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
        EVP_PKEY *key = NULL;
        if (!parameters || EVP_PKEY_fromdata_init(context) != 1 ||
            EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
                return NULL;
        return key;
}

static EVP_PKEY *ssh_rsa(const uint8_t *cursor, size_t left) {
        const uint8_t *e, *n;
        size_t e_length, n_length;
        if (!ssh_field(&cursor, &left, &e, &e_length) || !ssh_field(&cursor, &left, &n, &n_length))
                return NULL;
        g_autoptr(BIGNUM) exponent = BN_bin2bn(e, (int) e_length, NULL);
        g_autoptr(BIGNUM) modulus = BN_bin2bn(n, (int) n_length, NULL);
        g_autoptr(OSSL_PARAM_BLD) builder = OSSL_PARAM_BLD_new();
        if (!OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) ||
            !OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent))
                return NULL;
        return from_parameters("RSA", builder);
}

static EVP_PKEY *ssh_ec(const uint8_t *cursor, size_t left) {
        const uint8_t *curve, *point;
        size_t curve_length, point_length;
        if (!ssh_field(&cursor, &left, &curve, &curve_length) ||
            !ssh_field(&cursor, &left, &point, &point_length) || point_length != EC_POINT)
                return NULL;
        g_autoptr(OSSL_PARAM_BLD) builder = OSSL_PARAM_BLD_new();
        if (!OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1",
                                             0) ||
            !OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point,
                                              point_length))
                return NULL;
        return from_parameters("EC", builder);
}

typedef struct {
        const char *name;
        EVP_PKEY *(*read)(const uint8_t *cursor, size_t left);
} SshKind;

static const SshKind ssh_kinds[] = {
        { "ssh-rsa", ssh_rsa },
        { "ecdsa-sha2-nistp256", ssh_ec },
};

/* "<kind> <base64> [comment]"; line is NUL-terminated. */
static Key *parse_ssh_line(const SshKind *kind, const char *line, GError **error) {
        const char *start = line + strlen(kind->name) + 1;
        g_autofree char *text = g_strndup(start, strcspn(start, " \t\r\n"));
        g_autoptr(GBytes) blob = crypto_base64_decode(text, error);
        if (!blob)
                return NULL;
        size_t left, name_length;
        const uint8_t *cursor = g_bytes_get_data(blob, &left), *name;
        if (!ssh_field(&cursor, &left, &name, &name_length) || name_length != strlen(kind->name) ||
            memcmp(name, kind->name, name_length) != 0)
                return accept_key(NULL, false, error);
        return accept_key(kind->read(cursor, left), false, error);
}

typedef struct {
        const char *label;
        bool private;
} PemKind;

/* d2i_AutoPrivateKey reads PKCS#8, PKCS#1 and SEC 1 by their content, whatever the label says:
 * upstream's generate-key writes PKCS#1 under "PRIVATE KEY". */
static const PemKind pem_kinds[] = {
        { "PRIVATE KEY", true }, { "RSA PRIVATE KEY", true }, { "EC PRIVATE KEY", true },
        { "PUBLIC KEY", false }, { "RSA PUBLIC KEY", false },
};

static EVP_PKEY *read_der(const PemKind *kind, const uint8_t *data, long length) {
        if (kind->private)
                return d2i_AutoPrivateKey(NULL, &data, length);
        if (g_str_has_prefix(kind->label, "RSA"))
                return d2i_PublicKey(EVP_PKEY_RSA, NULL, &data, length);
        return d2i_PUBKEY(NULL, &data, length);
}

static const PemKind *pem_find(const char *label) {
        for (size_t i = 0; i < G_N_ELEMENTS(pem_kinds); i++)
                if (g_str_equal(pem_kinds[i].label, label))
                        return &pem_kinds[i];
        return NULL;
}

/* Reads the next block; NULL without an error when there is none, or it is of no interest. */
static Key *read_block(BIO *bio, bool *ret_more, GError **error) {
        char *label = NULL, *header = NULL;
        uint8_t *data = NULL;
        long length = 0;
        Key *key = NULL;
        *ret_more = PEM_read_bio(bio, &label, &header, &data, &length) == 1;
        if (*ret_more) {
                const PemKind *kind = pem_find(label);
                if (kind && *header)
                        g_set_error_literal(error, ERROR, ERROR_INVALID,
                                            "key is protected by a passphrase");
                else if (kind)
                        key = accept_key(read_der(kind, data, length), kind->private, error);
                else if (g_str_equal(label, "OPENSSH PRIVATE KEY"))
                        g_set_error_literal(error, ERROR, ERROR_INVALID,
                                            "key is in OpenSSH's own format: "
                                            "convert it with ssh-keygen -p -m PEM");
        }
        OPENSSL_free(label);
        OPENSSL_free(header);
        OPENSSL_clear_free(data, (size_t) length);
        return key;
}

static Key *parse_pem(const char *pem, size_t length, GError **error) {
        g_autoptr(BIO) bio = BIO_new_mem_buf(pem, (int) length);
        bool more = true;
        while (more) {
                g_autoptr(GError) failure = NULL;
                Key *key = read_block(bio, &more, &failure);
                if (failure) {
                        g_propagate_error(error, g_steal_pointer(&failure));
                        return NULL;
                }
                if (key)
                        return key;
        }
        g_set_error_literal(error, ERROR, ERROR_INVALID,
                            "no key found: PEM or an OpenSSH public "
                            "key is needed");
        return NULL;
}

Key *key_parse(const char *pem, size_t length, GError **error) {
        if (length > KEY_BYTES_MAX) {
                g_set_error(error, ERROR, ERROR_LIMIT, "key is longer than %zu bytes",
                            KEY_BYTES_MAX);
                return NULL;
        }
        g_autofree char *text = g_strndup(pem, length);
        for (size_t i = 0; i < G_N_ELEMENTS(ssh_kinds); i++)
                if (g_str_has_prefix(text, ssh_kinds[i].name) &&
                    text[strlen(ssh_kinds[i].name)] == ' ')
                        return parse_ssh_line(&ssh_kinds[i], text, error);
        return parse_pem(pem, length, error);
}

Key *key_load(const char *path, GError **error) {
        size_t length;
        g_autofree char *text = file_read(path, KEY_BYTES_MAX, &length, error);
        if (!text)
                return NULL;
        Key *key = key_parse(text, length, error);
        if (!key)
                g_prefix_error(error, "read key %s: ", path);
        return key;
}

/* ---- writing ---- */

static char *bio_text(BIO *bio) {
        char *data;
        long length = BIO_get_mem_data(bio, &data);
        return g_strndup(data, (size_t) length);
}

char *key_private_pem(const Key *key) {
        /* Every reader there is knows PKCS#1 and SEC 1. */
        g_autoptr(BIO) bio = BIO_new(BIO_s_mem());

        if (!key->private ||
            PEM_write_bio_PrivateKey_traditional(bio, key->key, NULL, NULL, 0, NULL, NULL) != 1)
                return NULL;
        return bio_text(bio);
}

bool key_save(const Key *key, const char *path, GError **error) {
        g_autofree char *text = key_private_pem(key);

        if (!text) {
                g_set_error_literal(error, ERROR, ERROR_INVALID, "only a private key can be saved");
                return false;
        }
        return file_write(path, text, strlen(text), 0600, error);
}

char *key_public_pem(const Key *key) {
        g_autoptr(BIO) bio = BIO_new(BIO_s_mem());
        int ok = PEM_write_bio_PUBKEY(bio, key->key);
        g_assert(ok == 1);
        return bio_text(bio);
}

/* ---- signatures ---- */

/* ASN.1 as OpenSSL writes it, to the two halves of a JWS. */
static char *ec_to_jws(const uint8_t *der, size_t length) {
        g_autoptr(ECDSA_SIG) signature = d2i_ECDSA_SIG(NULL, &der, (long) length);
        uint8_t halves[2 * EC_HALF];
        g_assert(signature);
        BN_bn2binpad(ECDSA_SIG_get0_r(signature), halves, EC_HALF);
        BN_bn2binpad(ECDSA_SIG_get0_s(signature), halves + EC_HALF, EC_HALF);
        return crypto_base64url(halves, sizeof(halves));
}

/* Returns new DER in OpenSSL's memory, or NULL. */
static uint8_t *ec_from_jws(const uint8_t *halves, size_t length, size_t *ret_length) {
        if (length != 2 * EC_HALF)
                return NULL;
        g_autoptr(ECDSA_SIG) signature = ECDSA_SIG_new();
        ECDSA_SIG_set0(signature, BN_bin2bn(halves, EC_HALF, NULL),
                       BN_bin2bn(halves + EC_HALF, EC_HALF, NULL));
        uint8_t *der = NULL;
        int written = i2d_ECDSA_SIG(signature, &der);
        if (written <= 0)
                return NULL;
        *ret_length = (size_t) written;
        return der;
}

char *key_sign(const Key *key, const void *data, size_t length) {
        g_assert(key->private);
        g_autoptr(EVP_MD_CTX) context = EVP_MD_CTX_new();
        size_t size = 0;
        bool ok = EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key->key) == 1 &&
                  EVP_DigestSign(context, NULL, &size, data, length) == 1;
        g_assert(ok);
        g_autofree uint8_t *signature = g_malloc(size);
        ok = EVP_DigestSign(context, signature, &size, data, length) == 1;
        g_assert(ok);
        return is_rsa(key->key) ? crypto_base64url(signature, size) : ec_to_jws(signature, size);
}

static bool verify(const Key *key, const void *data, size_t length, const uint8_t *signature,
                   size_t signature_length) {
        g_autoptr(EVP_MD_CTX) context = EVP_MD_CTX_new();
        return EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key->key) == 1 &&
               EVP_DigestVerify(context, signature, signature_length, data, length) == 1;
}

bool key_verify(const Key *key, const void *data, size_t length, const char *base64url) {
        g_autoptr(GBytes) signature = crypto_base64_decode(base64url, NULL);
        if (!signature)
                return false;
        size_t size;
        const uint8_t *bytes = g_bytes_get_data(signature, &size);
        uint8_t *der = is_rsa(key->key) ? NULL : ec_from_jws(bytes, size, &size);
        bool holds = der                ? verify(key, data, length, der, size)
                     : is_rsa(key->key) ? verify(key, data, length, bytes, size)
                                        : false;
        OPENSSL_free(der);
        ERR_clear_error();
        return holds;
}

/* ---- JSON Web Keys ---- */

static void set_number(Value *map, const char *name, const Key *key, const char *parameter,
                       int bytes) {
        BIGNUM *taken = NULL;
        bool ok = EVP_PKEY_get_bn_param(key->key, parameter, &taken) == 1;
        g_autoptr(BIGNUM) number = taken;

        g_assert(ok);
        int length = bytes ? bytes : BN_num_bytes(number);
        g_autofree uint8_t *big_endian = g_malloc((size_t) length);
        BN_bn2binpad(number, big_endian, length);
        g_autofree char *text = crypto_base64url(big_endian, (size_t) length);
        value_map_set_string(map, name, text);
}

Value *key_to_jwk(const Key *key, const char *kid) {
        bool rsa = is_rsa(key->key);
        Value *map = value_map();

        value_map_set_string(map, "use", "sig");
        value_map_set_string(map, "kty", rsa ? "RSA" : "EC");
        value_map_set_string(map, "kid", kid);
        if (!rsa)
                value_map_set_string(map, "crv", "P-256");
        value_map_set_string(map, "alg", rsa ? "RS256" : "ES256");
        if (rsa) {
                set_number(map, "n", key, OSSL_PKEY_PARAM_RSA_N, 0);
                set_number(map, "e", key, OSSL_PKEY_PARAM_RSA_E, 0);
        } else {
                set_number(map, "x", key, OSSL_PKEY_PARAM_EC_PUB_X, EC_HALF);
                set_number(map, "y", key, OSSL_PKEY_PARAM_EC_PUB_Y, EC_HALF);
        }
        return map;
}
