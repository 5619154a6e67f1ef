#include "resources/git_secrets.h"

#include "base/child.h"
#include "base/files.h"

#include <string.h>
#include <unistd.h>

#define KEYSERVER "hkp://keyserver.ubuntu.com/"
#define STATUS_BAD_KEY 2
#define STATUS_UNKNOWN_ID 123

/* ---- signatures ---- */

static bool run_program(GitRun *run, const char *const *argv, const char *input, int failed_status,
                        const char *failed_text, GError **error) {
        g_auto(ChildResult) result = {};
        ChildSpec spec = { .argv = argv,
                           .directory = run->repository,
                           .input = -1,
                           .output = STDERR_FILENO,
                           .error = STDERR_FILENO };
        size_t length = input ? strlen(input) : 0;
        if (!child_run(&spec, input, length, GIT_OUTPUT_LIMIT, NULL, &result, error))
                return false;
        if (result.status == 0)
                return true;
        run->status = failed_status;
        g_set_error_literal(error, ERROR, ERROR_DENIED, failed_text);
        return false;
}

static bool keys_import(GitRun *run, const Value *keys, GError **error) {
        static const char *const argv[] = { "gpg", "--batch", "--import", NULL };
        g_autoptr(GString) text = g_string_new(NULL);
        for (size_t i = 0; i < value_length(keys); i++) {
                const char *key = value_text(value_at(keys, i));
                g_string_append_printf(text, "%s\n", key ? key : "");
        }
        g_autofree char *failed = g_strdup_printf("Invalid GPG key in: %s", g_strchomp(text->str));
        return run_program(run, argv, text->str, STATUS_BAD_KEY, failed, error);
}

static bool keys_receive(GitRun *run, const Value *ids, GError **error) {
        const char *server = git_text(run->source, "gpg_keyserver");
        for (size_t i = 0; i < value_length(ids); i++) {
                const char *id = value_text(value_at(ids, i));
                const char *const argv[] = { "gpg",         "--batch",
                                             "--keyserver", *server ? server : KEYSERVER,
                                             "--recv-keys", "--",
                                             id ? id : "",  NULL };
                g_autofree char *failed = g_strdup_printf("cannot receive the GPG key '%s'",
                                                          id ? id : "");
                if (!run_program(run, argv, NULL, STATUS_UNKNOWN_ID, failed, error))
                        return false;
        }
        return true;
}

bool git_commit_verify(GitRun *run, const char *ref, GError **error) {
        const Value *keys = value_get(run->source, "commit_verification_keys");
        const Value *ids = value_get(run->source, "commit_verification_key_ids");
        if (value_length(keys) == 0 && value_length(ids) == 0)
                return true;
        if ((value_length(keys) > 0 && !keys_import(run, keys, error)) ||
            !keys_receive(run, ids, error))
                return false;
        GPtrArray *peel = git_arguments("rev-parse", "--verify", "--quiet", NULL);
        git_argument(peel, "%s^{commit}", ref);
        g_autofree char *commit = git_line(run, peel);
        const char *const argv[] = { "git", "verify-commit", "--", commit ? commit : ref, NULL };
        g_autofree char *failed = g_strdup_printf("The commit %s is not signed",
                                                  commit ? commit : ref);
        return run_program(run, argv, NULL, 1, failed, error);
}

/* ---- git-crypt ---- */

bool git_crypt_unlock(GitRun *run, GError **error) {
        const char *encoded = git_text(run->source, "git_crypt_key");
        if (!*encoded)
                return true;
        g_autofree char *file = g_build_filename(git_home(), "git-crypt.key", NULL);
        size_t length;
        g_autofree guchar *key = g_base64_decode(encoded,
                                                 &length); /* passes over blanks and line breaks */
        if (!file_write(file, key, length, 0600, error))
                return false;
        git_say("unlocking git repo");
        const char *const argv[] = { "git-crypt", "unlock", file, NULL };
        return run_program(run, argv, NULL, 1, "git-crypt could not unlock the repository", error);
}
