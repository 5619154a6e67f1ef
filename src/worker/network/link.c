#include "worker/network/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>

#define MESSAGE_SIZE 4096

struct LinkSocket {
        struct mnl_socket *socket;
        uint32_t sequence;
        char buffer[32768]; /* of answers; a dump comes in pieces of at most this */
};

LinkSocket *link_open(GError **error) {
        g_autoptr(LinkSocket) link = g_new0(LinkSocket, 1);
        link->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
        if (!link->socket || mnl_socket_bind(link->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
                error_set_errno(error, errno, "failed to open a netlink socket");
                return NULL;
        }
        return g_steal_pointer(&link);
}

void link_close(LinkSocket *link) {
        if (!link)
                return;
        if (link->socket)
                mnl_socket_close(link->socket);
        g_free(link);
}

/* ---- asking ---- */

/* Sends and calls each(message, data) for every answer; returns 0 or -1 with errno. */
static int talk(LinkSocket *link, struct nlmsghdr *message, mnl_cb_t each, void *data) {
        message->nlmsg_seq = ++link->sequence;
        if (mnl_socket_sendto(link->socket, message, message->nlmsg_len) < 0)
                return -1;
        for (;;) {
                ssize_t length = mnl_socket_recvfrom(link->socket, link->buffer,
                                                     sizeof link->buffer);
                if (length < 0) {
                        if (errno == EINTR)
                                continue;
                        return -1;
                }
                int more = mnl_cb_run(link->buffer, (size_t) length, link->sequence,
                                      mnl_socket_get_portid(link->socket), each, data);
                if (more <= MNL_CB_STOP)
                        return more < 0 ? -1 : 0;
        }
}

static struct ifinfomsg *link_message(char *buffer, uint16_t type, uint16_t flags) {
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        message->nlmsg_type = type;
        message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        return mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
}

static bool index_of(const char *name, unsigned *ret, GError **error) {
        unsigned index = if_nametoindex(name);
        if (index == 0) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "no network interface %s", name);
                return false;
        }
        *ret = index;
        return true;
}

/* ---- interfaces ---- */

