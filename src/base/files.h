/* Descriptors, whole files and directories. */
#pragma once

#include "base/error.h"

/* autofd: closed at the end of scope. */
static inline void fd_close_pointer(int *fd);
#define autofd __attribute__((cleanup(fd_close_pointer))) int
void fd_close(int fd); /* accepts -1; keeps errno */
static inline void fd_close_pointer(int *fd) {
        fd_close(*fd);
}
static inline int fd_steal(int *fd) {
        int taken = *fd;
        *fd = -1;
        return taken;
}

bool write_all(int fd, const void *data, size_t length, GError **error); /* blocking descriptor */
bool read_exactly(int fd, void *ret, size_t length, GError **error);

/* Whole file, at most limit bytes (ERROR_LIMIT). Returns new, NUL-terminated. */
char *file_read(const char *path, size_t limit, size_t *ret_length, GError **error);
/* Atomically: a temporary beside it, fsync, rename, fsync of the directory. */
bool file_write(const char *path, const void *data, size_t length, int mode, GError **error);
/* The same without both syncs: outlives a crash of the program, not of the machine (then the file may be empty). */
bool file_replace(const char *path, const void *data, size_t length, int mode, GError **error);
/* As it is when we look: content, mode, and owner where we may give it away. Not synced. `to` must not exist. */
bool file_copy(const char *from, const char *to, int64_t *ret_bytes, GError **error);
/* Of everything below the file system of path. */
bool disk_sync(const char *path, GError **error);
bool directory_make(const char *path, int mode, GError **error); /* with parents; exists: fine */
/*
 * Recursively, however deep, in constant memory; a missing path is fine. Never across a mount, bind mounts included
 * (ERROR_BUSY; what was removed until then stays so), never through a link: one at path is removed itself.
 */
bool directory_remove(const char *path, GError **error);
/* Opens `name` below the directory `at` (RESOLVE_BENEATH): for names from outside. Returns a
 * descriptor or -1. */
int open_beneath(int at, const char *name, int flags, int mode, GError **error);
/* The directory that this program is in. Returns new; NULL when it cannot be known. */
char *program_directory(void);
/* The first of places (from that directory; NULL-terminated) with a file that access(2) grants `mode` of. Returns new;
 * NULL: none. */
char *program_beside(const char *const *places, int mode);
/* Bytes free for us at path. */
bool disk_free(const char *path, uint64_t *ret_free, uint64_t *ret_total, GError **error);
