/*
 * What the files of the server share. A connection is owned by the loop's thread; handlers and
 * streams reach it through the fields under its mutex and wake the loop with connection_schedule().
 * Locks are never nested: a connection's mutex and the server's are leaves.
 */
#pragma once

#include "base/thread.h"
#include "http/chunked.h"
#include "http/server.h"
#include "http/server/buffers.h"
#include "http/server/parser.h"
#include "http/server/wheel.h"
#include "http/status.h"

/* Ceilings; http/README.md lists them all. */
#define OUTPUT_MAX ((size_t) 1024 * 1024)   /* queued for one connection */
#define OUTPUT_CROWDED ((size_t) 64 * 1024) /* the same, while OUTPUT_TOTAL_MAX is passed */
#define OUTPUT_TOTAL_MAX ((size_t) 256 * 1024 * 1024) /* queued for all */
#define INPUT_MAX ((size_t) 1024 * 1024) /* of a body, unread by its handler: stop reading */
#define INPUT_LOW ((size_t) 512 * 1024)  /* … and go on */
#define READ_SIZE ((size_t) 64 * 1024)
#define CHUNK_MAX ((size_t) 64 * 1024)
#define BODY_GATHERED ((size_t) 64 * 1024) /* shorter bodies are read before their handler starts */
#define BODY_DISCARDED                                                                             \
        65536 /* what a handler left unread and is shorter does not cost the connection */
#define LINGER_TIMEOUT (2 * DURATION_SECOND)
#define ACCEPT_PAUSE (50 * DURATION_MILLISECOND) /* after EMFILE */
#define FLUSH_TIMEOUT (DURATION_SECOND)          /* for what is queued when the server stops */

typedef struct Connection Connection;

typedef enum {
        PHASE_HEAD,     /* between requests, or in a head */
        PHASE_BODY,     /* in a body */
        PHASE_WAIT,     /* the request is whole: its answer comes first */
        PHASE_HIJACKED, /* the descriptor is its HttpSocket's */
        PHASE_LINGER,   /* all is sent: the peer closes */
        PHASE_CLOSED,
} Phase;

typedef enum { BODY_OPEN, BODY_WHOLE, BODY_CUT, BODY_MALFORMED, BODY_LATE, BODY_STOPPED } BodyState;

typedef enum { FRAME_NONE, FRAME_LENGTH, FRAME_CHUNKED, FRAME_CLOSE } Framing;

/* Under the connection's mutex: one request and its answer. */
typedef struct {
        Buffers body; /* what the handler has not read yet */
        BodyState body_state;
        int64_t body_left;   /* of a Content-Length; -1: chunked */
        bool body_paused;    /* the loop stopped reading */
        bool body_discarded; /* nobody will read it */
        bool continue_due;   /* the client waits for 100 Continue */
        bool handler_done, answer_done;
        bool must_close; /* no further request on this connection */
        bool abort;      /* cut it now */
        bool is_stream, hijack_wanted;
        Cancel *cancel; /* made when somebody asks */
} Exchange;

struct Connection {
        int references; /* atomic */
        HttpServer *server;
        char *peer; /* "127.0.0.1:4242" */

        /* The loop's alone. */
        Phase phase;
        uint32_t events; /* what epoll watches */
        bool served;     /* had a request before */
        bool muted;      /* input came that is not wanted yet: not watched until the next request */
        HeadScanner head;
        ChunkedDecoder decoder;
        HttpRequest *gathered; /* not yet with its handler: its body comes first */
        GByteArray *rest;      /* read beyond the request's end; NULL when empty */
        Buffers sending;
        char frame[24]; /* the size line of the chunk under way */
        size_t frame_length, frame_sent, chunk_left, frame_tail;
        Duration phase_deadline, write_deadline;
        WheelEntry timer;
        Connection *next, **link; /* of the server's list */

        /* Under the mutex. */
        Mutex mutex;
        Condition changed; /* any of these, for handlers */
        int fd;
        bool scheduled, closed, gone, hijacked, released;
        Buffers pending;
        size_t queued; /* pending and sending */
        Exchange exchange;
};

typedef enum { STATE_RUNNING, STATE_DRAINING, STATE_ENDING, STATE_FLUSHING } ServerState;

struct HttpServer {
        int references;      /* atomic */
        HttpServerSpec spec; /* its texts are copies */
        int listener, epoll, wakeup, spare;
        uint16_t port;
        Thread *thread;
        ThreadPool *pool;
        Cancel *cancel; /* parent of all requests' */

