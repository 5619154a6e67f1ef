/* A registry, and how to speak with it: scheme, credentials, tokens, failures that pass (reference 09 §7.2). */
#pragma once

#include "http/client.h"
#include "resources/registry_name.h"

typedef struct Registry Registry; /* any thread */

typedef struct {
        const RegistryName *name;
        const char *username, *password; /* "": anonymous */
        bool insecure;                   /* plain HTTP is fine where HTTPS does not answer */
        const char *ca_file;             /* NULL: the system's certificates */
        const char *actions;             /* "pull" or "push,pull" */
        bool persistent; /* what passes is waited for, up to an hour; else some seconds */
} RegistrySpec;

/* Borrows spec's texts for its whole life. Nothing is asked yet. */
Registry *registry_new(const RegistrySpec *spec);
void registry_free(Registry *registry);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Registry, registry_free)
const RegistryName *registry_name(const Registry *registry);

/*
 * One request; call->url is a path of the registry ("/v2/…") or a whole URL (an upload's place). Signs in as the
 * registry asks for it. Only 2xx is success; the sink sees only that body. ERROR_NOT_FOUND for 404, ERROR_DENIED for
 * 401 and 403, ERROR_BUSY for 408, 429 and 5xx, ERROR_INVALID for other answers, or http_call()'s.
 * What passes is tried again unless the sink has had bytes, or the body is a source.
 */
bool registry_call(Registry *registry, const HttpCall *call, HttpReply *ret, GError **error);

/* How often, and since when, one piece of work was tried. */
typedef struct {
        unsigned attempts;
        Duration started;
} RegistryPatience;

/* After a failure: true after a pause when it is worth another attempt. Takes and clears *failure then, and says so
 * to the user; else leaves it. */
bool registry_wait(Registry *registry, RegistryPatience *patience, GError **failure);
