/* Who may do what in a team, from set-team's flags or file to what the server takes (reference 02 §8.2). */
#pragma once

#include "fly/fly.h"

/* One flag's values each. The order is that of the groups that are sent. */
typedef enum {
        AUTH_BITBUCKET_USERS,
        AUTH_BITBUCKET_TEAMS,
        AUTH_CF_USERS,
        AUTH_CF_ORGS,
        AUTH_CF_SPACES_ANY,
        AUTH_CF_SPACES,
        AUTH_CF_SPACES_DEVELOPER,
        AUTH_CF_SPACES_AUDITOR,
        AUTH_CF_SPACES_MANAGER,
        AUTH_CF_SPACE_GUIDS,
        AUTH_GITEA_USERS,
        AUTH_GITEA_ORGS,
        AUTH_GITEA_TEAMS,
        AUTH_GITHUB_USERS,
        AUTH_GITHUB_ORGS,
        AUTH_GITHUB_TEAMS,
        AUTH_GITLAB_USERS,
        AUTH_GITLAB_GROUPS,
        AUTH_LDAP_USERS,
        AUTH_LDAP_GROUPS,
        AUTH_MICROSOFT_USERS,
        AUTH_MICROSOFT_GROUPS,
        AUTH_OAUTH_USERS,
        AUTH_OAUTH_GROUPS,
        AUTH_OIDC_USERS,
        AUTH_OIDC_GROUPS,
        AUTH_SAML_USERS,
        AUTH_SAML_GROUPS,
        AUTH_LOCAL_USERS,
        AUTH_LISTS,
} AuthList;

/* Each returns new: role → {"groups": […], "users": […]}, roles in order; NULL when nobody is named. */
Value *team_auth_of_flags(GPtrArray *const lists[AUTH_LISTS], GError **error);
/* The file's roles. Unknown connectors and keys are ignored, as the stock client does. */
Value *team_auth_of_text(const char *text, size_t length, GError **error);
