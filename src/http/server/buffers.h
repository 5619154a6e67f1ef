/* A list of blocks of bytes: what waits to be sent, or to be read by a handler. No locks of its own. */
#pragma once

#include "base/error.h"

#include <sys/uio.h>

typedef struct Block Block;
struct Block {
        Block *next;
        size_t start, end, capacity;
        bool framed; /* payload that goes out inside chunks */
        char bytes[];
};

typedef struct {
        Block *first, *last;
        size_t length; /* of all bytes in it */
} Buffers;

/* Copies bytes to the end. */
void buffers_append(Buffers *buffers, const void *bytes, size_t length, bool framed);
/* All of from goes to the end of buffers. */
void buffers_move(Buffers *buffers, Buffers *from);
/* Takes up to length bytes from the front; returns how many. */
size_t buffers_take(Buffers *buffers, void *ret, size_t length);
void buffers_drop(Buffers *buffers, size_t length);
void buffers_clear(Buffers *buffers);
/* Bytes at the front that are framed alike, at most limit. */
size_t buffers_run(const Buffers *buffers, size_t limit);
/* Points vectors at the first `length` bytes; returns how many vectors it used, *ret_length bytes. */
int buffers_gather(const Buffers *buffers, size_t length, struct iovec *vectors, int count,
                   size_t *ret_length);
