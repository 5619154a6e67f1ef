#include "worker/network/network.h"

#include "base/crypto.h"
#include "base/files.h"
#include "base/log.h"
#include "base/thread.h"
#include "worker/network/addresses.h"
#include "worker/network/dns_proxy.h"
#include "worker/network/files.h"
#include "worker/network/link.h"
#include "worker/network/rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BRIDGE_DEFAULT "weir0"
/* 10.80.0.0/16 and so many neighbours are tried when no pool is given. */
#define POOL_BASE 0x0a500000U
#define POOL_STEP 0x00010000U
#define POOL_TRIES 40
#define POOL_PREFIX 16
#define POOL6 "fd9c:31a6:c759::/64"
#define MTU_DEFAULT 1500
#define RESOLV_CONF_MAX (64 * 1024)

struct Network {
        Helper *helper;
        char *id; /* eight hex digits of the work directory: tells two workers of a host apart */
        char *bridge, *table, *directory;
        uint32_t base; /* host byte order */
        unsigned prefix, mtu;
        char *pool, *gateway;
        struct in6_addr base6;
        unsigned prefix6;
        char *pool6, *gateway6; /* NULL: no IPv6 */
        Addresses *addresses;
        DnsProxy *dns;                       /* NULL: none */
        GStrv dns_servers, additional_hosts; /* never NULL */
};

/* ---- settings ---- */

static GStrv copy_list(const char *const *list) {
        return list ? g_strdupv((GStrv) list) : g_new0(char *, 1);
}

static bool check_settings(const NetworkSpec *spec, GError **error) {
        if (spec->external_ip &&
            (strchr(spec->external_ip, '/') || !rules_network_valid(spec->external_ip))) {
                g_set_error(error, ERROR, ERROR_INVALID, "invalid external IP: %s",
                            spec->external_ip);
                return false;
        }
        for (size_t i = 0; spec->restricted && spec->restricted[i]; i++)
                if (!rules_network_valid(spec->restricted[i])) {
                        g_set_error(error, ERROR, ERROR_INVALID, "invalid restricted network: %s",
                                    spec->restricted[i]);
                        return false;
                }
        for (size_t i = 0; spec->additional_hosts && spec->additional_hosts[i]; i++)
                if (!files_host_entry_check(spec->additional_hosts[i], error))
                        return false;
        for (size_t i = 0; spec->dns_servers && spec->dns_servers[i]; i++)
                if (strpbrk(spec->dns_servers[i], " \t\r\n/") ||
                    !rules_network_valid(spec->dns_servers[i])) {
                        g_set_error(error, ERROR, ERROR_INVALID, "invalid DNS server: %s",
                                    spec->dns_servers[i]);
                        return false;
                }
        return true;
}

/* "10.80.0.0/16". */
static bool parse_pool(const char *text, uint32_t *ret_base, unsigned *ret_prefix) {
        g_auto(GStrv) parts = g_strsplit(text, "/", 2);
        uint32_t address;
        if (!rules_network_valid(text) || !parts[1] || inet_pton(AF_INET, parts[0], &address) != 1)
                return false;
        unsigned prefix = (unsigned) atoi(parts[1]);
        if (prefix < 8 || prefix > 29)
                return false;
        *ret_base = ntohl(address) & (UINT32_MAX << (32 - prefix));
        *ret_prefix = prefix;
        return true;
}

/* The pool of the addresses given out by an earlier run, whose containers may still be there. */
static bool find_earlier_pool(const Network *network, uint32_t *ret_base) {
        g_autoptr(GDir) files = g_dir_open(network->directory, 0, NULL);
        const char *name = files ? g_dir_read_name(files) : NULL;
        uint32_t address;
        if (!name || inet_pton(AF_INET, name, &address) != 1)
                return false;
        *ret_base = ntohl(address) & (UINT32_MAX << (32 - POOL_PREFIX));
        return *ret_base >= POOL_BASE && *ret_base < POOL_BASE + POOL_TRIES * POOL_STEP;
}

