/*
 * The HTTP server: strict, bounded, an I/O loop that only moves bytes and handlers that may block.
 * The structure and its reasons: http/README.md.
 */
#pragma once

#include "base/cancel.h"
#include "base/value.h"

typedef struct HttpServer HttpServer;
typedef struct HttpRequest
        HttpRequest; /* belongs to the handler's thread until it is answered or taken over */

typedef void (*HttpHandler)(HttpRequest *request, void *data);

typedef struct {
        const char *address;   /* "127.0.0.1"; NULL with unix_path */
        uint16_t port;         /* 0: any; see http_server_port */
        const char *unix_path; /* instead: a socket file, made with unix_mode */
        int unix_mode;
        int listener;        /* > 0: an inherited listening socket instead; taken */
        HttpHandler handler; /* runs on a pool thread for every request */
        void *data;
        size_t body_max;                    /* of buffered bodies; 0: 10 MiB */
        size_t threads_max;                 /* handlers at once; 0: 256 */
        size_t connections_max;             /* 0: 10 000 */
        size_t connections_max_per_address; /* 0: no limit */
        Duration header_timeout;            /* 0: 10 s */
        Duration idle_timeout;              /* 0: 120 s */
        Duration progress_timeout;          /* of body and write; 0: 60 s */
        const char *name;                   /* of the threads */
} HttpServerSpec;

/* Binds and starts. Returns new, or NULL with ERROR_EXISTS "listen tcp 127.0.0.1:8080: bind:
 * address already in use", ERROR_DENIED, ERROR_IO. */
HttpServer *http_server_start(const HttpServerSpec *spec, GError **error);
uint16_t http_server_port(const HttpServer *server);
/* Stops accepting, answers with Connection: close, waits for running handlers up to deadline
 * (monotonic from now), then fires their cancel tokens and ends streams. Then frees. */
void http_server_stop(HttpServer *server, Duration grace);

typedef struct {
        uint64_t accepted, requests, refused;        /* since start */
        uint64_t connections, streams, queued_bytes; /* now */
} HttpServerStats;
void http_server_stats(HttpServer *server, HttpServerStats *ret);

/* ---- the request; text is borrowed and lives as long as the request ---- */

const char *http_method(const HttpRequest *request);
const char *http_path(const HttpRequest *request); /* raw, without query: "/api/v1/teams/a%2Fb" */
/* Pieces of the path between slashes, each decoded as forms are: '+' is a space (reference 01 §1.2,
 * 06 §3.1). "/" has none. */
size_t http_segments(const HttpRequest *request);
const char *http_segment(const HttpRequest *request, size_t index); /* NULL beyond the end */
const char *http_query_raw(const HttpRequest *request);             /* "" when absent */
const char *http_query(const HttpRequest *request,
                       const char *name); /* first value, form-decoded; NULL when absent */
size_t http_query_count(const HttpRequest *request); /* all pairs in order */
const char *http_query_name_at(const HttpRequest *request, size_t index);
const char *http_query_value_at(const HttpRequest *request, size_t index);
const char *http_header(const HttpRequest *request,
                        const char *name);         /* first value; any case; NULL when absent */
const char *http_peer(const HttpRequest *request); /* "127.0.0.1:4242", "" on a unix socket */
char *http_cookie(const HttpRequest *request, const char *name); /* returns new; NULL when absent */
/* Fires when the client goes away or the server stops. Owned by the request. */
Cancel *http_request_cancel(HttpRequest *request);

/* ---- the body ---- */

/* Blocks for the next bytes, at most length. Returns 0 at its complete end, -1 with ERROR_PROTOCOL
 * when it was cut off, ERROR_TIMEOUT. */
ssize_t http_body_read(HttpRequest *request, void *ret, size_t length, GError **error);
/* All of it, at most limit (0: the server's body_max): ERROR_LIMIT. Returns new, NUL-terminated.
 * Answer 413 yourself. */
char *http_body(HttpRequest *request, size_t limit, size_t *ret_length, GError **error);

/* ---- answering: exactly one of these for each request ---- */

/* Before any of the answers: sets or replaces a header of the answer. */
void http_header_set(HttpRequest *request, const char *name, const char *value);
void http_header_add(HttpRequest *request, const char *name, const char *value);

/* A whole answer; body is copied (length 0 and NULL: empty). content_type NULL: none. HEAD and
 * 204/304 drop the body. gzip when asked for and JSON or text over 1 KiB. */
void http_answer(HttpRequest *request, int status, const char *content_type, const void *body,
                 size_t length);
