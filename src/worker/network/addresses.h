/* Which container has which address of the pool; kept as one file per address. */
#pragma once

#include "base/error.h"

typedef struct Addresses Addresses; /* any thread */

/* directory: where the files are; made if missing. network (network byte order) with prefix is the
 * pool: its first address is the gateway's, its last the broadcast. Files of other pools are
 * dropped. */
Addresses *addresses_open(const char *directory, uint32_t network, unsigned prefix, GError **error);
void addresses_free(Addresses *addresses);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Addresses, addresses_free)

/* The container's address, a new one if it has none. ERROR_LIMIT when all are taken. */
bool addresses_take(Addresses *addresses, const char *container, uint32_t *ret, GError **error);
/* false when the container has none. */
bool addresses_find(Addresses *addresses, const char *container, uint32_t *ret);
/* Gives it back; false when there was none. */
bool addresses_give(Addresses *addresses, const char *container, uint32_t *ret);
/* Containers that have one. Returns new, of char*. */
GPtrArray *addresses_holders(Addresses *addresses);

char *address_text(uint32_t address); /* returns new */
