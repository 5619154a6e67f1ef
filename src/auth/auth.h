/*
 * Who someone is and what they may do: local users, tokens, roles on teams (reference 07 §5, §6, §8, §10, §12, §14;
 * 01 §3).
 */
#pragma once

#include "base/cancel.h"
#include "store/store.h"

typedef struct Auth Auth; /* any thread */

typedef struct {
        Store *store;
        const char *external_url; /* issuer of tokens */
        const GPtrArray *
                local_users; /* "NAME:PASSWORD", the password plain or a bcrypt hash; may be NULL */
        Duration duration;   /* of tokens; 0: 24 h */
        const char *signing_key; /* PEM file; NULL: the server makes its own and keeps it */
        const char
                *worker_secret; /* of the client concourse-worker; NULL: nobody can sign in as it */
} AuthSpec;

/* ERROR_INVALID for users that cannot be. */
Auth *auth_new(const AuthSpec *spec, GError **error);
void auth_free(Auth *auth);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Auth, auth_free)

/* ---- signing in: the token endpoint of 07 §6.1 ---- */

typedef struct {
        const char *grant_type, *client_id, *client_secret; /* NULL where absent */
        const char *username, *password, *scope;
} AuthGrant;

/* *ret_status and *ret_body (new) are the answer, whether it is a token or an OAuth error. false only when the store failed. */
bool auth_grant(Auth *auth, const AuthGrant *grant, int *ret_status, Value **ret_body,
                GError **error);
/* The token is worth nothing from now on. Unknown: fine. */
bool auth_revoke(Auth *auth, const char *token, GError **error);

/* ---- who calls ---- */

typedef enum {
        ROLE_NONE,
        ROLE_VIEWER,
        ROLE_OPERATOR,
        ROLE_MEMBER,
        ROLE_OWNER
} Role; /* ascending */

const char *role_name(Role role); /* "pipeline-operator" */

/* One request's caller. Immutable. */
typedef struct Access Access;

/* authorization: the header's value, NULL: none. Never fails for a bad token: then has_token and not authenticated. */
Access *access_new(Auth *auth, const char *authorization, GError **error);
/* For the worker's own socket, which only its file mode guards. */
Access *access_new_system(void);
void access_free(Access *access);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Access, access_free)

bool access_has_token(const Access *access);
bool access_is_authenticated(const Access *access);
bool access_is_admin(const Access *access);
bool access_is_system(const Access *access);
/* Admin, or a role at least as high on the team of exactly this name. */
bool access_allows(const Access *access, const char *team_name, Role role);
bool access_allows_any(const Access *access, Role role);
bool access_allows_id(const Access *access, int64_t team_id, Role role);
/* Borrowed from access. */
Visibility access_visibility(const Access *access, Role role);
/* What GET /api/v1/user says. Returns new. */
Value *access_user(const Access *access);
/* "created by". Borrowed; NULL when nobody is known. */
const char *access_display_name(const Access *access);

/* ---- team auth ---- */

/* Who changed a team calls this, so that its next request sees it; others hear of it by notification. */
void auth_forget_teams(Auth *auth);

/* ERROR_INVALID with upstream's texts. */
bool team_auth_validate(const Value *auth, GError **error);
/* Whether it can be one of AuthSpec's local_users: ERROR_INVALID "invalid local user '…': expected NAME:PASSWORD". */
bool auth_check_local_user(const char *text, GError **error);
/* {"owner":{"users":["local:a"],"groups":[]}} from --main-team-local-user. Returns new. */
Value *team_auth_from_local_users(const GPtrArray *names);
