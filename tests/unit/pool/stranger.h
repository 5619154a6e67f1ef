/*
 * A worker on loopback, of either kind, as the pool sees one: it records what it is asked, its containers and volumes
 * are words only, and its one process follows a script.
 */
#pragma once

#include "../store/house.h"

#include "base/thread.h"
#include "http/server.h"
#include "pool/pool.h"
#include "wire/garden.h"

/* What the process does; set before it is started. */
typedef struct {
        const char *output, *errors; /* all it writes, at once */
        int status;
        const char *failure; /* how it ended, instead of a status */
        bool waits;          /* until it is stopped, gets a signal, or its input ends */
        size_t cut;      /* after so many bytes of output its connections break, once; 0: never */
        bool ends_first; /* its end is told before they break */
        bool lost;       /* the connection breaks before the start is answered, once */
} Script;

typedef struct {
        const char *extensions; /* NULL: upstream */
        Store *sweeps;          /* not NULL: the janitor comes by at every request */
        const char *full;       /* so many containers are refused with this: */
        unsigned refusals;
        Cancel *abort; /* not NULL: fires at the first refusal */
        Store *taking; /* not NULL: another node takes build_id over before a refusal is told */
        int64_t build_id;
        const char *user; /* the property of its containers */
        Script script;
        HttpServer *http;
        Pool *pool; /* that has it as a worker */
        Mutex lock; /* of all below */
        Condition changed;
        GString *calls;   /* "METHOD path\n" each, with ?from where that was given */
        Value *container; /* the last body of POST /containers */
        Value *process;   /* of …/processes; NULL: it was not started */
        GString *typed;   /* its standard input */
        bool typed_all;
        GardenWindow window;
        int64_t signal; /* the last one; -1: none */
        bool broken, ended, closing;
} Stranger;

/* Registers itself as the worker "w" of the house. What is set of the struct stays. Returns its pool, borrowed. */
Pool *stranger_open(Stranger *stranger, House *house);
void stranger_close(Stranger *stranger);

/* The one made last is gone, as after a crash of its host. */
void stranger_lose_container(Stranger *stranger);

/* Whether a line of what it was asked is this one. */
bool stranger_heard(Stranger *stranger, const char *call);
void stranger_forget(Stranger *stranger);

/* The janitor, and a worker's report from before what is being made was there: neither may find anything to do. */
void stranger_sweep(Store *store);

/* A container of a check without a row: it needs no build. Each plan_id is another one. */
ContainerNeed stranger_need(const char *plan_id);
PoolContainer *stranger_container(Pool *pool, const char *plan_id);
