#include "resources/git_ssh.h"

#include "base/child.h"
#include "base/files.h"
#include "resources/git.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASSPHRASE_VARIABLE "GIT_RESOURCE_PASSPHRASE"

static bool run_quietly(const char *const *argv, ChildResult *ret, GError **error) {
        ChildSpec spec = { .argv = argv, .input = -1, .output = -1, .error = -1 };
        return child_run(&spec, NULL, 0, GIT_OUTPUT_LIMIT, NULL, ret, error);
}

/* ---- keys ---- */

/* ssh-keygen asks this program, which answers from the environment: arguments are for everybody to see. */
static bool askpass_write(const char *file, GError **error) {
        static const char script[] = "#!/bin/sh\nprintf '%s\\n' \"$" PASSPHRASE_VARIABLE "\"\n";
        return file_write(file, script, strlen(script), 0700, error);
}

static bool is_locked(const char *file) {
        const char *const argv[] = { "ssh-keygen", "-y", "-P", "", "-f", file, NULL };
        g_auto(ChildResult) result = {};
        return run_quietly(argv, &result, NULL) && result.status != 0 &&
               strstr(result.error, "incorrect passphrase");
}

static bool key_unlock(const GitKeyUse *use, GError **error) {
        g_autofree char *askpass = g_strconcat(use->file, "-askpass", NULL);
        const char *const argv[] = { "ssh-keygen", "-p", "-q", "-N", "", "-f", use->file, NULL };
        g_auto(ChildResult) result = {};
        if (!*use->passphrase) {
                g_set_error_literal(
                        error, ERROR, ERROR_DENIED,
                        "Private key has a passphrase but private_key_passphrase has not been set.");
                return false;
        }
        if (!askpass_write(askpass, error))
                return false;
        g_setenv(PASSPHRASE_VARIABLE, use->passphrase, true);
        g_setenv("SSH_ASKPASS", askpass, true);
        g_setenv("SSH_ASKPASS_REQUIRE", "force", true);
        bool ran = run_quietly(argv, &result, error);
        g_unsetenv(PASSPHRASE_VARIABLE);
        g_unsetenv("SSH_ASKPASS");
        g_unsetenv("SSH_ASKPASS_REQUIRE");
        if (!ran)
                return false;
        if (result.status != 0)
                g_set_error(error, ERROR, ERROR_DENIED,
                            "the passphrase does not fit the private key: %s",
                            g_strchomp(result.error));
        return result.status == 0;
}

static bool key_write(const GitKeyUse *use, GError **error) {
        g_autofree char *text = g_strconcat(use->key, g_str_has_suffix(use->key, "\n") ? "" : "\n",
                                            NULL);
        return file_write(use->file, text, strlen(text), 0600, error) &&
               (!is_locked(use->file) || key_unlock(use, error));
}

/* ---- the tunnel ---- */

/* proxytunnel's command line, or NULL: without host or port there is no tunnel. Returns new. */
static char *tunnel_command(const Value *source, GError **error) {
        const Value *tunnel = value_get(source, "https_tunnel");
        const char *host = git_text(tunnel, "proxy_host"), *port = git_text(tunnel, "proxy_port");
        const char *user = git_text(tunnel, "proxy_user"),
                   *password = git_text(tunnel, "proxy_password");
        if (!*host || !*port)
                return g_strdup("");
        g_autofree char *file = NULL, *option = g_strdup("");
        if (*user) {
                g_autofree char *text = g_strdup_printf("proxy_user = %s\nproxy_passwd = %s\n",
                                                        user, password);
                file = g_build_filename(git_temporary(), "git-resource-tunnel", NULL);
                if (!file_write(file, text, strlen(text), 0600, error))
                        return NULL;
                g_free(option);
                option = g_strdup_printf("-F %s ", file);
        }
        return g_strdup_printf("ProxyCommand=/usr/bin/proxytunnel %s-p %s:%s -d %%h:%%p", option,
                               host, port);
}

/* ---- the command ---- */

static void add_option(GString *command, const char *option) {
        g_autofree char *quoted = g_shell_quote(option);
        g_string_append_printf(command, " -o %s", quoted);
}

/* What ends up in GIT_SSH_COMMAND goes through a shell, hence the quotes. */
char *git_ssh_command(const Value *source, const GitKeyUse *use, GError **error) {
        static const char *const options[] = {
                "IdentitiesOnly=yes",           "BatchMode=yes",  "StrictHostKeyChecking=no",
                "UserKnownHostsFile=/dev/null", "LogLevel=quiet",
        };
        g_autofree char *tunnel = tunnel_command(source, error);
        if (!tunnel || !key_write(use, error))
                return NULL;
        g_autofree char *quoted = g_shell_quote(use->file);
        g_autofree char *login = g_strconcat("User=", use->user, NULL);
        g_autoptr(GString) command = g_string_new("ssh -i ");
        g_string_append(command, quoted);
        for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
                add_option(command, options[i]);
        if (*use->user)
                add_option(command, login);
        if (*tunnel)
                add_option(command, tunnel);
        if (git_flag(source, "forward_agent"))
                add_option(command, "ForwardAgent=yes");
        return g_strdup(command->str);
}

/* ---- the agent, for forwarding alone ---- */

static pid_t agent;

static void agent_stop(void) {
        if (agent > 0)
                kill(agent, SIGTERM);
}

/* The agent puts itself into the background once it listens, and says its pid. */
static bool agent_start(const char *key_file, GError **error) {
        g_autofree char *socket = g_strdup_printf("%s/git-resource-agent.%d", git_temporary(),
                                                  (int) getpid());
        const char *const start[] = { "ssh-agent", "-a", socket, NULL };
        const char *const add[] = { "ssh-add", "-q", key_file, NULL };
        g_auto(ChildResult) started = {}, added = {};
        if (!run_quietly(start, &started, error))
                return false;
        const char *said = strstr(started.output, "SSH_AGENT_PID=");
        if (started.status != 0 || !said) {
                g_set_error(error, ERROR, ERROR_IO, "cannot start ssh-agent: %s",
                            g_strchomp(started.error));
                return false;
        }
        agent = (pid_t) strtol(said + strlen("SSH_AGENT_PID="), NULL, 10);
        atexit(agent_stop);
        g_setenv("SSH_AUTH_SOCK", socket, true);
        if (!run_quietly(add, &added, error))
                return false;
        if (added.status != 0)
                g_set_error(error, ERROR, ERROR_IO, "cannot add the key to ssh-agent: %s",
                            g_strchomp(added.error));
        return added.status == 0;
}

bool git_ssh_set_up(const Value *source, GError **error) {
        g_autofree char *file = g_build_filename(git_temporary(), "git-resource-private-key", NULL);
        GitKeyUse use = {
                .file = file,
                .key = git_text(source, "private_key"),
                .passphrase = git_text(source, "private_key_passphrase"),
                .user = git_text(source, "private_key_user"),
        };
        if (!*use.key)
                return true;
        g_autofree char *command = git_ssh_command(source, &use, error);
        if (!command || (git_flag(source, "forward_agent") && !agent_start(file, error)))
                return false;
        g_setenv("GIT_SSH_COMMAND", command, true);
        return true;
}