static bool choose_pool(Network *network, const NetworkSpec *spec, LinkSocket *link,
                        GError **error) {
        network->prefix = POOL_PREFIX;
        network->base = POOL_BASE;
        /* A malformed pool falls back to the default, as upstream's does. */
        if (spec->pool && parse_pool(spec->pool, &network->base, &network->prefix)) {
                if (!link_network_taken(link, network->bridge, htonl(network->base),
                                        network->prefix))
                        return true;
                g_set_error(error, ERROR, ERROR_EXISTS,
                            "the network pool %s overlaps with an address or route of this host",
                            spec->pool);
                return false;
        }
        uint32_t earlier;
        if (find_earlier_pool(network, &earlier))
                network->base = earlier;
        for (int i = 0; i < POOL_TRIES; i++) {
                if (!link_network_taken(link, network->bridge, htonl(network->base), POOL_PREFIX))
                        return true;
                network->base = POOL_BASE + (uint32_t) i * POOL_STEP;
        }
        g_set_error(error, ERROR, ERROR_EXISTS,
                    "no free network for containers: set --containerd-network-pool");
        return false;
}

/* The n-th address of the IPv6 pool. Returns new. */
static char *address6(const Network *network, uint32_t n) {
        struct in6_addr address = network->base6;
        char text[INET6_ADDRSTRLEN];
        for (size_t i = sizeof address.s6_addr; n > 0 && i-- > 0; n >>= 8)
                address.s6_addr[i] |= (uint8_t) n;
        inet_ntop(AF_INET6, &address, text, sizeof text);
        return g_strdup(text);
}

/* A container has the same place in both pools. */
static bool choose_pool6(Network *network, const NetworkSpec *spec, GError **error) {
        const char *pool = spec->pool6 ? spec->pool6 : POOL6;
        g_auto(GStrv) parts = g_strsplit(pool, "/", 2);
        if (!spec->v6)
                return true;
        if (!rules_network_valid(pool) || !parts[1] ||
            inet_pton(AF_INET6, parts[0], &network->base6) != 1 || atoi(parts[1]) < 8) {
                g_set_error(error, ERROR, ERROR_INVALID, "invalid IPv6 network pool: %s", pool);
                return false;
        }
        network->prefix6 = (unsigned) atoi(parts[1]);
        if (128 - network->prefix6 < 32 - network->prefix) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "the IPv6 network pool %s has less room than %s", pool, network->pool);
                return false;
        }
        for (unsigned bit = network->prefix6; bit < 128; bit++)
                network->base6.s6_addr[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
        g_autofree char *base = address6(network, 0);
        network->pool6 = g_strdup_printf("%s/%u", base, network->prefix6);
        network->gateway6 = address6(network, 1);
        return true;
}

/* ---- the bridge ---- */

static char *bridge_alias(const Network *network) {
        return g_strdup_printf("weir %s", network->id);
}

/* ERROR_EXISTS when an interface of that name is not ours. */
static bool adopt_bridge(Network *network, LinkSocket *link, const char *name, GError **error) {
        g_autofree char *alias = bridge_alias(network);
        g_autofree char *found = link_alias(link, name, NULL);
        if (found && strcmp(found, alias) != 0) {
                g_set_error(error, ERROR, ERROR_EXISTS,
                            "the network interface %s exists and is not this worker's", name);
                return false;
        }
        g_free(network->bridge);
        network->bridge = g_strdup(name);
        return true;
}

static bool choose_bridge(Network *network, const NetworkSpec *spec, LinkSocket *link,
                          GError **error) {
        if (spec->bridge) {
                if (strlen(spec->bridge) >= IFNAMSIZ || !helper_id_valid(spec->bridge)) {
                        g_set_error(error, ERROR, ERROR_INVALID, "invalid bridge name: %s",
                                    spec->bridge);
                        return false;
                }
                return adopt_bridge(network, link, spec->bridge, error);
        }
        if (adopt_bridge(network, link, BRIDGE_DEFAULT, NULL))
                return true;
        g_autofree char *own = g_strdup_printf("weir%s", network->id);
        return adopt_bridge(network, link, own, error);
}

