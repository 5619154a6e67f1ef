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

/* Containers have no IPv6 beyond their link, so a restricted IPv6 network needs no rule. */
static char *set_elements(const char *const *networks) {
        g_autoptr(GString) text = g_string_new(NULL);
        for (size_t i = 0; networks && networks[i]; i++)
                if (!strchr(networks[i], ':'))
                        g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "",
                                               networks[i]);
        if (text->len == 0)
                return g_strdup("");
        return g_strdup_printf("elements = { %s }", text->str);
}

char *rules_text(const RulesSpec *spec) {
        g_autofree char *elements = set_elements(spec->restricted);
        g_autofree char *host = NULL;

        if (spec->allow_host_access)
                host = g_strdup("");
        else
                host = g_strdup_printf("                ip daddr %s icmp type echo-request accept\n"
                                       "                meta nfproto ipv4 reject with icmp type "
                                       "host-prohibited\n"
                                       "                reject\n",
                                       spec->gateway);
        /* Empty, deleted, made anew: works whether or not it is there, and at once. */
        return g_strdup_printf("table inet %s {}\n"
                               "delete table inet %s\n"
                               "table inet %s {\n"
                               "        set restricted {\n"
                               "                type ipv4_addr\n"
                               "                flags interval\n"
                               "                auto-merge\n"
                               "                %s\n"
                               "        }\n"
                               "        chain forward {\n"
                               "                type filter hook forward priority filter\n"
                               "                iifname != \"%s\" accept\n"
                               "                ct state established,related accept\n"
                               "                ip daddr @restricted reject\n"
                               "        }\n"
                               "        chain input {\n"
                               "                type filter hook input priority filter\n"
                               "                iifname != \"%s\" accept\n"
                               "                ct state established,related accept\n"
                               "%s"
                               "        }\n"
                               "        chain postrouting {\n"
                               "                type nat hook postrouting priority srcnat\n"
                               "                ip saddr %s oifname != \"%s\" masquerade\n"
                               "        }\n"
                               "}\n",
                               spec->table, spec->table, spec->table, elements, spec->bridge,
                               spec->bridge, host, spec->pool, spec->bridge);
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
