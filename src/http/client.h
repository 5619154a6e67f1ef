/* The HTTP client: libcurl's multi interface, every call cancellable at any moment. */
#pragma once

#include "base/cancel.h"
#include "base/value.h"

typedef struct HttpClient HttpClient; /* keeps connections; any thread */

typedef struct {
        const char *unix_path;     /* all connections go to this socket */
        Duration connect_timeout;  /* 0: 30 s */
        Duration response_timeout; /* until the first byte of the answer; 0: none */
        Duration total_timeout;    /* 0: none */
        Duration stall_timeout;    /* without a byte either way, whole seconds; 0: none */
        bool insecure;             /* accept any TLS certificate */
        const char *ca_file;
        const char *client_certificate, *client_key;
        const char *user_agent;
        bool no_proxy; /* ignore the proxy variables */
        bool follow;   /* redirects, at most 10, as Go's client */
} HttpClientSpec;

HttpClient *http_client_new(const HttpClientSpec *spec);
void http_client_free(HttpClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpClient, http_client_free)

/* Fills at most length bytes. Returns their number, 0 at the end, -1 with an error (the call then
 * fails with it). May block on cancel-aware things. */
typedef ssize_t (*HttpSource)(void *ret, size_t length, void *data, GError **error);
/* Takes a piece of the body. false with an error ends the call with it. May block. */
typedef bool (*HttpSink)(const void *bytes, size_t length, void *data, GError **error);
/* Told once the status and headers are known, before any body; false ends the call. */
typedef struct HttpReply HttpReply;
typedef bool (*HttpHead)(const HttpReply *reply, void *data, GError **error);

typedef struct {
        const char *method;         /* "GET" */
        const char *url;            /* "http://127.0.0.1:7777/containers" */
        const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
        const void *body;           /* or */
        size_t body_length;
        HttpSource source;     /* streamed, chunked (or source_length) */
        int64_t source_length; /* 0: chunked */
        HttpSink sink;         /* NULL: the body is collected in the reply */
        HttpHead head;         /* may be NULL */
        void *data;            /* for source, sink and head */
        size_t reply_max;      /* of a collected body; 0: 16 MiB; ERROR_LIMIT beyond */
        bool repeatable; /* a POST that may reach the server twice: kept connections will do */
} HttpCall;

struct HttpReply {
        int status;
        GPtrArray *headers; /* of "Name: value" */
        char *body;         /* collected, NUL-terminated */
        size_t length;
};
void http_reply_clear(HttpReply *reply);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HttpReply, http_reply_clear)
const char *http_reply_header(const HttpReply *reply,
                              const char *name); /* any case; NULL when absent */

/* Any status is success. Fails with ERROR_UNAVAILABLE (refused, reset, not resolved),
 * ERROR_TIMEOUT, ERROR_CANCELLED, ERROR_LIMIT, ERROR_PROTOCOL or what a callback said. */
bool http_call(HttpClient *client, const HttpCall *call, Cancel *cancel, HttpReply *ret,
               GError **error);

/*
 * Sends the request on a connection of its own and, after the answer's header, takes the raw
 * connection over (Garden's process streams, reference 06 §3.6). *ret_fd is the caller's; *ret_rest
 * are bytes read beyond the header (may be NULL when 0). An answer that is not 2xx or 101: its body
 * is collected, true is returned and *ret_fd is -1. The descriptor is in blocking mode; body, not
 * source, is sent; https is ERROR_UNSUPPORTED.
 */
bool http_take_over(HttpClient *client, const HttpCall *call, Cancel *cancel, HttpReply *ret,
                    int *ret_fd, char **ret_rest, size_t *ret_rest_length, GError **error);
