/* The WWW-Authenticate header of a registry: how it wants to be asked. */
#pragma once

#include "base/error.h"

typedef enum {
        CHALLENGE_NONE,
        CHALLENGE_BASIC,
        CHALLENGE_BEARER, /* a token, from the server that realm names */
} ChallengeKind;

typedef struct {
        ChallengeKind kind;
        char *realm, *service, *scope; /* of Bearer; "" when not said */
} Challenge;

void challenge_clear(Challenge *challenge);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Challenge, challenge_clear)

/* Reads one header's value, which may hold several challenges; Bearer is preferred to Basic. Other schemes, and a
 * Bearer without a realm, are passed over: CHALLENGE_NONE when nothing is left. */
void challenge_parse(const char *value, Challenge *ret);
