/* The network of a container that is being made, attached on a thread of its own: making its volumes takes as long. */
#pragma once

#include "worker/network/network.h"

typedef struct Attach Attach; /* one thread */

/* request is copied. Returns new; NULL when network is. */
Attach *attach_start(Network *network, const NetworkRequest *request);
/* Waits; *ret is the caller's. Once. Nothing happens when attach is NULL. */
bool attach_wait(Attach *attach, NetworkAttachment *ret, GError **error);
/* Waits too: when this returns, network_detach() finds what was attached. Accepts NULL. */
void attach_free(Attach *attach);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Attach, attach_free)
