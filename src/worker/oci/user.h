/* Who a process runs as: names looked up in the image's own /etc/passwd and /etc/group. */
#pragma once

#include "base/error.h"

/* Bytes of either file that are read, and of one line: images are strangers' bytes. */
#define USER_FILE_MAX ((size_t) 1024 * 1024)

typedef struct {
        uint32_t user, group;
        char *home; /* "/" when no entry names one */
} User;
void user_clear(User *user);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(User, user_clear)

/*
 * Reads "name", "uid", "name:group" or "uid:gid" (reference 06 §5.8); NULL or "" is 0:0. root: a
 * directory descriptor; the image's links are followed within it. Numbers need no entry, "root"
 * needs no file. ERROR_NOT_FOUND "unable to find user X: no matching entries in passwd file".
 * Supplementary groups are not looked up, as upstream.
 */
bool user_lookup(int root, const char *text, User *ret, GError **error);
