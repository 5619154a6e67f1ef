#include "worker/volumes/p2p.h"

#include "base/files.h"
#include "base/json.h"
#include "http/client.h"
#include "worker/volumes/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char *address_url(const struct sockaddr *address, uint16_t port) {
        char text[INET6_ADDRSTRLEN];
        const void *binary = address->sa_family == AF_INET
                                     ? (const void *) &((const struct sockaddr_in *) address)
                                               ->sin_addr
                                     : &((const struct sockaddr_in6 *) address)->sin6_addr;
        inet_ntop(address->sa_family, binary, text, sizeof text);
        return g_strdup_printf(address->sa_family == AF_INET ? "http://%s:%u" : "http://[%s]:%u",
                               text, port);
}

char *p2p_url(const char *interface_pattern, int family, uint16_t port, GError **error) {
        g_autoptr(GRegex) pattern = g_regex_new(interface_pattern, 0, 0, error);
        struct ifaddrs *all = NULL;
        const char *chosen = NULL;
        char *url = NULL;

        if (!pattern)
                return NULL;
        if (getifaddrs(&all) < 0) {
                error_set_errno(error, errno, "failed to list the network interfaces");
                return NULL;
        }
        for (const struct ifaddrs *one = all; one && !url; one = one->ifa_next) {
                if (!chosen && g_regex_match(pattern, one->ifa_name, 0, NULL))
                        chosen = one->ifa_name;
                if (chosen && strcmp(chosen, one->ifa_name) == 0 && one->ifa_addr &&
                    one->ifa_addr->sa_family == (family == 6 ? AF_INET6 : AF_INET))
                        url = address_url(one->ifa_addr, port);
        }
        freeifaddrs(all);
        if (!url)
                g_set_error(error, ERROR, ERROR_NOT_FOUND,
                            "failed to get p2p url, network interface list is empty");
        return url;
}

/* ---- sending ---- */

typedef struct {
        Volumes *volumes;
        Packing *packing;
        Cancel *cancel;
} Upload;

/* Ends the body only when the whole stream was packed: the other side takes an end for success. */
static ssize_t upload_read(void *ret, size_t length, void *data, GError **error) {
        Upload *upload = data;
        if (!cancel_poll(upload->cancel, upload->packing->fd, POLLIN, DURATION_NEVER, error))
                return -1;
        ssize_t got = read(upload->packing->fd, ret, length);
        if (got < 0) {
                error_set_errno(error, errno, "failed to read a stream");
                return -1;
        }
        if (got == 0 && !helper_job_wait(upload->packing->child, upload->cancel, error))
                return -1;
        return got;
}

static bool check_reply(const HttpReply *reply, GError **error) {
        if (reply->status == 204)
                return true;
        g_autoptr(Value) body = json_parse(reply->body, reply->length, NULL, NULL);
        const char *text = volume_error_from_value(body);
        g_set_error(error, ERROR, ERROR_UNAVAILABLE, "p2p-stream-in %d: %s", reply->status,
                    text ? text : "");
        return false;
}

bool p2p_send(Volumes *volumes, const P2pSpec *spec, GError **error) {
        VolumesStream stream = { .handle = spec->handle,
                                 .path = spec->path,
                                 .encoding = spec->encoding,
                                 .cancel = spec->cancel };
        HttpClientSpec client_spec = { .no_proxy = true };
        g_auto(HttpReply) reply = { 0 };
        Packing packing;

        if (!volumes_packing_begin(volumes, &stream, &packing, error))
                return false;
        g_autoptr(HttpClient) client = http_client_new(&client_spec);
        g_autofree char *encoding = g_strdup_printf("Content-Encoding: %s",
                                                    volume_encoding_name(spec->encoding));
        const char *headers[] = { encoding, NULL };
        Upload upload = { volumes, &packing, spec->cancel };
        HttpCall call = { .method = "PUT",
                          .url = spec->url,
                          .headers = headers,
                          .source = upload_read,
                          .data = &upload };
        bool sent = http_call(client, &call, spec->cancel, &reply, error) &&
                    check_reply(&reply, error);
        volumes_packing_drop(volumes, &packing);
        return sent;
}
