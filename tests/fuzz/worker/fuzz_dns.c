#include "worker/network/dns.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a container or a resolver sends: the failure of any query is an answer to it, and no longer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree unsigned char *failure = g_malloc(size + 1);
        g_autofree char *text = g_strndup((const char *) data, size);
        size_t length = dns_failure(data, size, failure);

        g_assert(length <= size);
        g_assert(!dns_is_query(data, size) || length > 0);
        g_assert(length == 0 || dns_is_answer(data, size, failure, length));
        if (g_utf8_validate(text, -1, NULL)) {
                g_autoptr(GPtrArray) servers = dns_servers_parse(text);
                for (guint i = 0; i < servers->len; i++)
                        g_assert(*(const char *) servers->pdata[i]);
        }
        return 0;
}
