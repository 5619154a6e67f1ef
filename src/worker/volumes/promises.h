/* Volumes under way: what POST /volumes-async answers with and GET asks after. In memory only. */
#pragma once

#include "worker/volumes/volumes.h"

typedef struct Promises Promises; /* any thread */

Promises *promises_new(Volumes *volumes); /* borrows */
void promises_free(Promises *promises);   /* interrupts and waits for what is under way */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Promises, promises_free)

/* Begins to make the volume. Takes *request (it is cleared). ERROR_EXISTS when there is a promise
 * of that handle. */
bool promises_add(Promises *promises, VolumeRequest *request, GError **error);

/* ERROR_NOT_FOUND when there is no such promise; *ret_done false: pending, and *ret is untouched;
 * else the volume, or the error of its making as *ret_failure (new). */
bool promises_look(Promises *promises, const char *handle, bool *ret_done, VolumeResponse *ret,
                   GError **ret_failure, GError **error);

/* Forgets it. If it is pending, it is interrupted and the volume destroyed. ERROR_NOT_FOUND. */
bool promises_drop(Promises *promises, const char *handle, GError **error);
