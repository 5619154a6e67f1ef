/* Takes a compression off a stream, whichever it is: gzip, zstd, or none (by the first bytes, as for image layers). */
#pragma once

#include "base/error.h"

#include <sys/types.h>

typedef struct Decoder Decoder;

typedef bool (*DecoderSink)(const void *bytes, size_t length, void *data, GError **error);

Decoder *decoder_new(DecoderSink sink, void *data);
void decoder_free(Decoder *decoder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Decoder, decoder_free)

/* Takes a piece, of any size. ERROR_INVALID when it is damaged; or what the sink said. */
bool decoder_add(Decoder *decoder, const void *bytes, size_t length, GError **error);
/* At the end: ERROR_INVALID "unexpected EOF" when something is missing. */
bool decoder_finish(Decoder *decoder, GError **error);
