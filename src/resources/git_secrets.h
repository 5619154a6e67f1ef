/* Signatures and encrypted files of a checkout (reference 09 §6.3). */
#pragma once

#include "resources/git.h"

/*
 * Whether the commit at ref is signed by one of the source's keys; true at once when it names none. Exit statuses are
 * upstream's: 2 for keys that are none, 123 for ids no keyserver knows, 1 for "The commit <sha> is not signed".
 */
bool git_commit_verify(GitRun *run, const char *ref, GError **error);

/* Decrypts what git-crypt encrypted, when the source has a key. */
bool git_crypt_unlock(GitRun *run, GError **error);
