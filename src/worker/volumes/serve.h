/* The Baggageclaim server's insides: one request, and what its handlers share. */
#pragma once

#include "base/thread.h"
#include "http/server.h"
#include "worker/volumes/promises.h"

struct VolumesServer {
        Volumes *volumes;
        Promises *promises;
        HttpServer *http;
        char *interface_pattern;
        int family;
};

typedef struct {
        VolumesServer *server;
        Volumes *volumes;
        HttpRequest *request;
        const char *handle; /* the path's second segment */
} VolumesCall;

void volumes_answer_error(const VolumesCall *call, int status, const char *text);
void volumes_answer_empty(const VolumesCall *call, int status);
/* 404 for what is not there, else 500, always with the call's own text; the reason is logged. */
void volumes_answer_failure(const VolumesCall *call, const GError *error, const char *text);

/* ---- serve_streams.c ---- */

void volumes_serve_stream_in(const VolumesCall *call);
void volumes_serve_stream_out(const VolumesCall *call);
void volumes_serve_p2p_url(const VolumesCall *call);
void volumes_serve_p2p_out(const VolumesCall *call);
