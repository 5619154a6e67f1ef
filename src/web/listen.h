/* A listening socket before there is a server: a port in use is known before anything is touched. */
#pragma once

#include "base/files.h"

/*
 * Listens on an IP address; port 0: any. Returns a descriptor, or -1 with ERROR_EXISTS "listen tcp
 * 127.0.0.1:8080: bind: address already in use", ERROR_DENIED, ERROR_IO, or ERROR_INVALID for what
 * is no address or port.
 */
int listen_open(const char *address, int64_t port, uint16_t *ret_port, GError **error);
/* The port of a socket that listens already. */
bool listen_port(int fd, uint16_t *ret, GError **error);

/* "127.0.0.1:8080", "[::1]:8080". Returns new. */
char *listen_name(const char *address, int64_t port);
/* Where this machine reaches it: "http://127.0.0.1:8080". Returns new. */
char *listen_url(const char *address, uint16_t port);
