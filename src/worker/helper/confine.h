/* What a child that parses strangers' archives gives up first. */
#pragma once

#include "base/error.h"

typedef struct {
        uint64_t capabilities; /* bits of those it keeps */
        bool read_only;        /* it may open nothing for writing */
        const int *keep;       /* descriptors, besides stderr */
        size_t keep_count;
} ConfineSpec;

/* Closes other descriptors, drops capabilities, and allows only the system calls that reading and
 * writing files take: no sockets, no programs, no mounts, no signals to others. */
bool confine(const ConfineSpec *spec, GError **error);
