#include "worker/network/files.h"

#include <arpa/inet.h>
#include <string.h>

typedef struct {
        GString *kept; /* everything but servers on the loopback */
        bool server;   /* one is left */
        bool loopback; /* one was dropped */
} Scan;

static bool is_loopback(const char *server) {
        struct in_addr address;
        if (strcmp(server, "::1") == 0)
                return true;
        return inet_pton(AF_INET, server, &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

static void scan_line(Scan *scan, char *line) {
        g_strstrip(line);
        if (!g_str_has_prefix(line, "nameserver")) {
                g_string_append_printf(scan->kept, "%s\n", line);
                return;
        }
        char *server = g_strstrip(line + strlen("nameserver"));
        if (is_loopback(server)) {
                scan->loopback = true;
                return;
        }
        scan->server = true;
        g_string_append_printf(scan->kept, "nameserver %s\n", server);
}

static Scan scan_text(const char *text) {
        Scan scan = { .kept = g_string_new(NULL) };
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        for (size_t i = 0; lines[i]; i++)
                if (lines[i + 1] || *lines[i])
                        scan_line(&scan, lines[i]);
        return scan;
}

char *files_resolv_conf(const char *host, const char *resolved, const char *local) {
        Scan own = scan_text(host ? host : "");
        if (!own.server && own.loopback) {
                Scan other = scan_text(resolved ? resolved : "");
                if (other.server) {
                        g_string_free(own.kept, true);
                        return g_string_free(other.kept, false);
                }
                g_string_free(other.kept, true);
                if (local)
                        g_string_append_printf(own.kept, "nameserver %s\n", local);
        }
        return g_string_free(own.kept, false);
}

bool files_host_entry_check(const char *entry, GError **error) {
        g_auto(GStrv) parts = g_strsplit_set(entry, " \t", -1);
        unsigned char address[sizeof(struct in6_addr)];
        const char *fields[2] = { NULL, NULL };
        size_t count = 0;

        for (size_t i = 0; parts[i] && count < G_N_ELEMENTS(fields); i++)
                if (*parts[i])
                        fields[count++] = parts[i];
        if (count < 2 || strchr(entry, '\n')) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "invalid host entry \"%s\": must have IP and hostname separated by a "
                            "space",
                            entry);
                return false;
        }
        if (inet_pton(AF_INET, fields[0], address) != 1 &&
            inet_pton(AF_INET6, fields[0], address) != 1) {
                g_set_error(error, ERROR, ERROR_INVALID, "invalid IP in host entry: \"%s\"",
                            fields[0]);
                return false;
        }
        return true;
}
