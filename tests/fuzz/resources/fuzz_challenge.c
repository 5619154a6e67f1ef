#include "resources/registry_challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever a registry asks for, what is read is whole, and a bearer has a place to get its token from. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree char *text = g_strndup((const char *) data, size);
        g_auto(Challenge) challenge = { 0 };
        challenge_parse(text, &challenge);
        g_assert(challenge.realm && challenge.service && challenge.scope);
        g_assert(challenge.kind != CHALLENGE_BEARER || *challenge.realm);
        return 0;
}
