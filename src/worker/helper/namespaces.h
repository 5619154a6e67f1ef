/* User and network namespaces, made by the helper process. Single-threaded code. */
#pragma once

#include "worker/helper/protocol.h"

/* A user namespace with HELPER_ID_*'s mapping. Returns a descriptor or -1. */
int user_namespace_make(GError **error);

/* A network namespace as the request says, in user_namespace or (-1) ours. Returns a descriptor or
 * -1. */
int network_namespace_make(const HelperRequest *request, int user_namespace, GError **error);
