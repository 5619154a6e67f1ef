/* A WebSocket (RFC 6455), client side: over TLS and through proxies as every call of the HTTP client. */
#pragma once

#include "http/client.h"

/*
 * One thread, which polls: the descriptor for POLLIN, and for POLLOUT while something is queued. Messages
 * are text. Pings are answered, other control frames and binary messages mean nothing to us.
 */
typedef struct WebSocketClient WebSocketClient;

/*
 * Connects and shakes hands. url is http or https; of the call only url and headers are looked at.
 * Any answer but 101: ERROR_PROTOCOL "websocket: bad handshake", and *ret_status tells which (else 0).
 * ERROR_UNAVAILABLE: no server there.
 */
WebSocketClient *websocket_connect(HttpClient *client, const HttpCall *call, int *ret_status,
                                   GError **error);
void websocket_client_free(WebSocketClient *socket); /* closes; accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WebSocketClient, websocket_client_free)

int websocket_client_fd(const WebSocketClient *socket);
size_t websocket_client_queued(const WebSocketClient *socket); /* bytes that wait to be written */

/* Queue and write what can be written now. ERROR_UNAVAILABLE: the connection is lost. */
bool websocket_client_send(WebSocketClient *socket, const char *text, size_t length,
                           GError **error);
bool websocket_client_ping(WebSocketClient *socket, GError **error);
bool websocket_client_flush(WebSocketClient *socket, GError **error);

/*
 * Takes a message, at most 4 MiB, if one is all there: *ret_text is new, or NULL when there is none yet. To be called until
 * there is none: the descriptor does not tell of what TLS has decoded already.
 * ERROR_UNAVAILABLE: the server closed the connection, with a close frame or without. ERROR_PROTOCOL.
 */
bool websocket_client_receive(WebSocketClient *socket, char **ret_text, size_t *ret_length,
                              GError **error);
