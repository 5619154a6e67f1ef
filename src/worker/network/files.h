/* What containers get as /etc/resolv.conf and /etc/hosts (reference 06 §5.11). Pure. */
#pragma once

#include "base/error.h"

/*
 * The host's resolv.conf without its loopback servers. resolved: the text of systemd-resolved's
 * own file, used when only loopback servers were there; local: this host's address, used when that
 * has none either. Both may be NULL. Returns new.
 */
char *files_resolv_conf(const char *host, const char *resolved, const char *local);

/* "IP NAME"; ERROR_INVALID with upstream's texts. */
bool files_host_entry_check(const char *entry, GError **error);
