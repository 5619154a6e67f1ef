/* Access tokens (reference 07 §6). Only their SHA-256 is stored. */
#pragma once

#include "base/clock.h"
#include "store/handle.h"

typedef struct {
        char *sub;
        Value *claims;
        Time expires;
} Token;

void token_free(Token *token);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Token, token_free)

/* token is what the client will send; claims are kept as given. */
bool token_save(Store *store, const char *token, const char *sub, const Value *claims, Time expires,
                GError **error);
/* Expired ones are found too, until the janitor has been: judge `expires`. Returns new. */
Token *token_find(Store *store, const char *token, GError **error);
bool token_delete(Store *store, const char *token, GError **error); /* logout; unknown: fine */
bool token_delete_expired(Store *store, Time before, int64_t *ret_deleted, GError **error);

/* Secrets the server makes for itself once and must find again: signing keys, by name. Sealed. */
bool server_secret_save(Store *store, const char *name, const char *secret, GError **error);
/* Keeps the first: *ret is new, what is stored now. With several nodes all get the same one. */
bool server_secret_ensure(Store *store, const char *name, const char *proposal, char **ret,
                          GError **error);
bool server_secret_find(Store *store, const char *name, char **ret, GError **error);
