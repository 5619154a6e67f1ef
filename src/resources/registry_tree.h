/* A folder that is filled as if it were the root: links in the way of a path are followed, and never out of it. */
#pragma once

#include "base/error.h"

#include <sys/types.h>
#include <time.h>

typedef struct Tree Tree; /* one thread */

/* All paths are relative to root, without "." and ".."; "" is the root itself. */
Tree *tree_new(int root); /* borrows the descriptor */
void tree_free(Tree *tree);

/* What a file has besides its content. */
typedef struct {
        const char *path;
        mode_t mode;
        bool is_link;
        int64_t uid, gid;
        struct timespec modified;
        const GPtrArray *names, *values; /* extended attributes: char *, GBytes */
} TreeNode;

/* Each makes missing folders above it, and removes what is at the path (a directory stays one). */
int tree_create(Tree *tree, const char *path, GError **error); /* a new file; a descriptor or -1 */
bool tree_directory(Tree *tree, const char *path, GError **error);
bool tree_symlink(Tree *tree, const char *path, const char *target, GError **error);
bool tree_hardlink(Tree *tree, const char *path, const char *target, GError **error);
bool tree_fifo(Tree *tree, const char *path, GError **error);

/* Owner (as root only), mode, attributes and time; fd: the file itself, or -1. Attributes that the system does not let
 * us set are left out. */
bool tree_dress(Tree *tree, const TreeNode *node, int fd, GError **error);
/* Of a directory; one that is gone is fine. */
bool tree_set_time(Tree *tree, const char *path, const struct timespec *time, GError **error);

/* With all below it; a missing one is fine. */
bool tree_remove(Tree *tree, const char *path, GError **error);
/* All below it but what is spared, and what holds something spared. A missing directory is fine. */
typedef bool (*TreeSpared)(const char *path, void *data);
bool tree_empty(Tree *tree, const char *path, TreeSpared spared, void *data, GError **error);
