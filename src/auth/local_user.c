/* Users of --add-local-user (reference 07 §8). */
#include "auth/auth_internal.h"

#include <string.h>

/* bcrypt costs outside these make every login an error, as upstream's do. */
#define COST_MIN 10
#define COST_MAX 16

void local_user_free(LocalUser *user) {
        if (!user)
                return;
        g_free(user->name);
        g_free(user->lower);
        g_free(user->hash);
        g_free(user);
}

static bool is_bcrypt(const char *text) {
        return strlen(text) == 60 && text[0] == '$' && text[1] == '2' && strchr("aby", text[2]) &&
               text[3] == '$' && g_ascii_isdigit(text[4]) && g_ascii_isdigit(text[5]);
}

/* Passwords given plainly are in our memory and command line anyway; a salted digest spares the start a bcrypt. */
static void digest(const Auth *auth, const char *password, uint8_t ret[32]) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();

        g_byte_array_append(bytes, auth->salt, sizeof auth->salt);
        g_byte_array_append(bytes, (const guint8 *) password, (guint) strlen(password));
        crypto_sha256(bytes->data, bytes->len, ret);
}

bool auth_check_local_user(const char *text, GError **error) {
        if (strchr(text, ':'))
                return true;
        g_set_error(error, ERROR, ERROR_INVALID, "invalid local user '%s': expected NAME:PASSWORD",
                    text);
        return false;
}

bool local_user_parse(Auth *auth, const char *text, GError **error) {
        const char *colon = strchr(text, ':');

        if (!auth_check_local_user(text, error))
                return false;
        if (colon == text || colon[1] == '\0')
                return true;
        LocalUser *user = g_new0(LocalUser, 1);
        user->name = g_strndup(text, (size_t) (colon - text));
        user->lower = g_utf8_strdown(user->name, -1);
        if (is_bcrypt(colon + 1))
                user->hash = g_strdup(colon + 1);
        else
                digest(auth, colon + 1, user->digest);
        g_ptr_array_add(auth->users, user);
        return true;
}

static bool matches(Auth *auth, const LocalUser *user, const char *password) {
        uint8_t given[32];

        if (user->hash)
                return crypto_bcrypt_check(password, user->hash);
        digest(auth, password, given);
        return crypto_equal(given, user->digest, sizeof given);
}

static bool is_affordable(const LocalUser *user) {
        if (!user->hash)
                return true;
        int cost = (user->hash[4] - '0') * 10 + (user->hash[5] - '0');
        return cost >= COST_MIN && cost <= COST_MAX;
}

const LocalUser *auth_check_password(Auth *auth, const char *name, const char *password,
                                     const char **ret_refusal) {
        g_autofree char *lower = g_utf8_strdown(name, -1);

        *ret_refusal = NULL;
        if (auth->users->len == 0)
                *ret_refusal = "Requested connector does not exist.";

        for (size_t i = 0; i < auth->users->len; i++) {
                const LocalUser *user = g_ptr_array_index(auth->users, i);
                if (!g_str_equal(user->lower, lower))
                        continue;
                if (!is_affordable(user))
                        *ret_refusal = "Could not login user";
                else if (matches(auth, user, password))
                        return user;
                return NULL;
        }
        return NULL;
}
