/* Volumes from worker to worker, past the web node (reference 06 §4.9). */
#pragma once

#include "worker/volumes/volumes.h"

/* The URL under which other workers reach this one's server: the first interface whose name
 * matches, its first address of the family (4 or 6). Returns new. */
char *p2p_url(const char *interface_pattern, int family, uint16_t port, GError **error);

typedef struct {
        const char *handle, *path;
        VolumeEncoding encoding;
        const char *url; /* of the other worker's stream-in */
        Cancel *cancel;
} P2pSpec;

/* Streams the volume out to the other worker's server. */
bool p2p_send(Volumes *volumes, const P2pSpec *spec, GError **error);
