/* set-team: who may use a team (reference 02 §8.2) */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/prompt.h"
#include "fly/team_auth.h"
#include "fly/template.h"

#include "base/files.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define CONFIG_MAX ((size_t) 4 * 1024 * 1024)

typedef struct {
        Globals globals;
        char *team;
        bool non_interactive;
        char *config;
        GPtrArray *lists[AUTH_LISTS];
} SetTeamOptions;

#define LIST(index, title, name_, value, what)                                                     \
        OPT(SetTeamOptions, lists[index], OPTION_LIST, 0, name_, "A whitelisted " what,            \
            .value_name = value, .group = "Authentication" title)
#define USERS(index, title, name_, what) LIST(index, title, name_, "USERNAME", what " user")
#define GROUPS(index, title, name_, what) LIST(index, title, name_, "GROUP_NAME", what " group")
#define CF " (CloudFoundry)"
#define CF_SPACE "CloudFoundry space for users with "

static const Option set_team_options[] = {
        OPT(SetTeamOptions, team, OPTION_STRING, 'n', "team-name", "The team to create or modify",
            .required = true),
        OPT(SetTeamOptions, non_interactive, OPTION_FLAG, 0, "non-interactive",
            "Force apply configuration"),
        OPT(SetTeamOptions, lists[AUTH_LOCAL_USERS], OPTION_LIST, 0, "local-user",
            "A whitelisted local concourse user. These are the users you've added at web startup "
            "with the --add-local-user flag.",
            .value_name = "USERNAME", .group = "Authentication"),
        OPT(SetTeamOptions, config, OPTION_STRING, 'c', "config",
            "Configuration file for specifying team params", .group = "Authentication"),
        USERS(AUTH_BITBUCKET_USERS, " (Bitbucket Cloud)", "bitbucket-cloud-user",
              "Bitbucket Cloud"),
        LIST(AUTH_BITBUCKET_TEAMS, " (Bitbucket Cloud)", "bitbucket-cloud-team", "TEAM_NAME",
             "Bitbucket Cloud team"),
        USERS(AUTH_CF_USERS, CF, "cf-user", "CloudFoundry"),
        LIST(AUTH_CF_ORGS, CF, "cf-org", "ORG_NAME", "CloudFoundry org"),
        OPT(SetTeamOptions, lists[AUTH_CF_SPACES], OPTION_LIST, 0, "cf-space",
            "(Deprecated) A whitelisted " CF_SPACE "the 'developer' role",
            .value_name = "ORG_NAME:SPACE_NAME", .group = "Authentication" CF),
        LIST(AUTH_CF_SPACES_ANY, CF, "cf-space-with-any-role", "ORG_NAME:SPACE_NAME",
             CF_SPACE "any role"),
        LIST(AUTH_CF_SPACES_DEVELOPER, CF, "cf-space-with-developer-role", "ORG_NAME:SPACE_NAME",
             CF_SPACE "the 'developer' role"),
        LIST(AUTH_CF_SPACES_AUDITOR, CF, "cf-space-with-auditor-role", "ORG_NAME:SPACE_NAME",
             CF_SPACE "the 'auditor' role"),
        LIST(AUTH_CF_SPACES_MANAGER, CF, "cf-space-with-manager-role", "ORG_NAME:SPACE_NAME",
             CF_SPACE "the 'manager' role"),
        LIST(AUTH_CF_SPACE_GUIDS, CF, "cf-space-guid", "SPACE_GUID", "CloudFoundry space guid"),
        USERS(AUTH_GITEA_USERS, " (Gitea)", "gitea-user", "Gitea"),
        LIST(AUTH_GITEA_ORGS, " (Gitea)", "gitea-org", "ORG_NAME", "Gitea org"),
        LIST(AUTH_GITEA_TEAMS, " (Gitea)", "gitea-team", "ORG_NAME:TEAM_NAME", "Gitea team"),
        USERS(AUTH_GITHUB_USERS, " (GitHub)", "github-user", "GitHub"),
        LIST(AUTH_GITHUB_ORGS, " (GitHub)", "github-org", "ORG_NAME", "GitHub org"),
        LIST(AUTH_GITHUB_TEAMS, " (GitHub)", "github-team", "ORG_NAME:TEAM_NAME", "GitHub team"),
        USERS(AUTH_GITLAB_USERS, " (GitLab)", "gitlab-user", "GitLab"),
        GROUPS(AUTH_GITLAB_GROUPS, " (GitLab)", "gitlab-group", "GitLab"),
        USERS(AUTH_LDAP_USERS, " (LDAP)", "ldap-user", "LDAP"),
        GROUPS(AUTH_LDAP_GROUPS, " (LDAP)", "ldap-group", "LDAP"),
        USERS(AUTH_MICROSOFT_USERS, " (Microsoft)", "microsoft-user", "Microsoft"),
        GROUPS(AUTH_MICROSOFT_GROUPS, " (Microsoft)", "microsoft-group", "Microsoft"),
        USERS(AUTH_OAUTH_USERS, " (OAuth2)", "oauth-user", "OAuth2"),
        GROUPS(AUTH_OAUTH_GROUPS, " (OAuth2)", "oauth-group", "OAuth2"),
        USERS(AUTH_OIDC_USERS, " (OIDC)", "oidc-user", "OIDC"),
        GROUPS(AUTH_OIDC_GROUPS, " (OIDC)", "oidc-group", "OIDC"),
        USERS(AUTH_SAML_USERS, " (SAML)", "saml-user", "SAML"),
        GROUPS(AUTH_SAML_GROUPS, " (SAML)", "saml-group", "SAML"),
        OPT_END,
};

