/* login: a token by password or from the browser (reference 02 §5.1–§5.3). */
#include "fly/api.h"
#include "fly/browser.h"
#include "fly/commands.h"

#include "base/files.h"
#include "base/json.h"
#include "http/url.h"

#include <string.h>

#define CERTIFICATE_MAX ((size_t) 4 * 1024 * 1024)
#define SCOPE "openid profile email federated:id groups"
/* What upstream's fly authenticates itself with: "fly:Zmx5". */
#define CLIENT_ID "fly"
#define CLIENT_SECRET "Zmx5"
#define CLIENT_BASIC "Authorization: Basic Zmx5OlpteDU="

typedef struct {
        Globals globals;
        char *url;
        bool insecure;
        char *username, *password;
        char *team;
        char *ca_cert, *client_cert, *client_key;
        bool open_browser;
} LoginOptions;

static const Option login_options[] = {
        OPT(LoginOptions, url, OPTION_STRING, 'c', "concourse-url",
            "Concourse URL to authenticate with"),
        OPT(LoginOptions, insecure, OPTION_FLAG, 'k', "insecure",
            "Skip verification of the endpoint's SSL certificate"),
        OPT(LoginOptions, username, OPTION_STRING, 'u', "username", "Username for basic auth"),
        OPT(LoginOptions, password, OPTION_STRING, 'p', "password", "Password for basic auth"),
        OPT(LoginOptions, team, OPTION_STRING, 'n', "team-name",
            "Team to authenticate with. Defaults to the 'main' team or the team previously used "
            "for the specified Target."),
        OPT(LoginOptions, ca_cert, OPTION_STRING, 0, "ca-cert",
            "Path to Concourse PEM-encoded CA certificate file."),
        OPT(LoginOptions, client_cert, OPTION_STRING, 0, "client-cert",
            "Path to a PEM-encoded client certificate file."),
        OPT(LoginOptions, client_key, OPTION_STRING, 0, "client-key",
            "Path to a PEM-encoded client key file."),
        OPT(LoginOptions, open_browser, OPTION_FLAG, 'b', "open-browser",
            "Open browser to the auth endpoint"),
        OPT_END,
};

/* ---- the target, as it shall be ---- */

static bool apply_certificates(const LoginOptions *options, Target *target, GError **error) {
        if (options->ca_cert && *options->ca_cert) {
                g_autofree char *text = file_read(options->ca_cert, CERTIFICATE_MAX, NULL, error);
                if (!text)
                        return false;
                target_set(&target->ca_cert, text);
        }
        if (options->client_cert || options->client_key) {
                target_set(&target->client_cert_path,
                           options->client_cert ? options->client_cert : "");
                target_set(&target->client_key_path,
                           options->client_key ? options->client_key : "");
        }
        return true;
}

/* A new one with -c, else the saved one. insecure always comes from the flag. */
static Target *make_target(Fly *fly, const LoginOptions *options, GError **error) {
        g_autoptr(Target) target = target_new(fly->target_name);
        const Target *saved = targets_find(fly->targets, fly->target_name);

        if (options->url) {
                target_set(&target->api, options->url);
                for (size_t end = strlen(target->api); end > 0 && target->api[end - 1] == '/';)
                        target->api[--end] = '\0';
        } else if (!saved) {
                fly_fail(error, "unknown target: %s", fly->target_name);
                return NULL;
        } else {
                target_set(&target->api, saved->api);
                target_set(&target->team, saved->team);
                target_set(&target->ca_cert, options->insecure ? "" : saved->ca_cert);
                target_set(&target->client_cert_path, saved->client_cert_path);
                target_set(&target->client_key_path, saved->client_key_path);
        }
        target->insecure = options->insecure;
        if (options->team && *options->team)
                target_set(&target->team, options->team);
        return apply_certificates(options, target, error) ? g_steal_pointer(&target) : NULL;
}

/* ---- by password ---- */

static char *grant_form(const LoginOptions *options, bool with_client) {
        g_autofree char *name = url_encode_query(options->username);
        g_autofree char *password = url_encode_query(options->password);
        g_autofree char *scope = url_encode_query(SCOPE);

        return g_strdup_printf(
                "%sgrant_type=password&password=%s&scope=%s&username=%s",
                with_client ? "client_id=" CLIENT_ID "&client_secret=" CLIENT_SECRET "&" : "",
                password, scope, name);
}

static bool grant_call(Fly *fly, const LoginOptions *options, bool with_client, HttpReply *ret,
                       GError **error) {
        g_autofree char *form = grant_form(options, with_client);
        const ApiCall call = { .method = "POST",
                               .path = "/sky/issuer/token",
                               .content_type = "application/x-www-form-urlencoded",
                               .body = form,
                               .length = strlen(form),
                               .header = with_client ? NULL : CLIENT_BASIC,
                               .raw = true,
                               .anonymous = true };

        return api_call(fly, &call, ret, error);
}

