/* The keys that id tokens of builds are signed with (reference 07 §16, 01 §21). Sealed. */
#pragma once

#include "base/clock.h"
#include "store/handle.h"

typedef struct {
        char *kid;
        char *algorithm; /* "RS256", "ES256" */
        Time created;
        char *pem; /* of the private key */
} SigningKey;

void signing_key_free(SigningKey *key);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigningKey, signing_key_free)

/* All that tokens may still be signed with, oldest first. Items: SigningKey. */
GPtrArray *signing_key_list(Store *store, GError **error);
/* Makes one of each algorithm where there is none: takes seconds the first time, so it is done when one is wanted. */
bool signing_keys_ensure(Store *store, Time now, GError **error);
/* Follows those older than a week by new ones, and drops those whose successor is a day old. Makes none where there
 * was none. */
bool signing_keys_rotate(Store *store, Time now, GError **error);
