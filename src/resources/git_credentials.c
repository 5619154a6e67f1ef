#include "base/files.h"
#include "resources/git.h"
#include "resources/git_ssh.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

const char *git_home(void) {
        const char *set = g_getenv("HOME");
        return set && *set ? set : "/root";
}

const char *git_temporary(void) {
        const char *set = g_getenv("TMPDIR");
        return set && *set ? set : "/tmp";
}

/* A word as it is, or quoted where it would be read as two: curl knows quotes, other readers of the file need not. */
static void netrc_add_word(GString *text, const char *word, const char *value) {
        bool plain = !strpbrk(value, " \t\"\\");
        g_string_append_printf(text, " %s %s", word, plain ? "" : "\"");
        for (const char *c = value; *c; c++)
                g_string_append_printf(text, "%s%c", strchr("\"\\", *c) && !plain ? "\\" : "", *c);
        g_string_append(text, plain ? "" : "\"");
}

static void netrc_add(GString *text, const char *entry, const char *user, const char *password) {
        g_string_append(text, entry);
        netrc_add_word(text, "login", user);
        netrc_add_word(text, "password", password);
        g_string_append_c(text, '\n');
}

/* Lines for the hosts of submodules, which must stand before the default. */
static void netrc_add_submodules(const Value *source, GString *text) {
        const Value *list = value_get(source, "submodule_credentials");
        for (size_t i = 0; i < value_length(list); i++) {
                const Value *item = value_at(list, i);
                const char *host = git_text(item, "host"), *user = git_text(item, "username");
                const char *password = git_text(item, "password");
                g_autofree char *entry = g_strconcat("machine ", host, NULL);
                if (*host && *user && *password)
                        netrc_add(text, entry, user, password);
        }
}

static bool netrc_set_up(const Value *source, GError **error) {
        const char *user = git_text(source, "username"), *password = git_text(source, "password");
        g_autofree char *path = g_build_filename(git_home(), ".netrc", NULL);
        if (unlink(path) < 0 && errno != ENOENT) {
                error_set_errno(error, errno, "cannot remove %s", path);
                return false;
        }
        g_autoptr(GString) text = g_string_new(NULL);
        netrc_add_submodules(source, text);
        if (*user && *password)
                netrc_add(text, "default", user, password);
        return text->len == 0 || file_write(path, text->str, text->len, 0600, error);
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
        return git_ssh_set_up(source, error) && netrc_set_up(source, error);
}
