/*
 * How a web node knows of this worker: registration and heartbeats, and what it wants removed
 * (reference 06 §2.7, §2.9–2.11, §5.5).
 *
 * Until the SSH gateway carries them, the calls that it would make go straight to the web node over
 * a unix socket.
 */
#pragma once

#include "http/client.h"
#include "worker/oci/container.h"
#include "worker/volumes/volumes.h"

typedef struct Beacon Beacon; /* any thread */

typedef struct {
        const char *web_socket;
        const Value *worker;    /* the registration's JSON, without the active_* counts */
        Containers *containers; /* borrowed */
        Volumes *volumes;
        const char *disk; /* a path on the disk of both; borrowed. NULL: it never fills */
        uint64_t
                disk_reserve; /* bytes: with less than twice as many free it asks for nothing new */
        Duration interval;    /* of heartbeats; 0: 30 s */
        Duration sweep_interval;                     /* 0: 30 s */
        int64_t containers_at_once, volumes_at_once; /* destroyed in parallel; 0: 5 and 3 */
} BeaconSpec;

/* Starts registering, and tries again every second until it is known. */
Beacon *beacon_start(const BeaconSpec *spec);
/* Something changed: tell the web node soon (at most once a second). */
void beacon_poke(Beacon *beacon);
/* Containers came or went: that, and a sweep when there are many. */
void beacon_containers_changed(Beacon *beacon);

typedef enum { BEACON_LAND, BEACON_RETIRE } BeaconDrain;
/* Asks the web node to give this worker nothing new; the beacon ends when that is done. */
void beacon_drain(Beacon *beacon, BeaconDrain kind);
/* Readable when it ended by itself: landed, or the web node knows the worker no more. */
int beacon_ended_fd(Beacon *beacon);
/* Stops; a worker that was to retire is deleted. Frees. Accepts NULL. */
void beacon_stop(Beacon *beacon);

/* The registration's JSON. Returns new. */
typedef struct {
        const char *name, *team, *platform, *version;
        const GPtrArray *tags;
        const char *address;          /* "127.0.0.1:7777" */
        const char *baggageclaim_url; /* "http://127.0.0.1:7788" */
        const char *certs_path;       /* NULL: none */
        const char *http_proxy, *https_proxy, *no_proxy;
        int64_t max_active_tasks, start_time;
        bool ephemeral;
        const Value *resource_types;
} BeaconWorker;
Value *beacon_worker_value(const BeaconWorker *worker);