/* The file is looked for while flags are read: before any other complaint. */
static bool check_file(const char *path, GError **error) {
        static const char flag[] = "invalid argument for flag `-c, --config' (expected flag.File)";
        struct stat status;

        if (!path)
                return true;
        if (stat(path, &status) < 0)
                return fly_fail(error, "%s: stat %s: %s", flag, path,
                                errno == ENOENT ? "no such file or directory" : g_strerror(errno));
        return !S_ISDIR(status.st_mode) ||
               fly_fail(error, "%s: path '%s' is a directory, not a file", flag, path);
}

static Value *wanted_auth(const SetTeamOptions *options, GError **error) {
        size_t length;

        if (!options->config)
                return team_auth_of_flags(options->lists, error);
        g_autofree char *text = file_read(options->config, CONFIG_MAX, &length, error);
        return text ? team_auth_of_text(text, length, error) : NULL;
}

static void show_list(const char *title, const Value *list) {
        printf("  %s:\n", title);
        for (size_t i = 0; i < value_length(list); i++)
                printf("  - %s\n", value_text(value_at(list, i)));
        if (value_length(list) == 0)
                puts("    none");
}

static void show(const char *team, const Value *auth) {
        printf("setting team: %s\n", team);
        for (size_t i = 0; i < value_length(auth); i++) {
                printf("\nrole %s:\n", value_key_at(auth, i));
                show_list("users", value_get(value_at(auth, i), "users"));
                putchar('\n');
                show_list("groups", value_get(value_at(auth, i), "groups"));
        }
}

static bool send(Fly *fly, const char *team, const Value *auth, GError **error) {
        const Fly other = { .team = (char *) team };
        g_autofree char *path = path_team(&other, "");
        g_autoptr(Value) body = value_map();
        g_auto(HttpReply) reply = { 0 };

        value_map_set(body, "auth", value_ref(auth));
        g_autofree char *json = json_write(body, JSON_COMPACT, NULL);
        g_autofree char *text = g_strconcat(json, "\n", NULL);
        const ApiCall call = { .method = "PUT",
                               .path = path,
                               .content_type = "application/json",
                               .body = text,
                               .length = strlen(text) };
        if (!api_call(fly, &call, &reply, error))
                return false;
        g_autoptr(Value) answer = api_decode(&reply, error);
        if (!answer)
                return false;
        show_warnings_of_value(fly, value_get(answer, "warnings"));
        puts(reply.status == 201 ? "team created" : "team updated");
        return true;
}

static bool set_team_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        const SetTeamOptions *options = data;
        g_autoptr(ConfigFindings) findings = config_findings_new();

        if (!check_file(options->config, error))
                return false;
        if (strchr(options->team, '/'))
                return fly_fail(error, "team name cannot contain '/'");
        if (!identifier_check(options->team, "team", findings, error) ||
            !fly_open(fly, NULL, error))
                return false;
        g_autoptr(Value) auth = wanted_auth(options, error);
        if (!auth)
                return false;
        show(options->team, auth);
        show_config_warnings(fly, findings->warnings);
        if (!options->non_interactive) {
                putchar('\n');
                if (!prompt_confirm("apply team configuration?"))
                        return fly_fail_plain(error, "bailing out");
        }
        return send(fly, options->team, auth, error);
}

const Command command_set_team = {
        .name = "set-team",
        .aliases = { "st" },
        .summary = "Create or modify a team to have the given credentials",
        .options = set_team_options,
        .size = sizeof(SetTeamOptions),
        .run = set_team_run,
};