void http_answer_text(HttpRequest *request, int status,
                      const char *text); /* "text/plain; charset=utf-8" */
void http_answer_json(HttpRequest *request, int status,
                      const Value *value); /* as Go's Encoder: compact, HTML-escaped, newline at the
                                              end; "application/json" */

/* A body of unknown length, written by this handler; blocks at the ceiling. Chunked, or until close
 * for 1.0. */
void http_answer_begin(HttpRequest *request, int status, const char *content_type);
bool http_answer_write(HttpRequest *request, const void *data, size_t length, GError **error);
void http_answer_end(HttpRequest *request);
/* Instead of _end when the body cannot be finished: the connection is cut so that nobody takes it
 * for whole. */
void http_answer_abort(HttpRequest *request);

/* What the handler answered (0: nothing yet), for logs and metrics. */
int http_answered(const HttpRequest *request);

/* ---- streams that outlive the handler: any thread may push ---- */

typedef struct HttpStream HttpStream; /* reference counted */

/* Sends the headers and hands the connection's output over. content_type e.g. "text/event-stream;
 * charset=utf-8". */
HttpStream *http_stream_begin(HttpRequest *request, int status, const char *content_type);
HttpStream *http_stream_ref(HttpStream *stream);
void http_stream_free(HttpStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpStream, http_stream_free)
/* Appends without blocking. false: the client is gone or did not read and was dropped at the
 * ceiling. */
bool http_stream_push(HttpStream *stream, const void *data, size_t length);
/* Appends, and blocks while the ceiling is reached. */
bool http_stream_write(HttpStream *stream, const void *data, size_t length, Cancel *cancel,
                       GError **error);
/* Bytes queued now: a producer that can wait should, above some 64 KiB. */
size_t http_stream_queued(HttpStream *stream);
void http_stream_end(HttpStream *stream);       /* complete */
Cancel *http_stream_cancel(HttpStream *stream); /* fires when the client goes away */

/* ---- hijack: the raw connection, from this handler's thread and its helpers ---- */

typedef struct HttpSocket HttpSocket;
/* Sends the status line and headers (none of ours added but Date; content_type may be NULL) and
 * hands over the socket, blocking, with what was over-read. Taken out of the loop; counts as a
 * connection until freed. */
HttpSocket *http_hijack(HttpRequest *request, int status, const char *content_type);
ssize_t http_socket_read(HttpSocket *socket, void *ret, size_t length, Cancel *cancel,
                         GError **error); /* 0: closed by the peer */
bool http_socket_write(HttpSocket *socket, const void *data, size_t length, Cancel *cancel,
                       GError **error);
/* How long a write waits for the peer to read; DURATION_NEVER: as long as it takes. */
void http_socket_set_patience(HttpSocket *socket, Duration patience);
int http_socket_fd(HttpSocket *socket); /* for poll(); look at http_socket_pending first */
size_t http_socket_pending(HttpSocket *socket);
void http_socket_free(HttpSocket *socket); /* closes */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpSocket, http_socket_free)

/* ---- WebSocket, RFC 6455, server side, on a hijacked connection ---- */

typedef struct WebSocket WebSocket;
typedef enum { WEBSOCKET_TEXT = 1, WEBSOCKET_BINARY = 2, WEBSOCKET_CLOSE = 8 } WebSocketKind;
/* Answers 101, or answers 400/403/426 itself and returns NULL with the error. allowed_origin NULL:
 * any; else the request's Origin must match it or be absent. */
WebSocket *websocket_accept(HttpRequest *request, const char *allowed_origin, GError **error);
/* One whole message (fragments joined, pings answered), at most 1 MiB; WEBSOCKET_CLOSE at the end.
 * data is new. */
bool websocket_read(WebSocket *socket, WebSocketKind *ret_kind, char **ret_data, size_t *ret_length,
                    Cancel *cancel, GError **error);
bool websocket_write(WebSocket *socket, WebSocketKind kind, const void *data, size_t length,
                     GError **error); /* any thread */
/* From now on writes wait as long as the client takes, or until cancel (borrowed) fires: for clients that a person may
 * hold up. Before any other thread writes. */
void websocket_wait_for_client(WebSocket *socket, Cancel *cancel);
int websocket_fd(WebSocket *socket); /* for poll(): POLLRDHUP */
void websocket_close(WebSocket *socket, int code, const char *reason);
/* Ends the connection without a close frame, but not before the client has read what was written: it is given `patience`
 * to close its side. What it still sends is dropped. */
void websocket_drain(WebSocket *socket, Duration patience);
void websocket_free(WebSocket *socket);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WebSocket, websocket_free)