static bool make_pair(LinkSocket *link, const LinkPair *pair, GError **error) {
        char buffer[MESSAGE_SIZE] = { 0 };
        struct nlmsghdr *message = (struct nlmsghdr *) buffer;
        unsigned bridge = 0;

        if (pair->bridge && !index_of(pair->bridge, &bridge, error))
                return false;
        struct ifinfomsg *info = link_message(buffer, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
        info->ifi_flags = bridge ? IFF_UP : 0;
        info->ifi_change = IFF_UP;
        mnl_attr_put_strz(message, IFLA_IFNAME, pair->name);
        if (pair->mtu)
                mnl_attr_put_u32(message, IFLA_MTU, pair->mtu);
        if (bridge)
                mnl_attr_put_u32(message, IFLA_MASTER, bridge);
        struct nlattr *kind = mnl_attr_nest_start(message, IFLA_LINKINFO);
        mnl_attr_put_str(message, IFLA_INFO_KIND, "veth");
        struct nlattr *data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
        struct nlattr *peer = mnl_attr_nest_start(message, VETH_INFO_PEER);
        (void) mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
        mnl_attr_put_strz(message, IFLA_IFNAME, pair->peer);
        if (pair->mtu)
                mnl_attr_put_u32(message, IFLA_MTU, pair->mtu);
        mnl_attr_put_u32(message, IFLA_NET_NS_FD, (uint32_t) pair->peer_namespace);
        mnl_attr_nest_end(message, peer);
        mnl_attr_nest_end(message, data);
        mnl_attr_nest_end(message, kind);

        if (talk(link, message, NULL, NULL) < 0) {
                if (errno == EEXIST)
                        g_set_error(error, ERROR, ERROR_EXISTS, "the interface %s exists already",
                                    pair->name);
                else
                        error_set_errno(error, errno, "failed to make the interfaces %s and %s",
                                        pair->name, pair->peer);
                return false;
        }
        return true;
}

/* The name is made of this work directory and an address that nobody holds: what has it is left over from a work
 * directory that was removed under its containers. */
bool link_pair_make(LinkSocket *link, const LinkPair *pair, GError **error) {
        g_autoptr(GError) local = NULL;

        if (make_pair(link, pair, &local))
                return true;
        if (error_is(local, ERROR_EXISTS) && link_delete(link, pair->name, NULL))
                return make_pair(link, pair, error);
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
}

bool link_bridge_make(LinkSocket *link, const char *name, const char *alias, unsigned mtu,
                      GError **error) {
        char buffer[MESSAGE_SIZE] = { 0 };
        struct nlmsghdr *message = (struct nlmsghdr *) buffer;
        /* A fixed address: by itself a bridge takes the lowest of its ports', and containers come
         * and go. Locally administered, the rest from the name. */
        uint32_t hash = g_str_hash(alias);
        uint8_t hardware[6] = { 0x0a, 0x57 };
        memcpy(hardware + 2, &hash, sizeof hash);

        (void) link_message(buffer, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
        mnl_attr_put_strz(message, IFLA_IFNAME, name);
        mnl_attr_put(message, IFLA_ADDRESS, sizeof hardware, hardware);
        if (mtu)
                mnl_attr_put_u32(message, IFLA_MTU, mtu);
        struct nlattr *kind = mnl_attr_nest_start(message, IFLA_LINKINFO);
        mnl_attr_put_str(message, IFLA_INFO_KIND, "bridge");
        mnl_attr_nest_end(message, kind);
        if (talk(link, message, NULL, NULL) < 0) {
                int error_number = errno;
                if (error_number == EEXIST)
                        g_set_error(error, ERROR, ERROR_EXISTS, "the interface %s exists", name);
                else
                        error_set_errno(error, error_number, "failed to make the bridge %s", name);
                return false;
        }

        /* The kernel takes an alias only in a change. */
        memset(buffer, 0, sizeof buffer);
        struct ifinfomsg *info = link_message(buffer, RTM_SETLINK, 0);
        info->ifi_index = (int) if_nametoindex(name);
        mnl_attr_put_str(message, IFLA_IFALIAS, alias);
        if (talk(link, message, NULL, NULL) < 0) {
                error_set_errno(error, errno, "failed to name the bridge %s", name);
                (void) link_delete(link, name, NULL);
                return false;
        }
        return true;
}

bool link_delete(LinkSocket *link, const char *name, GError **error) {
        char buffer[MESSAGE_SIZE] = { 0 };
        unsigned index;
        if (!index_of(name, &index, error))
                return false;
        link_message(buffer, RTM_DELLINK, 0)->ifi_index = (int) index;
        if (talk(link, (struct nlmsghdr *) buffer, NULL, NULL) < 0) {
                error_set_errno(error, errno == ENODEV ? ENOENT : errno,
                                "failed to remove the interface %s", name);
                return false;
        }
        return true;
}

bool link_up(LinkSocket *link, const char *name, GError **error) {
        char buffer[MESSAGE_SIZE] = { 0 };
        unsigned index;
        if (!index_of(name, &index, error))
                return false;
        struct ifinfomsg *info = link_message(buffer, RTM_NEWLINK, 0);
        info->ifi_index = (int) index;
        info->ifi_flags = info->ifi_change = IFF_UP;
        if (talk(link, (struct nlmsghdr *) buffer, NULL, NULL) < 0) {
                error_set_errno(error, errno, "failed to bring the interface %s up", name);
                return false;
        }
        return true;
}

/* ---- addresses and routes ---- */

static uint32_t prefix_mask(unsigned prefix) {
        return prefix == 0 ? 0 : htonl(UINT32_MAX << (32 - prefix));
}

typedef struct {
        unsigned char family;
        unsigned char bytes[sizeof(struct in6_addr)];
        size_t length;
} Address;

static Address address_parse(const char *text) {
        Address address = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };
        address.length = address.family == AF_INET6 ? sizeof(struct in6_addr)
                                                    : sizeof(struct in_addr);
        g_assert(inet_pton(address.family, text, address.bytes) == 1);
        return address;
}

static void put_broadcast(struct nlmsghdr *message, const Address *address, unsigned prefix) {
        uint32_t number;
        if (address->family != AF_INET)
                return;
        memcpy(&number, address->bytes, sizeof number);
        mnl_attr_put_u32(message, IFA_BROADCAST, number | ~prefix_mask(prefix));
}

bool link_address_add(LinkSocket *link, const char *name, const char *text, unsigned prefix,
                      GError **error) {
        Address address = address_parse(text);
        char buffer[MESSAGE_SIZE] = { 0 };
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        unsigned index;
        if (!index_of(name, &index, error))
                return false;

        message->nlmsg_type = RTM_NEWADDR;
        message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        struct ifaddrmsg *info = mnl_nlmsg_put_extra_header(message, sizeof *info);
        *info = (struct ifaddrmsg){ .ifa_family = address.family,
                                    .ifa_prefixlen = (uint8_t) prefix,
                                    .ifa_flags = address.family == AF_INET6 ? IFA_F_NODAD : 0,
                                    .ifa_index = index };
        mnl_attr_put(message, IFA_LOCAL, address.length, address.bytes);
        mnl_attr_put(message, IFA_ADDRESS, address.length, address.bytes);
        put_broadcast(message, &address, prefix);
        if (talk(link, message, NULL, NULL) < 0 && errno != EEXIST) {
                error_set_errno(error, errno, "failed to give %s its address", name);
                return false;
        }
        return true;
}

bool link_route_default(LinkSocket *link, const char *name, const char *gateway, GError **error) {
        Address address = address_parse(gateway);
        char buffer[MESSAGE_SIZE] = { 0 };
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        unsigned index;
        if (!index_of(name, &index, error))
                return false;

        message->nlmsg_type = RTM_NEWROUTE;
        message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
        struct rtmsg *info = mnl_nlmsg_put_extra_header(message, sizeof *info);
        *info = (struct rtmsg){ .rtm_family = address.family,
                                .rtm_table = RT_TABLE_MAIN,
                                .rtm_protocol = RTPROT_STATIC,
                                .rtm_scope = RT_SCOPE_UNIVERSE,
                                .rtm_type = RTN_UNICAST,
                                /* IPv6 has no route to its own link before that has a carrier. */
                                .rtm_flags = address.family == AF_INET6 ? RTNH_F_ONLINK : 0 };
        mnl_attr_put(message, RTA_GATEWAY, address.length, address.bytes);
        mnl_attr_put_u32(message, RTA_OIF, index);
        if (talk(link, message, NULL, NULL) < 0) {
                error_set_errno(error, errno, "failed to set the default route of %s", name);
                return false;
        }
        return true;
}

/* ---- looking ---- */

typedef struct {
        const char *name; /* interface left out, or prefix of names */
        uint32_t network;
        unsigned prefix;
        unsigned index;
        unsigned mtu;
        char *alias;
        Address address; /* sought */
        bool taken;
        GPtrArray *names;
} Look;

static int read_link(const struct nlmsghdr *message, void *data) {
        Look *look = data;
        struct nlattr *attribute;
        const char *name = "", *alias = "";
        mnl_attr_for_each(attribute, message, sizeof(struct ifinfomsg)) {
                uint16_t type = mnl_attr_get_type(attribute);
                if (type == IFLA_IFNAME)
                        name = mnl_attr_get_str(attribute);
                else if (type == IFLA_IFALIAS)
                        alias = mnl_attr_get_str(attribute);
                else if (type == IFLA_MTU)
                        look->mtu = mnl_attr_get_u32(attribute);
        }
        if (look->names) {
                if (g_str_has_prefix(name, look->name))
                        g_ptr_array_add(look->names, g_strdup(name));
        } else {
                g_free(look->alias);
                look->alias = g_strdup(alias);
        }
        return MNL_CB_OK;
}

static int get_link(LinkSocket *link, unsigned index, Look *look) {
        char buffer[MESSAGE_SIZE] = { 0 };
        link_message(buffer, RTM_GETLINK, 0)->ifi_index = (int) index;
        return talk(link, (struct nlmsghdr *) buffer, read_link, look);
}

char *link_alias(LinkSocket *link, const char *name, GError **error) {
        Look look = { 0 };
        unsigned index;
        if (!index_of(name, &index, error))
                return NULL;
        if (get_link(link, index, &look) < 0 || !look.alias) {
                error_set_errno(error, errno, "failed to look at the interface %s", name);
                return NULL;
        }
        return look.alias;
}

unsigned link_mtu(LinkSocket *link, unsigned index) {
        Look look = { 0 };
        (void) get_link(link, index, &look);
        g_free(look.alias);
        return look.mtu;
}

/* Asks for everything of one kind: links, addresses or routes. */
static void dump(LinkSocket *link, uint16_t type, unsigned char family, mnl_cb_t each, Look *look) {
        char buffer[MESSAGE_SIZE] = { 0 };
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        message->nlmsg_type = type;
        message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
        struct rtmsg *info = mnl_nlmsg_put_extra_header(message, sizeof *info);
        info->rtm_family = family;
        (void) talk(link, message, each, look);
}

GPtrArray *link_names(LinkSocket *link, const char *prefix) {
        Look look = { .name = prefix, .names = g_ptr_array_new_with_free_func(g_free) };
        dump(link, RTM_GETLINK, AF_UNSPEC, read_link, &look);
        return look.names;
}

static int read_default(const struct nlmsghdr *message, void *data) {
        Look *look = data;
        const struct rtmsg *info = mnl_nlmsg_get_payload(message);
        struct nlattr *attribute;
        if (info->rtm_dst_len != 0 || info->rtm_type != RTN_UNICAST || look->index)
                return MNL_CB_OK;
        mnl_attr_for_each(attribute, message,
                          sizeof *info) if (mnl_attr_get_type(attribute) == RTA_OIF)
                look->index = mnl_attr_get_u32(attribute);
        return MNL_CB_OK;
}

unsigned link_default(LinkSocket *link) {
        Look look = { 0 };
        dump(link, RTM_GETROUTE, AF_INET, read_default, &look);
        return look.index;
}

static int read_owner(const struct nlmsghdr *message, void *data) {
        Look *look = data;
        const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
        struct nlattr *attribute;
        /* With a peer, IPv4's IFA_ADDRESS is the other end's. */
        uint16_t own = look->address.family == AF_INET ? IFA_LOCAL : IFA_ADDRESS;
        mnl_attr_for_each(attribute, message, sizeof *info) {
                if (mnl_attr_get_type(attribute) == own &&
                    mnl_attr_get_payload_len(attribute) == look->address.length &&
                    memcmp(mnl_attr_get_payload(attribute), look->address.bytes,
                           look->address.length) == 0)
                        look->index = info->ifa_index;
        }
        return MNL_CB_OK;
}

unsigned link_owner(LinkSocket *link, const char *address) {
        Look look = { .address = address_parse(address) };
        dump(link, RTM_GETADDR, look.address.family, read_owner, &look);
        return look.index;
}

static void note_overlap(Look *look, uint32_t network, unsigned prefix, unsigned index) {
        uint32_t mask = prefix_mask(MIN(prefix, look->prefix));
        if (index != look->index && (network & mask) == (look->network & mask))
                look->taken = true;
}

static int read_address(const struct nlmsghdr *message, void *data) {
        const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
        struct nlattr *attribute;
        mnl_attr_for_each(attribute, message,
                          sizeof *info) if (mnl_attr_get_type(attribute) == IFA_LOCAL)
                note_overlap(data, mnl_attr_get_u32(attribute), info->ifa_prefixlen,
                             info->ifa_index);
        return MNL_CB_OK;
}

static int read_route(const struct nlmsghdr *message, void *data) {
        const struct rtmsg *info = mnl_nlmsg_get_payload(message);
        struct nlattr *attribute;
        uint32_t network = 0;
        unsigned index = 0;
        mnl_attr_for_each(attribute, message, sizeof *info) {
                if (mnl_attr_get_type(attribute) == RTA_DST)
                        network = mnl_attr_get_u32(attribute);
                else if (mnl_attr_get_type(attribute) == RTA_OIF)
                        index = mnl_attr_get_u32(attribute);
        }
        if (info->rtm_type == RTN_UNICAST && info->rtm_dst_len > 0 && index > 0)
                note_overlap(data, network, info->rtm_dst_len, index);
        return MNL_CB_OK;
}

bool link_network_taken(LinkSocket *link, const char *name, uint32_t network, unsigned prefix) {
        Look look = { .network = network, .prefix = prefix, .index = if_nametoindex(name) };
        dump(link, RTM_GETADDR, AF_INET, read_address, &look);
        dump(link, RTM_GETROUTE, AF_INET, read_route, &look);
        return look.taken;
}
