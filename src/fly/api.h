/* Requests to the target, and what their statuses mean (reference 02 §2). */
#pragma once

#include "fly/fly.h"
#include "fly/reference.h"

/* Loads the target only. */
bool fly_load(Fly *fly, GError **error);
/* Loads the target, asks /info and compares versions, and looks team up when it is given: what nearly every command
 * begins with. */
bool fly_open(Fly *fly, const char *team, GError **error);
/* Asks /info of the target in fly->target; a difference in versions is only a warning with lenient. */
bool fly_check_version(Fly *fly, bool lenient, GError **error);
/* GET of a team, in the words that its refusals have (reference 02 §2.4). Returns new. */
Value *fly_get_team(Fly *fly, const char *name, GError **error);
/* Makes the client for fly->target; again when the target has changed. */
bool fly_connect(Fly *fly, GError **error);

typedef struct {
        const char *method; /* NULL: GET */
        const char *path;   /* with the query */
        const char *content_type;
        const char *body; /* NULL: none */
        size_t length;
        const char *header; /* one more, "Name: value" */
        bool raw;           /* every status is an answer; the caller looks */
        bool anonymous;     /* without Authorization */
        HttpSource source;  /* streams the body instead */
        HttpSink sink;      /* takes the answer's body; of a refusal only with raw */
        HttpHead head;
        void *data;
        Cancel *cancel;
} ApiCall;

/* Fails for statuses that are no success, unless call->raw. *ret may be NULL. */
bool api_call(Fly *fly, const ApiCall *call, HttpReply *ret, GError **error);
/* GET, decoded. Returns new. */
Value *api_get(Fly *fly, const char *path, GError **error);
/* Another method, with a JSON body or none (NULL), decoded. Returns new; VALUE_NULL for an empty answer. */
Value *api_send(Fly *fly, const char *method, const char *path, const Value *body, GError **error);
/* PUT without body or answer. */
bool api_put(Fly *fly, const char *path, GError **error);
/* "Unexpected Response\nStatus: …\nBody: …" or what else the status means; always false. */
bool api_status_error(const HttpReply *reply, GError **error);
bool api_unexpected(const HttpReply *reply, GError **error);
/* "404 Not Found". Returns new. */
char *http_status_line(int status);
/* "Authorization: Bearer …" with the target's token. Returns new. */
char *api_authorization(const Target *target);
Value *api_decode(const HttpReply *reply, GError **error);

/* Each returns new. query may be NULL; it stands behind the instance vars. */
char *path_team(const Fly *fly, const char *tail);
char *path_pipeline(const Fly *fly, const PipelineRef *ref, const char *tail, const char *query);
/* kind: "jobs", "resources", "resource-types" */
char *path_item(const Fly *fly, const char *kind, const ItemRef *ref, const char *tail,
                const char *query);
