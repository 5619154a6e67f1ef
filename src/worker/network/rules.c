#include "worker/network/rules.h"

#include "base/child.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* Of nft's complaints. */
#define OUTPUT_MAX (64 * 1024)

bool rules_network_valid(const char *text) {
        g_auto(GStrv) parts = g_strsplit(text, "/", 2);
        unsigned char address[sizeof(struct in6_addr)];
        int family = strchr(text, ':') ? AF_INET6 : AF_INET;
        if (!parts[0] || inet_pton(family, parts[0], address) != 1)
                return false;
        if (!parts[1])
                return true;
        size_t digits = strlen(parts[1]);
        return digits >= 1 && digits <= 3 && strspn(parts[1], "0123456789") == digits &&
               atoi(parts[1]) <= (family == AF_INET6 ? 128 : 32);
}

/* The networks of one family. */
static void add_set(GString *text, const char *name, const char *type, bool v6,
                    const char *const *networks) {
        const char *separator = "elements = { ";
        g_string_append_printf(text,
                               "        set %s {\n"
                               "                type %s\n"
                               "                flags interval\n"
                               "                auto-merge\n"
                               "                ",
                               name, type);
        for (size_t i = 0; networks && networks[i]; i++)
                if ((strchr(networks[i], ':') != NULL) == v6) {
                        g_string_append_printf(text, "%s%s", separator, networks[i]);
                        separator = ", ";
                }
        g_string_append_printf(text, "%s\n        }\n", *separator == ',' ? " }" : "");
}

static void add_forward(GString *text, const RulesSpec *spec) {
        g_string_append_printf(text,
                               "        chain forward {\n"
                               "                type filter hook forward priority filter\n"
                               "                iifname != \"%s\" accept\n"
                               "                ct state established,related accept\n"
                               "                ip daddr @restricted reject\n"
                               "                ip6 daddr @restricted6 reject\n"
                               "        }\n",
                               spec->bridge);
}

static void add_dns(GString *text, const char *family, const char *gateway) {
        g_string_append_printf(text,
                               "                %s daddr %s meta l4proto { tcp, udp } "
                               "th dport 53 accept\n",
                               family, gateway);
}

/* What containers may ask of the host: an echo of its bridge, neighbours of IPv6, and what was allowed. */
static void add_input(GString *text, const RulesSpec *spec) {
        g_string_append_printf(text,
                               "        chain input {\n"
                               "                type filter hook input priority filter\n"
                               "                iifname != \"%s\" accept\n"
                               "                ct state established,related accept\n",
                               spec->bridge);
        if (!spec->allow_host_access) {
                g_string_append_printf(
                        text, "                ip daddr %s icmp type echo-request accept\n",
                        spec->gateway);
                if (spec->dns)
                        add_dns(text, "ip", spec->gateway);
                if (spec->gateway6)
                        g_string_append_printf(
                                text,
                                "                icmpv6 type { nd-neighbor-solicit, "
                                "nd-neighbor-advert } accept\n"
                                "                ip6 daddr %s icmpv6 type echo-request accept\n",
                                spec->gateway6);
                if (spec->dns && spec->gateway6)
                        add_dns(text, "ip6", spec->gateway6);
                g_string_append(text, "                meta nfproto ipv4 reject with icmp type "
                                      "host-prohibited\n"
                                      "                reject\n");
        }
        g_string_append(text, "        }\n");
}

static void add_postrouting(GString *text, const RulesSpec *spec) {
        g_string_append_printf(text,
                               "        chain postrouting {\n"
                               "                type nat hook postrouting priority srcnat\n"
                               "                ip saddr %s oifname != \"%s\" masquerade\n",
                               spec->pool, spec->bridge);
        if (spec->pool6 && spec->masquerade6)
                g_string_append_printf(
                        text, "                ip6 saddr %s oifname != \"%s\" masquerade\n",
                        spec->pool6, spec->bridge);
        g_string_append(text, "        }\n");
}

char *rules_text(const RulesSpec *spec) {
        GString *text = g_string_new(NULL);
        /* Empty, deleted, made anew: works whether or not it is there, and at once. */
        g_string_append_printf(text, "table inet %s {}\ndelete table inet %s\ntable inet %s {\n",
                               spec->table, spec->table, spec->table);
        add_set(text, "restricted", "ipv4_addr", false, spec->restricted);
        add_set(text, "restricted6", "ipv6_addr", true, spec->restricted);
        add_forward(text, spec);
        add_input(text, spec);
        add_postrouting(text, spec);
        g_string_append(text, "}\n");
        return g_string_free(text, false);
}

static bool run_nft(const char *text, GError **error) {
        static const char *const argv[] = { "nft", "-f", "-", NULL };
        ChildSpec spec = { .argv = argv, .input = -1, .output = -1, .error = -1 };
        g_auto(ChildResult) result = { 0 };

        if (!child_run(&spec, text, strlen(text), OUTPUT_MAX, NULL, &result, error)) {
                g_prefix_error(error, "failed to set up the containers' network with nft: ");
                return false;
        }
        if (result.status == 0)
                return true;
        g_set_error(error, ERROR, ERROR_IO, "nft refused the containers' rules: %s",
                    g_strstrip(result.error));
        return false;
}

bool rules_load(const char *text, GError **error) {
        return run_nft(text, error);
}

bool rules_remove(const char *table, GError **error) {
        g_autofree char *text = g_strdup_printf("table inet %s {}\ndelete table inet %s\n", table,
                                                table);
        return run_nft(text, error);
}
