/*
 * The containers' network: a bridge, a pair of interfaces per container, one nftables table of our
 * own. The host's other rules, bridges and addresses are left alone (reference 06 §5.11).
 *
 * A hermetic container has its eth0 and address, but the host's end of the pair is down and on no
 * bridge: nothing passes, IPv6 neither. Upstream's IPv6 is on an interface of its own, ours on eth0.
 */
#pragma once

#include "worker/helper/helper.h"

typedef struct Network Network; /* any thread */

typedef struct {
        const char *work_directory; /* as given to helper_start; addresses are kept in network/ */
        Helper *helper;             /* borrowed */
        const char *bridge; /* NULL: "weir0", or a name made from the work directory if taken */
        const char *pool;   /* NULL: 10.80.0.0/16, or the next /16 that this host does not use.
                               Its first address is the gateway */
        const char *const *restricted;       /* networks and addresses refused; NULL-terminated */
        const char *const *dns_servers;      /* instead of the host's; NULL-terminated */
        const char *const *additional_hosts; /* "IP NAME", NULL-terminated */
        unsigned mtu;                        /* 0: that of the interface with external_ip, */
        const char *external_ip;             /* or (NULL) with the host's default route, or 1500 */
        bool allow_host_access;              /* containers reach services of the host */
        bool dns_proxy;    /* the gateway answers DNS, as the host would be answered */
        bool v6;           /* containers have an IPv6 address too */
        const char *pool6; /* NULL: fd9c:31a6:c759::/64. Its first address is the gateway */
        bool plain6;       /* IPv6 leaves with the container's own address */
} NetworkSpec;

/* Makes or finds the bridge, loads the table, switches forwarding on. ERROR_INVALID for malformed
 * settings, with upstream's texts. */
Network *network_open(const NetworkSpec *spec, GError **error);
/* remove: bridge, table and addresses go too; do so when no container is left. Else all stays for
 * the next start. Frees. */
void network_close(Network *network, bool remove);
/* Whether a container has an address, alive or dead: then bridge and rules must stay for the next run. */
bool network_in_use(const Network *network);

const char *network_bridge(const Network *network);
const char *network_gateway(const Network *network); /* "10.80.0.1" */
const char *network_pool(const Network *network);    /* "10.80.0.0/16" */
const char *network_pool6(const Network *network);   /* NULL: no IPv6 */
unsigned network_mtu(const Network *network);

typedef struct {
        char *address; /* of eth0 */
        int fd;        /* the network namespace */
        char *path;    /* to it, for an OCI config; good as long as this struct is */
} NetworkAttachment;
void network_attachment_clear(NetworkAttachment *attachment);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(NetworkAttachment, network_attachment_clear)

typedef struct {
        const char *container; /* handle */
        bool hermetic;
        bool privileged; /* the container runs outside the user namespace */
} NetworkRequest;

/* Makes the container's network namespace, ready to be joined. Keep *ret until the container runs;
 * the container then keeps the namespace itself. ERROR_LIMIT when the pool is used up. */
bool network_attach(Network *network, const NetworkRequest *request, NetworkAttachment *ret,
                    GError **error);
/* When the container is gone (or was never made): gives its address and interface back. Fine when
 * there is none. */
void network_detach(Network *network, const char *container);
/* After a restart: gives back what belongs to none of these containers. */
void network_keep(Network *network, const char *const *containers, size_t count);
/* Returns new; NULL when the container has none. */
char *network_address(Network *network, const char *container);

/* Contents of the files bound over /etc/… in a container; each returns new. */
char *network_resolv_conf(Network *network, bool hermetic);
char *network_hosts(Network *network, const char *container, const char *address);
