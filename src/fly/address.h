/* The address in a browser of a build, a job or a resource: pairs of path segments, and instance vars. */
#pragma once

#include "fly/fly.h"

typedef struct {
        char *server;                                   /* "https://ci.example.com" */
        char *team, *pipeline, *job, *build, *resource; /* NULL: not in it */
        Value *vars;                                    /* NULL: none */
} Address;

/* url may begin at its path: then there is no server. */
bool address_parse(const char *url, Address *ret, GError **error);
void address_clear(Address *address);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Address, address_clear)
