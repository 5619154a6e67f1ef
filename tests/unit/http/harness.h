/* A server with a handler for everything the tests need, and raw sockets to talk to it. */
#pragma once

#include "base/thread.h"
#include "http/server.h"

typedef struct {
        HttpServer *server;
        HttpServerSpec spec;
        /* What handlers saw. */
        Mutex mutex;
        Condition changed;
        unsigned handled, bodies_whole, bodies_cut, cancelled;
        GPtrArray *streams; /* of HttpStream */
        char *echoed;       /* what "/echo" read last */
} Harness;

/* Paths: /hello, /echo (the body), /stream, /hijack (echoes lines), /wait (until cancelled), /big?n=,
 * /pieces?n=, /ignore (answers without reading), /abort, /websocket. */
Harness *harness_new(const HttpServerSpec *spec); /* spec: without handler and data; may be NULL */
void harness_free(Harness *harness);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Harness, harness_free)
/* Waits until *counter (of harness) is at least `least`; fails the test after 10 s. */
void harness_wait(Harness *harness, const unsigned *counter, unsigned least);
/* Waits until the server has exactly so many connections. */
void harness_wait_connections(Harness *harness, uint64_t number);
static inline void harness_wait_idle(Harness *harness) {
        harness_wait_connections(harness, 0);
}

int raw_socket(const Harness *harness);
void raw_connect_socket(const Harness *harness, int fd);
int raw_connect(const Harness *harness);
void raw_send(int fd, const char *text);
void raw_send_bytes(int fd, const void *bytes, size_t length);
/* Reads until the peer closes. Returns new. */
char *raw_read_all(int fd);
/* Reads until the text is in what came; returns new, NULL when the peer closed before. */
char *raw_read_until(int fd, const char *text);
/* Connects, sends, reads to the end. Returns new. */
char *raw_exchange(const Harness *harness, const char *text);
unsigned open_descriptors(void);
