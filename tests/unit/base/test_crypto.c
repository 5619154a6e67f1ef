#include "base/crypto.h"

#include <glib/gstdio.h>
#include <string.h>

static void hashes_and_encodings_match_known_values(void) {
        g_autofree char *digest = crypto_sha256_hex("abc", 3);
        g_assert_cmpstr(digest, ==,
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        static const struct {
                const char *plain, *standard, *url;
        } cases[] = {
                { "", "", "" },
                { "f", "Zg==", "Zg" },
                { "fo", "Zm8=", "Zm8" },
                { "foo", "Zm9v", "Zm9v" },
                { "\xfb\xff\xfe", "+//+", "-__-" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                size_t length = strlen(cases[i].plain);
                g_autofree char *standard = crypto_base64(cases[i].plain, length);
                g_autofree char *url = crypto_base64url(cases[i].plain, length);
                g_assert_cmpstr(standard, ==, cases[i].standard);
                g_assert_cmpstr(url, ==, cases[i].url);
                const char *texts[] = { standard, url };
                for (size_t j = 0; j < G_N_ELEMENTS(texts); j++) {
                        g_autoptr(GBytes) back = crypto_base64_decode(texts[j], NULL);
                        g_assert_nonnull(back);
                        g_assert_cmpmem(g_bytes_get_data(back, NULL), g_bytes_get_size(back),
                                        cases[i].plain, length);
                }
        }
}

static void malformed_base64_is_refused(void) {
        static const char *const cases[] = {
                "A",    "AAAAA", "Zg=",   "Zg===", "Z===",   "=",
                "====", "Zm9v=", "Zg==x", "Zg =",  "Zm9v\n", "Zm\x80v"
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                g_assert_null(crypto_base64_decode(cases[i], &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
        }
}

static void random_values_have_their_form_and_differ(void) {
        g_autofree char *one = crypto_uuid(), *two = crypto_uuid(), *bytes = crypto_random_hex(16);
        g_assert_true(g_uuid_string_is_valid(one));
        g_assert_cmpint(one[14], ==, '4');
        g_assert_nonnull(strchr("89ab", one[19]));
        g_assert_cmpstr(one, !=, two);
        g_assert_cmpint(strlen(bytes), ==, 32);
        g_assert_true(crypto_equal(one, one, 36));
        g_assert_false(crypto_equal(one, two, 36));
}

static void opens_what_nist_sealed(void) {
        static const struct {
                size_t key_length;
                const char *hex;
        } cases[] = {
                { 16, "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf" },
                { 24, "98e7247c07f0fe411c267e4384b0f6002ff58d80033927ab8ef4d4587514f0fb" },
                { 32, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919" },
        };
        static const uint8_t zeros[32];
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GBytes) plain = NULL;
                g_autoptr(GError) error = NULL;
                crypto_open(zeros, cases[i].key_length, cases[i].hex, "000000000000000000000000",
                            &plain, &error);
                g_assert_no_error(error);
                g_assert_cmpmem(g_bytes_get_data(plain, NULL), g_bytes_get_size(plain), zeros, 16);
        }
}

static void sealing_goes_round_and_notices_every_change(void) {
        static const char key[] = "0123456789abcdef0123456789abcdef", other[] = "0123456789abcdeX";
        static const char *const texts[] = { "", "x", "a longer text than one block of AES" };
        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_autofree char *sealed = NULL, *nonce = NULL;
                g_autoptr(GBytes) plain = NULL, untouched = NULL;
                g_autoptr(GError) denied = NULL, changed = NULL;
                size_t length = strlen(texts[i]);
                g_assert_true(crypto_seal(key, 32, texts[i], length, &sealed, &nonce, NULL));
                g_assert_true(crypto_open(key, 32, sealed, nonce, &plain, NULL));
                g_assert_cmpmem(g_bytes_get_data(plain, NULL), g_bytes_get_size(plain), texts[i],
                                length);
                g_assert_false(crypto_open(other, 16, sealed, nonce, &untouched, &denied));
                g_assert_error(denied, ERROR, ERROR_DENIED);
                sealed[0] = sealed[0] == '0' ? '1' : '0';
                g_assert_false(crypto_open(key, 32, sealed, nonce, &untouched, &changed));
                g_assert_error(changed, ERROR, ERROR_DENIED);
                g_assert_null(untouched);
        }
}

static void malformed_sealed_values_and_keys_are_refused(void) {
        static const char nonce[] = "000000000000000000000000";
        static const struct {
                size_t key_length;
                const char *hex, *nonce;
        } cases[] = {
                { 15, "00000000000000000000000000000000", nonce },
                { 16, "000000000000000000000000000000", nonce },
                { 16, "0000000000000000000000000000000", nonce },
                { 16, "0000000000000000000000000000000g", nonce },
                { 16, "00000000000000000000000000000000", "00" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GBytes) plain = NULL;
                g_autoptr(GError) error = NULL;
                g_assert_false(crypto_open("0123456789abcdef", cases[i].key_length, cases[i].hex,
                                           cases[i].nonce, &plain, &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
        }
}

static void bcrypt_agrees_with_known_hashes(void) {
        static const char known[] = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        g_assert_true(crypto_bcrypt_check("U*U", known));
        g_assert_false(crypto_bcrypt_check("U*V", known));
        g_autofree char *hash = crypto_bcrypt("secret", 4);
        g_assert_true(g_str_has_prefix(hash, "$2b$04$"));
        g_assert_true(crypto_bcrypt_check("secret", hash));
        g_assert_false(crypto_bcrypt_check("Secret", hash));
        static const char *const wrong[] = { "",     "secret",
                                             "$2b$", "$2b$04$short",
                                             "*0",   "$1$abcdefgh$irWbblnpmw.5z7wgBnprh0" };
        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
                g_assert_false(crypto_bcrypt_check("secret", wrong[i]));
}

/* ---- keys ---- */

typedef Key *(*Generate)(void);

static Key *generate_rsa(void) {
        return key_generate_rsa(2048);
}

static const Generate generators[] = { generate_rsa, key_generate_ec };

static void assert_signs_for(const Key *private, const Key *public) {
        g_autofree char *signature = key_sign(private, "text", 4);
        g_assert_true(key_verify(public, "text", 4, signature));
        g_assert_false(key_verify(public, "texT", 4, signature));
        signature[5] = signature[5] == 'A' ? 'B' : 'A';
        g_assert_false(key_verify(public, "text", 4, signature));
        g_assert_false(key_verify(public, "text", 4, ""));
        g_assert_false(key_verify(public, "text", 4, "!"));
}

static Key *parse(const char *text) {
        g_autoptr(GError) error = NULL;
        Key *key = key_parse(text, strlen(text), &error);
        g_assert_no_error(error);
        return key;
}

static void a_public_key_verifies_what_the_private_one_signed(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(generators); i++) {
                g_autoptr(Key) key = generators[i](), other = generators[i]();
                g_autofree char *pem = key_public_pem(key);
                g_autoptr(Key) public = parse(pem);
                assert_signs_for(key, public);
                g_autofree char *foreign = key_sign(other, "text", 4);
                g_assert_false(key_verify(public, "text", 4, foreign));
                g_assert_false(key_save(public, "/nowhere", NULL));
        }
}

/* Replaces what stands in the BEGIN and END lines. */
static char *relabel(const char *pem, const char *from, const char *to) {
        g_auto(GStrv) parts = g_strsplit(pem, from, -1);
        return g_strjoinv(to, parts);
}

static void saved_keys_load_under_either_label(void) {
        static const char *const labels[] = { "RSA PRIVATE KEY", "EC PRIVATE KEY" };
        g_autofree char *folder = g_dir_make_tmp("weir-key-XXXXXX", NULL);
        g_autofree char *path = g_build_filename(folder, "key", NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(generators); i++) {
                g_autoptr(Key) key = generators[i]();
                g_autoptr(GError) error = NULL;
                key_save(key, path, &error);
                g_assert_no_error(error);
                g_autoptr(Key) loaded = key_load(path, &error);
                g_assert_no_error(error);
                assert_signs_for(loaded, key);

                g_autofree char *text = NULL;
                g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
                g_assert_nonnull(strstr(text, labels[i]));
                g_autofree char *envelope = relabel(text, labels[i], "PRIVATE KEY");
                g_autoptr(Key) relabelled = parse(envelope);
                assert_signs_for(relabelled, key);
        }
        g_unlink(path);
        g_rmdir(folder);
}

static void openssh_lines_are_the_same_keys_as_their_pem(void) {
        static const struct {
                const char *line, *pem;
        } cases[] = {
                { "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCtQF7UGoI7OmDg8TxtQaEFCVbVxC198/uK9rdw3CCvZBz6xpkyyICwa+mjTPXUgXzpNAwEmTtog9hisvdTsRIpEujLHvMGLjcaQsVarfmnqPivuPht6ZL4Vu/ZuwmU1S6J2p8nasL4k59ZThjQwmX4/MjKIzq6KoTQruxYopfA+w== c\n",
                  "-----BEGIN PUBLIC KEY-----\n"
                  "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCtQF7UGoI7OmDg8TxtQaEFCVbV\n"
                  "xC198/uK9rdw3CCvZBz6xpkyyICwa+mjTPXUgXzpNAwEmTtog9hisvdTsRIpEujL\n"
                  "HvMGLjcaQsVarfmnqPivuPht6ZL4Vu/ZuwmU1S6J2p8nasL4k59ZThjQwmX4/MjK\n"
                  "Izq6KoTQruxYopfA+wIDAQAB\n"
                  "-----END PUBLIC KEY-----\n" },
                { "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBCErOQ8XjV8MXlfjlIFxvDqmF/JaZHwsLN4NIxXN7YTwHWCi86UNUklE6ou9mivEeOjpWjQUlyaCOZRs0dkCWDk= two words",
                  "-----BEGIN PUBLIC KEY-----\n"
                  "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEISs5DxeNXwxeV+OUgXG8OqYX8lpk\n"
                  "fCws3g0jFc3thPAdYKLzpQ1SSUTqi72aK8R46OlaNBSXJoI5lGzR2QJYOQ==\n"
                  "-----END PUBLIC KEY-----\n" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Key) key = parse(cases[i].line);
                g_autofree char *pem = key_public_pem(key);
                g_assert_cmpstr(pem, ==, cases[i].pem);
        }
}

static void what_is_no_key_is_refused(void) {
        static const char *const cases[] = {
                "",
                "no key at all",
                "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                "-----BEGIN PRIVATE KEY-----\nAAAA\n",
                "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
                "ssh-rsa ",
                "ssh-rsa AAAA",
                "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ== short",
                "ssh-rsa AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTY= other kind",
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                g_assert_null(key_parse(cases[i], strlen(cases[i]), &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
        }
        g_autofree char *huge = g_strnfill(1 << 20, 'A');
        g_autoptr(GError) limit = NULL, missing = NULL;
        g_assert_null(key_parse(huge, 1 << 20, &limit));
        g_assert_error(limit, ERROR, ERROR_LIMIT);
        g_assert_null(key_load("/no/such/key", &missing));
        g_assert_error(missing, ERROR, ERROR_NOT_FOUND);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/crypto/encodings", hashes_and_encodings_match_known_values);
        g_test_add_func("/crypto/base64", malformed_base64_is_refused);
        g_test_add_func("/crypto/random", random_values_have_their_form_and_differ);
        g_test_add_func("/crypto/gcm", opens_what_nist_sealed);
        g_test_add_func("/crypto/seal", sealing_goes_round_and_notices_every_change);
        g_test_add_func("/crypto/malformed", malformed_sealed_values_and_keys_are_refused);
        g_test_add_func("/crypto/bcrypt", bcrypt_agrees_with_known_hashes);
        g_test_add_func("/key/public", a_public_key_verifies_what_the_private_one_signed);
        g_test_add_func("/key/save", saved_keys_load_under_either_label);
        g_test_add_func("/key/openssh", openssh_lines_are_the_same_keys_as_their_pem);
        g_test_add_func("/key/refused", what_is_no_key_is_refused);
        return g_test_run();
}
