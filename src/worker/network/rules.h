/* The worker's one nftables table. */
#pragma once

#include "base/error.h"

typedef struct {
        const char *table;  /* "weir_1a2b3c4d" */
        const char *bridge; /* "weir0" */
        const char *pool;   /* "10.80.0.0/16" */
        const char *gateway;
        const char *pool6, *gateway6;  /* NULL: containers have no IPv6 */
        const char *const *restricted; /* of either family; NULL-terminated; may be NULL */
        bool allow_host_access;
        bool dns;         /* containers reach the gateways' port 53 all the same */
        bool masquerade6; /* what leaves by IPv6 bears this host's address */
} RulesSpec;

/* An IPv4 or IPv6 address or network as nft takes it; nothing else may get into the text. */
bool rules_network_valid(const char *text);

/* The whole table as text for `nft -f -`: replaces an earlier one in the same transaction. Returns
 * new. */
char *rules_text(const RulesSpec *spec);

bool rules_load(const char *text, GError **error);
bool rules_remove(const char *table, GError **error);
