/* The Garden server (reference 06 §3): containers and their processes over HTTP. */
#pragma once

#include "worker/oci/container.h"

typedef struct GardenServer GardenServer;

typedef struct {
        Containers *containers; /* borrowed */
        const char *address;    /* "127.0.0.1" */
        uint16_t port;          /* 0: any */
        const char *unix_path;  /* instead of address and port: a socket, mode 0600 */
} GardenServerSpec;

GardenServer *garden_server_start(const GardenServerSpec *spec, GError **error);
uint16_t garden_server_port(const GardenServer *server);
/* Process connections close without an exit status, so that clients attach again. Accepts NULL. */
void garden_server_stop(GardenServer *server, Duration grace);
