/* What the client's files share. */
#pragma once

#include "base/thread.h"
#include "http/client.h"

#include <curl/curl.h>

struct HttpClient {
        HttpClientSpec spec; /* its texts are copies; constant */
        Mutex mutex;
        GPtrArray *idle; /* multi handles nobody uses now */
};

/* What every connection of this client has in common: timeouts, TLS, proxies. */
void client_set_up(CURL *easy, const HttpClientSpec *spec);
/* The lines of an answer's head, the empty one not included: fills status and headers (a list that exists).
 * ERROR_PROTOCOL. */
bool client_parse_head(const char *text, HttpReply *ret, GError **error);
