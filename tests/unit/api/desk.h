/* A server of the API over a real store, and somebody who asks it. */
#pragma once

#include "../store/house.h"

#include "api/api.h"
#include "http/client.h"
#include "http/server.h"

typedef struct {
        Auth *auth;
        Pool *pool;
        Api *api;
        HttpServer *server;
        HttpClient *client;
        char *cli_directory; /* of fly downloads, empty */
} Desk;

/*
 * Opens the desk on a house with the pipeline "p" in team "t". Tokens: "viewer", "member" of t, "admin", "system" of a worker.
 * The external URL is http://ci.
 */
void desk_open(Desk *desk, House *house);
void desk_close(Desk *desk);
char *desk_url(const Desk *desk, const char *path); /* returns new */

typedef struct {
        const char *method, *path, *token, *body;
} Ask;

void desk_ask(Desk *desk, const Ask *what, HttpReply *ret);
/* body NULL: any. */
void desk_expect(Desk *desk, const Ask *what, int status, const char *body);
