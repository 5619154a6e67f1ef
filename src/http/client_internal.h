/* What the client's files share. */
#pragma once

#include "base/thread.h"
#include "http/client.h"

struct HttpClient {
        HttpClientSpec spec; /* its texts are copies; constant */
        Mutex mutex;
        GPtrArray *idle; /* multi handles nobody uses now */
};
