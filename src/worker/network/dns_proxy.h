/*
 * Answers containers' DNS queries through the host's own resolvers, those on its loopback too (reference 06 §5.11).
 * UDP and TCP; messages pass as they are. Upstream listens on every address and opens the whole host to containers;
 * here it is the gateway's port 53 alone.
 */
#pragma once

#include "base/cancel.h"

typedef struct DnsProxy DnsProxy;

typedef struct {
        const char *const *addresses; /* to listen on; NULL-terminated */
        uint16_t port;                /* 0: 53 */
        const char *resolv_conf;      /* read for every query; NULL: /etc/resolv.conf */
        uint16_t server_port;         /* of the resolvers; 0: 53 */
        Duration patience;            /* with one resolver, then the next is asked; 0: 2 s */
} DnsProxySpec;

DnsProxy *dns_proxy_start(const DnsProxySpec *spec, GError **error);
void dns_proxy_stop(DnsProxy *proxy); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DnsProxy, dns_proxy_stop)
