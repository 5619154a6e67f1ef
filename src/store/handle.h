/* The store's handle and what all entities share. Include store/store.h instead, for everything. */
#pragma once

#include "base/cancel.h"
#include "base/value.h"

/*
 * What the server remembers. Any thread may use it; every function may block on the database, and
 * each is one transaction unless it says otherwise.
 *
 * Conventions of all entity headers: ids are int64_t and 0 stands for none; lists are new
 * GPtrArrays that free their items (g_autoptr(GPtrArray)); structs are new and freed with x_free();
 * text in them is NULL where it is absent; `Value *` maps are NULL where absent. What is named and
 * not there is ERROR_NOT_FOUND. A write by work whose lease is gone is ERROR_STALE and changes
 * nothing: stop the work.
 */
typedef struct Store Store;

/* What a caller may see: everything, or what is public and what belongs to these teams. */
typedef struct {
        bool everything;
        const int64_t *team_ids; /* borrowed */
        size_t team_count;
} Visibility;

/* A page as 01 §6 asks for it; all zero is the newest 100. Both ends are inclusive. */
typedef struct {
        bool has_from, has_to;
        int64_t from, to;
        size_t limit;    /* 0: 100 */
        bool timestamps; /* builds only: from and to are Unix seconds of the start time */
} Page;

/* Where the neighbours of a page begin; 0: there is none. */
typedef struct {
        int64_t older; /* `to` of the next page */
        int64_t newer; /* `from` of the previous one */
} PageLinks;
