/* How git reaches servers over SSH: keys, passphrases, agents, tunnels (reference 09 §6.1). */
#pragma once

#include "base/value.h"

typedef struct {
        const char *file;       /* the key is kept there, 0600 */
        const char *key;        /* as the source has it */
        const char *passphrase; /* "" when the key has none */
        const char *user;       /* "": what the URL says */
} GitKeyUse;

/*
 * Writes the key without its passphrase, and returns new: the command that git is to call for SSH.
 * ERROR_DENIED: "Private key has a passphrase but private_key_passphrase has not been set."
 */
char *git_ssh_command(const Value *source, const GitKeyUse *use, GError **error);

/* Sets GIT_SSH_COMMAND for the source's own key, and starts an agent where forwarding is asked for. */
bool git_ssh_set_up(const Value *source, GError **error);
