#include "http/server/buffers.h"

#include <string.h>

/* A new block holds what it was made for; beside it room that grows with what is queued. */
#define ROOM_MIN 128
#define ROOM_MAX (16 * 1024)

static Block *block_new(size_t length, size_t queued, bool framed) {
        size_t capacity = MAX(length, CLAMP(queued, ROOM_MIN, ROOM_MAX));
        Block *block = g_malloc(sizeof(Block) + capacity);
        *block = (Block){ .capacity = capacity, .framed = framed };
        return block;
}

void buffers_append(Buffers *buffers, const void *bytes, size_t length, bool framed) {
        Block *last = buffers->last;
        if (length == 0)
                return;
        if (!last || last->framed != framed || last->capacity - last->end < length) {
                last = block_new(length, buffers->length, framed);
                if (buffers->last)
                        buffers->last->next = last;
                else
                        buffers->first = last;
                buffers->last = last;
        }
        memcpy(last->bytes + last->end, bytes, length);
        last->end += length;
        buffers->length += length;
}

void buffers_move(Buffers *buffers, Buffers *from) {
        if (!from->first)
                return;
        if (buffers->last)
                buffers->last->next = from->first;
        else
                buffers->first = from->first;
        buffers->last = from->last;
        buffers->length += from->length;
        *from = (Buffers){ 0 };
}

void buffers_drop(Buffers *buffers, size_t length) {
        g_assert(length <= buffers->length);
        buffers->length -= length;
        while (length > 0) {
                Block *block = buffers->first;
                size_t piece = MIN(length, block->end - block->start);
                block->start += piece;
                length -= piece;
                if (block->start < block->end)
                        return;
                buffers->first = block->next;
                if (!buffers->first)
                        buffers->last = NULL;
                g_free(block);
        }
}

size_t buffers_take(Buffers *buffers, void *ret, size_t length) {
        char *to = ret;
        size_t taken = 0;
        while (taken < length && buffers->first) {
                Block *block = buffers->first;
                size_t piece = MIN(length - taken, block->end - block->start);
                memcpy(to + taken, block->bytes + block->start, piece);
                taken += piece;
                buffers_drop(buffers, piece);
        }
        return taken;
}

void buffers_clear(Buffers *buffers) {
        buffers_drop(buffers, buffers->length);
}

size_t buffers_run(const Buffers *buffers, size_t limit) {
        size_t run = 0;
        for (const Block *block = buffers->first;
             block && block->framed == buffers->first->framed && run < limit; block = block->next)
                run += block->end - block->start;
        return MIN(run, limit);
}

int buffers_gather(const Buffers *buffers, size_t length, struct iovec *vectors, int count,
                   size_t *ret_length) {
        int used = 0;
        size_t total = 0;
        for (Block *block = buffers->first; block && used < count && total < length;
             block = block->next) {
                size_t piece = MIN(block->end - block->start, length - total);
                vectors[used++] = (struct iovec){ block->bytes + block->start, piece };
                total += piece;
        }
        *ret_length = total;
        return used;
}