static bool make_bridge(Network *network, LinkSocket *link, GError **error) {
        g_autofree char *alias = bridge_alias(network);
        g_autoptr(GError) failure = NULL;
        if (!link_bridge_make(link, network->bridge, alias, network->mtu, &failure) &&
            !error_is(failure, ERROR_EXISTS)) {
                g_propagate_error(error, g_steal_pointer(&failure));
                return false;
        }
        return link_address_add(link, network->bridge, network->gateway, network->prefix, error) &&
               (!network->gateway6 || link_address_add(link, network->bridge, network->gateway6,
                                                       network->prefix6, error)) &&
               link_up(link, network->bridge, error);
}

/* ---- opening and closing ---- */

static bool choose_mtu(Network *network, const NetworkSpec *spec, LinkSocket *link,
                       GError **error) {
        unsigned index = 0;
        if (!spec->mtu)
                index = spec->external_ip ? link_owner(link, spec->external_ip)
                                          : link_default(link);
        if (!spec->mtu && spec->external_ip && index == 0) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND,
                            "no network interface has the external IP %s", spec->external_ip);
                return false;
        }
        network->mtu = spec->mtu ? spec->mtu : index ? link_mtu(link, index) : 0;
        if (network->mtu == 0)
                network->mtu = MTU_DEFAULT;
        return true;
}

/* Stays on when we go: somebody may have come to rely on it. */
static bool forward_packets(const char *path, GError **error) {
        char now = 0;
        autofd file = open(path, O_RDWR | O_CLOEXEC);
        if (file >= 0 && pread(file, &now, 1, 0) == 1 && now == '1')
                return true;
        if (file >= 0 && pwrite(file, "1", 1, 0) == 1)
                return true;
        error_set_errno(error, errno, "failed to switch forwarding on in %s", path);
        return false;
}

static bool load_rules(const Network *network, const NetworkSpec *spec, GError **error) {
        RulesSpec rules = { .table = network->table,
                            .bridge = network->bridge,
                            .pool = network->pool,
                            .gateway = network->gateway,
                            .pool6 = network->pool6,
                            .gateway6 = network->gateway6,
                            .masquerade6 = !spec->plain6,
                            .dns = spec->dns_proxy,
                            .restricted = spec->restricted,
                            .allow_host_access = spec->allow_host_access };
        g_autofree char *text = rules_text(&rules);
        return rules_load(text, error);
}

static void network_free(Network *network) {
        if (!network)
                return;
        dns_proxy_stop(network->dns);
        addresses_free(network->addresses);
        g_strfreev(network->dns_servers);
        g_strfreev(network->additional_hosts);
        g_free(network->id);
        g_free(network->bridge);
        g_free(network->table);
        g_free(network->directory);
        g_free(network->pool);
        g_free(network->gateway);
        g_free(network->pool6);
        g_free(network->gateway6);
        g_free(network);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Network, network_free)

static bool start_dns(Network *network, const NetworkSpec *spec, GError **error) {
        const char *addresses[] = { network->gateway, network->gateway6, NULL };
        if (spec->dns_proxy)
                network->dns = dns_proxy_start(&(DnsProxySpec){ .addresses = addresses }, error);
        return !spec->dns_proxy || network->dns;
}

