/* Interfaces, addresses and routes through rtnetlink, of the network namespace the socket was
 * opened in. Addresses of either family as text are checked by who calls; IPv4 numbers are in network byte order. */
#pragma once

#include "base/error.h"

typedef struct LinkSocket LinkSocket; /* one thread at a time */

LinkSocket *link_open(GError **error);
void link_close(LinkSocket *link); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LinkSocket, link_close)

typedef struct {
        const char *name;
        const char *peer;   /* the other end's name */
        int peer_namespace; /* descriptor of the network namespace it appears in */
        const char *bridge; /* name joins this and goes up; NULL: it stays alone and down */
        unsigned mtu;       /* 0: default */
} LinkPair;

bool link_pair_make(LinkSocket *link, const LinkPair *pair, GError **error);

/* ERROR_EXISTS when there is one of that name. alias: kept by the kernel as the interface's alias. */
bool link_bridge_make(LinkSocket *link, const char *name, const char *alias, unsigned mtu,
                      GError **error);
bool link_delete(LinkSocket *link, const char *name, GError **error); /* ERROR_NOT_FOUND */
bool link_up(LinkSocket *link, const char *name, GError **error);
/* address, gateway: IPv4 or IPv6. An IPv6 address is good at once: nobody is asked whether it is taken. */
bool link_address_add(LinkSocket *link, const char *name, const char *address, unsigned prefix,
                      GError **error); /* there already: fine */
bool link_route_default(LinkSocket *link, const char *name, const char *gateway, GError **error);

/* An interface's alias ("" when it has none). Returns new; NULL with ERROR_NOT_FOUND. */
char *link_alias(LinkSocket *link, const char *name, GError **error);
/* 0 when there is no such interface. */
unsigned link_mtu(LinkSocket *link, unsigned index);
/* The index of the interface of the default route; 0 when there is none. */
unsigned link_default(LinkSocket *link);
/* The index of the interface that has this address; 0: none. */
unsigned link_owner(LinkSocket *link, const char *address);
/* Whether an interface other than `name` has an address, or a route other than the default one
 * leads, into the network. */
bool link_network_taken(LinkSocket *link, const char *name, uint32_t network, unsigned prefix);
/* Names of all interfaces that begin with prefix. Returns new, of char*. */
GPtrArray *link_names(LinkSocket *link, const char *prefix);