        /* The loop's alone. */
        Wheel wheel;
        WheelEntry accept_timer;
        bool accepting;
        ServerState seen; /* the state the loop has acted upon */
        Connection *connections_first;
        GHashTable *addresses; /* text → number of connections; NULL without that limit */
        char *buffer;          /* READ_SIZE */
        size_t connections_length;

        /* Under the mutex. */
        Mutex mutex;
        Condition idle; /* running fell to 0 */
        GPtrArray *ready;
        bool loop_ended;
        size_t running; /* handlers, queued ones too */
        Duration flush_deadline;

        /* Atomic. */
        ServerState state;
        size_t queued_bytes, streams, connections;
        uint64_t accepted, requests, refused;
};

struct HttpRequest {
        Connection *connection; /* a reference */
        RequestHead head;
        GPtrArray *query;  /* names and values in turns; NULL until asked for */
        GPtrArray *fields; /* of the answer: names and values in turns */
        int answered;
        Framing framing;
        int64_t length_left; /* FRAME_LENGTH */
        bool failed;         /* a piece did not get out: what came before is no whole answer */
        bool begun, ended;   /* of an answer that the handler writes piece by piece */
        bool taken;          /* by a stream or a hijack */
};

#define atomic_get(pointer) __atomic_load_n(pointer, __ATOMIC_SEQ_CST)
#define atomic_set(pointer, value) __atomic_store_n(pointer, value, __ATOMIC_SEQ_CST)
#define atomic_add(pointer, value) __atomic_add_fetch(pointer, value, __ATOMIC_SEQ_CST)
#define atomic_sub(pointer, value) __atomic_sub_fetch(pointer, value, __ATOMIC_SEQ_CST)

/* loop.c */
HttpServer *server_ref(HttpServer *server);
void server_free(HttpServer *server);
void server_wake(HttpServer *server);
/* Runs the handler on the pool and takes request; false when the server is ending. */
bool server_dispatch(HttpServer *server, HttpRequest *request);
void server_forget(HttpServer *server, Connection *connection); /* out of the loop's list */

/* accept.c */
bool server_listen(HttpServer *server, GError **error);
void server_accept(HttpServer *server);
void server_accept_watch(HttpServer *server, bool watch);

/* connection.c: the loop's thread, unless said otherwise */
void connection_open(HttpServer *server, int fd, char *peer); /* takes both */
Connection *connection_ref(Connection *connection);           /* any thread */
void connection_free(Connection *connection);                 /* any thread */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Connection, connection_free)
void connection_schedule(Connection *connection); /* any thread, without the mutex */
void connection_event(Connection *connection, uint32_t events);
void connection_turn(Connection *connection); /* looks at what other threads asked for */
void connection_expire(Connection *connection, Duration now);
void connection_close(Connection *connection);
void connection_watch(Connection *connection); /* tells epoll and the wheel what is waited for */
void connection_phase(Connection *connection, Phase phase, Duration timeout);
/* The client cannot get an answer any more, or does not want one: fires the exchange's token. */
void connection_gone(Connection *connection, CancelReason reason);
/* Goes on when the exchange is over: to the next request, or to the end. */
void connection_settle(Connection *connection);
void connection_next(Connection *connection);

/* input.c: the loop's thread */
void connection_input(Connection *connection);
void connection_feed(Connection *connection, const char *bytes, size_t length);
/* Answers by ourselves and closes. */
void connection_refuse(Connection *connection, int status);
void connection_body_end(Connection *connection, BodyState state);

/* output.c */
void connection_output(Connection *connection); /* the loop's thread */
/* Under the mutex, any thread: queues bytes. The caller schedules. */
void connection_append(Connection *connection, const void *bytes, size_t length, bool framed);
size_t connection_ceiling(const Connection *connection);
bool connection_drained(Connection *connection); /* the loop's thread: nothing left to send */

/* answer.c */
void append_date(GString *text);
/* Text of the answer's head. length -1: none known. Sets the request's framing and the exchange's
 * must_close. */
GString *answer_head(HttpRequest *request, int status, const char *content_type, int64_t length);
void answer_head_fields(HttpRequest *request, GString *text, const char *content_type);

/* request.c */
HttpRequest *request_new(Connection *connection, RequestHead *head); /* takes *head */
void request_free(HttpRequest *request);
void request_run(void *data);                    /* the pool's thread */
Cancel *exchange_cancel(Connection *connection); /* any thread, without the mutex */
/* Waits until the queue has room for more. */
bool connection_wait_room(Connection *connection, Cancel *cancel, GError **error);