Network *network_open(const NetworkSpec *spec, GError **error) {
        g_autoptr(Network) network = g_new0(Network, 1);
        if (!check_settings(spec, error))
                return NULL;
        g_autoptr(LinkSocket) link = link_open(error);
        if (!link)
                return NULL;

        g_autofree char *digest = crypto_sha256_hex(spec->work_directory,
                                                    strlen(spec->work_directory));
        network->helper = spec->helper;
        network->id = g_strndup(digest, 8);
        network->table = g_strdup_printf("weir_%s", network->id);
        network->directory = g_build_filename(spec->work_directory, "network", "addresses", NULL);
        network->dns_servers = copy_list(spec->dns_servers);
        network->additional_hosts = copy_list(spec->additional_hosts);
        if (!choose_mtu(network, spec, link, error) || !choose_bridge(network, spec, link, error) ||
            !choose_pool(network, spec, link, error))
                return NULL;

        g_autofree char *base = address_text(htonl(network->base));
        network->gateway = address_text(htonl(network->base + 1));
        network->pool = g_strdup_printf("%s/%u", base, network->prefix);
        if (!choose_pool6(network, spec, error))
                return NULL;
        network->addresses = addresses_open(network->directory, htonl(network->base),
                                            network->prefix, error);
        /* The rules go first: at no time is there a bridge that nothing guards. */
        if (!network->addresses || !load_rules(network, spec, error) ||
            !make_bridge(network, link, error) ||
            !forward_packets("/proc/sys/net/ipv4/ip_forward", error) ||
            (network->pool6 && !forward_packets("/proc/sys/net/ipv6/conf/all/forwarding", error)) ||
            !start_dns(network, spec, error))
                return NULL;
        return g_steal_pointer(&network);
}

static void remove_all(Network *network) {
        g_autoptr(GError) error = NULL;
        g_autoptr(LinkSocket) link = link_open(NULL);
        g_autofree char *parent = g_path_get_dirname(network->directory);

        network_keep(network, NULL, 0);
        if (link && !link_delete(link, network->bridge, &error))
                log_error("network", "remove-bridge-failed", error, "bridge", network->bridge);
        g_clear_error(&error);
        if (!rules_remove(network->table, &error))
                log_error("network", "remove-rules-failed", error, "table", network->table);
        (void) directory_remove(parent, NULL);
}

void network_close(Network *network, bool remove) {
        if (network && remove)
                remove_all(network);
        network_free(network);
}

bool network_in_use(const Network *network) {
        g_autoptr(GPtrArray) holders = addresses_holders(network->addresses);
        return holders->len > 0;
}

const char *network_bridge(const Network *network) {
        return network->bridge;
}

const char *network_gateway(const Network *network) {
        return network->gateway;
}

const char *network_pool(const Network *network) {
        return network->pool;
}

const char *network_pool6(const Network *network) {
        return network->pool6;
}

unsigned network_mtu(const Network *network) {
        return network->mtu;
}

/* ---- containers ---- */

void network_attachment_clear(NetworkAttachment *attachment) {
        if (attachment->path)
                fd_close(attachment->fd);
        g_free(attachment->address);
        g_free(attachment->path);
        *attachment = (NetworkAttachment){ .fd = -1 };
}

/* The host's end: unique on this host through the worker's id, on the worker through the address.
 */
static char *host_name_of(const Network *network, uint32_t address) {
        return g_strdup_printf("w%.5s-%08x", network->id, ntohl(address));
}

static void remove_pair(const Network *network, uint32_t address) {
        g_autoptr(GError) error = NULL;
        g_autofree char *name = host_name_of(network, address);
        g_autoptr(LinkSocket) link = link_open(&error);
        if ((!link || !link_delete(link, name, &error)) && !error_is(error, ERROR_NOT_FOUND))
                log_error("network", "remove-interface-failed", error, "interface", name);
}

