#include "base/files.h"
#include "resources/git.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char *home(void) {
        const char *set = g_getenv("HOME");
        return set && *set ? set : "/root";
}

static const char *temporary(void) {
        const char *set = g_getenv("TMPDIR");
        return set && *set ? set : "/tmp";
}

/*
 * The key goes to ssh by name: an agent, as upstream starts one, is needed only for passphrases and forwarding. What
 * ends up in GIT_SSH_COMMAND goes through a shell, hence the quotes.
 */
static bool private_key_set_up(const Value *source, GError **error) {
        const char *key = git_text(source, "private_key");
        const char *user = git_text(source, "private_key_user");
        if (!*key)
                return true;
        g_autofree char *path = g_build_filename(temporary(), "git-resource-private-key", NULL);
        g_autofree char *text = g_strconcat(key, g_str_has_suffix(key, "\n") ? "" : "\n", NULL);
        if (!file_write(path, text, strlen(text), 0600, error))
                return false;

        g_autofree char *quoted = g_shell_quote(path);
        g_autofree char *login = *user ? g_strconcat("User=", user, NULL) : NULL;
        g_autofree char *quoted_login = login ? g_shell_quote(login) : NULL;
        g_autofree char *command = g_strdup_printf(
                "ssh -i %s -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no"
                " -o UserKnownHostsFile=/dev/null -o LogLevel=quiet%s%s",
                quoted, login ? " -o " : "", login ? quoted_login : "");
        g_setenv("GIT_SSH_COMMAND", command, true);
        return true;
}

static bool netrc_set_up(const Value *source, GError **error) {
        const char *user = git_text(source, "username"), *password = git_text(source, "password");
        g_autofree char *path = g_build_filename(home(), ".netrc", NULL);
        if (unlink(path) < 0 && errno != ENOENT) {
                error_set_errno(error, errno, "cannot remove %s", path);
                return false;
        }
        if (!*user || !*password)
                return true;
        g_autofree char *text = g_strdup_printf("default login %s password %s\n", user, password);
        return file_write(path, text, strlen(text), 0600, error);
}

/* git_config is for this process and its children only: upstream's ~/.gitconfig lives as long as the container. */
static void config_set_up(const Value *source) {
        const Value *list = value_get(source, "git_config");
        size_t count = value_length(list);
        for (size_t i = 0; i < count; i++) {
                const Value *item = value_at(list, i);
                g_autofree char *key = g_strdup_printf("GIT_CONFIG_KEY_%zu", i);
                g_autofree char *value = g_strdup_printf("GIT_CONFIG_VALUE_%zu", i);
                g_setenv(key, git_text(item, "name"), true);
                g_setenv(value, git_text(item, "value"), true);
        }
        g_autofree char *number = g_strdup_printf("%zu", count);
        g_setenv("GIT_CONFIG_COUNT", number, true);
}

bool git_credentials_set_up(const Value *source, GError **error) {
        static const char *const trace[] = { "GIT_TRACE", "GIT_TRACE_PACKFILE",
                                             "GIT_CURL_VERBOSE" };
        g_setenv("GIT_TERMINAL_PROMPT", "0", true); /* nobody is there to answer */
        if (git_flag(source, "skip_ssl_verification"))
                g_setenv("GIT_SSL_NO_VERIFY", "true", true);
        if (git_flag(source, "debug")) {
                git_say("debug mode enabled");
                for (size_t i = 0; i < G_N_ELEMENTS(trace); i++)
                        g_setenv(trace[i], "1", true);
        }
        config_set_up(source);
        return private_key_set_up(source, error) && netrc_set_up(source, error);
}