/* As Go's oauth2 package words it. */
static bool grant_refused(const HttpReply *reply, GError **error) {
        g_autoptr(Value) body = reply->length ? json_parse(reply->body, reply->length, NULL, NULL)
                                              : NULL;
        const char *code = value_get_string(body, "error", "");
        const char *description = value_get_string(body, "error_description", "");

        if (!*code) {
                g_autofree char *line = http_status_line(reply->status);
                return fly_fail(error, "oauth2: cannot fetch token: %s\nResponse: %s", line,
                                reply->body ? reply->body : "");
        }
        return *description ? fly_fail(error, "oauth2: \"%s\" \"%s\"", code, description)
                            : fly_fail(error, "oauth2: \"%s\"", code);
}

static bool token_by_password(Fly *fly, const LoginOptions *options, GError **error) {
        g_auto(HttpReply) first = { 0 }, second = { 0 };
        const HttpReply *reply = &first;
        bool verbose = fly->verbose;

        fly->verbose = false; /* passwords are not for the eyes of others */
        bool called = grant_call(fly, options, false, &first, error);
        if (called && (first.status < 200 || first.status > 299)) {
                called = grant_call(fly, options, true, &second, error);
                reply = &second;
        }
        fly->verbose = verbose;
        if (!called)
                return false;
        if (reply->status < 200 || reply->status > 299)
                return grant_refused(reply, error);
        g_autoptr(Value) body = api_decode(reply, error);
        if (!body)
                return false;
        const char *token = value_get_string(body, "access_token", "");
        if (!*token)
                return fly_fail(error, "oauth2: server response missing access_token");
        fly->target->has_token = true;
        target_set(&fly->target->token_type, value_get_string(body, "token_type", ""));
        target_set(&fly->target->token_value, token);
        return true;
}

/* ---- from the browser ---- */

static bool token_by_browser(Fly *fly, const LoginOptions *options, GError **error) {
        g_autofree char *token = browser_token(fly->target->api, options->open_browser, error);
        const char *space = token ? strchr(token, ' ') : NULL;

        if (!token)
                return false;
        if (!space)
                return fly_fail(error, "invalid token: %s", token);
        g_autofree char *type = g_strndup(token, (size_t) (space - token));
        fly->target->has_token = true;
        target_set(&fly->target->token_type, type);
        target_set(&fly->target->token_value, space + 1);
        return true;
}

/* ---- and does it open the team ---- */

static bool verify_admin(Fly *fly, GError **error) {
        g_autoptr(Value) teams = api_get(fly, "/api/v1/teams", error);

        if (!teams)
                return false;
        for (size_t i = 0; i < value_length(teams); i++)
                if (g_str_equal(value_get_string(value_at(teams, i), "name", ""),
                                fly->target->team))
                        return true;
        return fly_fail(error, "team '%s' does not exist", fly->target->team);
}

static bool verify(Fly *fly, GError **error) {
        g_autoptr(Value) user = api_get(fly, "/api/v1/user", error);

        if (!user)
                return false;
        if (value_get_bool(user, "is_admin", false))
                return verify_admin(fly, error);
        const Value *teams = value_get(user, "teams");
        if (value_is_null(teams))
                return fly_fail(error, "unable to verify role on team");
        if (!value_has(teams, fly->target->team))
                return fly_fail(error, "you are not a member of '%s' or the team does not exist",
                                fly->target->team);
        return true;
}

static bool log_in(Fly *fly, const LoginOptions *options, GError **error) {
        bool by_password = options->username && *options->username && options->password &&
                           *options->password;

        if (!fly_connect(fly, error) || !fly_check_version(fly, true, error) ||
            !(by_password ? token_by_password(fly, options, error)
                          : token_by_browser(fly, options, error)))
                return false;
        putchar('\n');
        return verify(fly, error);
}

static bool login_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        const LoginOptions *options = data;

        if (!fly->target_name)
                return fly_fail(error, "name for the target must be specified (--target/-t)");
        if (!(fly->targets = targets_load(error)))
                return false;
        g_autoptr(Target) target = make_target(fly, options, error);
        if (!target)
                return false;
        fly->target = target;
        printf("logging in to team '%s'\n\n", target->team);
        if (arguments->len > 0) {
                g_autofree char **words = g_new0(char *, arguments->len + 1);
                memcpy(words, arguments->pdata, arguments->len * sizeof *words);
                g_autofree char *all = g_strjoinv(", ", words);
                fly->target = NULL;
                return fly_fail(error, "unexpected argument [%s]", all);
        }
        bool good = log_in(fly, options, error);
        fly->target = NULL;
        if (!good)
                return false;
        targets_put(fly->targets, g_steal_pointer(&target));
        if (!targets_save(fly->targets, error))
                return false;
        fputs("\rtarget saved\r\n", stdout);
        return true;
}

const Command command_login = {
        .name = "login",
        .aliases = { "l" },
        .summary = "Authenticate with the target",
        .options = login_options,
        .size = sizeof(LoginOptions),
        .run = login_run,
};