bool network_attach(Network *network, const NetworkRequest *request, NetworkAttachment *ret,
                    GError **error) {
        uint32_t address, ignored;
        int fd;
        if (!helper_id_valid(request->container)) {
                g_set_error(error, ERROR, ERROR_INVALID, "invalid handle");
                return false;
        }
        bool known = addresses_find(network->addresses, request->container, &address);
        if (!known && !addresses_take(network->addresses, request->container, &address, error))
                return false;
        if (known)
                remove_pair(network, address); /* of an attempt that a crash cut off */

        g_autofree char *host_name = host_name_of(network, address);
        g_autofree char *text = address_text(address);
        g_autofree char *text6 = network->pool6 && !request->hermetic
                                         ? address6(network, ntohl(address) - network->base)
                                         : NULL;
        HelperNetwork spec = { .host_name = host_name,
                               .bridge = request->hermetic ? NULL : network->bridge,
                               .address = text,
                               .prefix = network->prefix,
                               .gateway = network->gateway,
                               .address6 = text6,
                               .prefix6 = network->prefix6,
                               .gateway6 = text6 ? network->gateway6 : NULL,
                               .mtu = network->mtu,
                               .user_namespace = !request->privileged };
        if (!helper_network(network->helper, &spec, &fd, error)) {
                addresses_give(network->addresses, request->container, &ignored);
                return false;
        }
        ret->address = g_steal_pointer(&text);
        ret->fd = fd;
        ret->path = g_strdup_printf("/proc/%d/fd/%d", (int) getpid(), fd);
        return true;
}

void network_detach(Network *network, const char *container) {
        uint32_t address;
        /* The interface first: whoever gets the address next makes one of the same name. */
        if (!addresses_find(network->addresses, container, &address))
                return;
        remove_pair(network, address);
        addresses_give(network->addresses, container, &address);
}

void network_keep(Network *network, const char *const *containers, size_t count) {
        g_autoptr(GPtrArray) holders = addresses_holders(network->addresses);
        g_autoptr(GHashTable) kept = g_hash_table_new(g_str_hash, g_str_equal);
        for (size_t i = 0; i < count; i++)
                g_hash_table_add(kept, (char *) containers[i]);
        for (guint i = 0; i < holders->len; i++)
                if (!g_hash_table_contains(kept, holders->pdata[i]))
                        network_detach(network, holders->pdata[i]);
}

char *network_address(Network *network, const char *container) {
        uint32_t address;
        return addresses_find(network->addresses, container, &address) ? address_text(address)
                                                                       : NULL;
}

/* ---- files ---- */

/* The address this host would speak from to the world; nothing is sent. NULL when there is none. */
static char *local_address(void) {
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons(53),
                                       .sin_addr.s_addr = htonl(0x08080808) };
        socklen_t length = sizeof address;
        autofd fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof address) < 0 ||
            getsockname(fd, (struct sockaddr *) &address, &length) < 0)
                return NULL;
        return address_text(address.sin_addr.s_addr);
}

char *network_resolv_conf(Network *network, bool hermetic) {
        g_autoptr(GString) text = g_string_new(NULL);
        if (hermetic)
                return g_strdup("");
        for (size_t i = 0; network->dns_servers[i]; i++)
                g_string_append_printf(text, "nameserver %s\n", network->dns_servers[i]);
        if (network->dns)
                g_string_append_printf(text, "nameserver %s\n", network->gateway);
        if (text->len > 0)
                return g_string_free(g_steal_pointer(&text), false);
        g_autofree char *host = file_read("/etc/resolv.conf", RESOLV_CONF_MAX, NULL, NULL);
        g_autofree char *resolved = file_read("/run/systemd/resolve/resolv.conf", RESOLV_CONF_MAX,
                                              NULL, NULL);
        g_autofree char *local = local_address();
        return files_resolv_conf(host, resolved, local);
}

char *network_hosts(Network *network, const char *container, const char *address) {
        g_autoptr(GString) text = g_string_new("127.0.0.1 localhost\n");
        for (size_t i = 0; network->additional_hosts[i]; i++)
                g_string_append_printf(text, "%s\n", network->additional_hosts[i]);
        if (address)
                g_string_append_printf(text, "%s %s\n", address, container);
        return g_string_free(g_steal_pointer(&text), false);
}
