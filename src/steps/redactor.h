/* Keeps secrets out of everything a build stores (reference 04 §3). */
#pragma once

#include "base/value.h"

/* Any thread. */
typedef struct Redactor Redactor;

Redactor *redactor_new(void);
void redactor_free(Redactor *redactor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Redactor, redactor_free)

/* Tracks every string leaf of value: each of its lines, trimmed, that is longer than one byte. */
void redactor_track(Redactor *redactor, const Value *value);
/* Whether anything is tracked: if not, output need not wait for its line's end. */
bool redactor_is_armed(Redactor *redactor);
/* How many bytes at the end of text may be the beginning of a tracked line. */
size_t redactor_pending(Redactor *redactor, const char *text, size_t length);
/* Every tracked line in text becomes "((redacted))"; where two begin together the longer one. Returns new. */
char *redactor_apply(Redactor *redactor, const char *text, size_t length, size_t *ret_length);
