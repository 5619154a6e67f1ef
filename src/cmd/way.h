/*
 * The way to a directory for those who are not root. The web node and processes in containers are other users, who cannot
 * pass a folder above the work directory that is closed to others (/root is). Then what is in it is bound to a place that
 * all can reach, in a mount namespace of this process and its children alone.
 */
#pragma once

#include "base/error.h"

#include <sys/types.h>

/* The first folder on the way to `path`, itself included, that `user` may not enter by its mode. Those that do not exist
 * yet do not count. Returns new; NULL: the way is open. */
char *way_closed_at(const char *path, uid_t user);

/* Where what is in `path` will be bound to: always the same, so that what is written down there stays true. Returns new. */
char *way_place(const char *path);

/* Gives this process its mount namespace; before it has threads or children. ERROR_DENIED without the right to. */
bool way_enter(GError **error);
/* Then: binds `path`, which must itself be open to them. `place` is made, with parents. */
bool way_bind(const char *path, const char *place, GError **error);
