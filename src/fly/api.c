#include "fly/api.h"

#include "base/files.h"
#include "base/json.h"
#include "fly/table.h"
#include "http/status.h"
#include "http/url.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define DIAL_TIMEOUT (10 * DURATION_SECOND)
#define SYSTEM_CERTIFICATES "/etc/ssl/certs/ca-certificates.crt"
#define CERTIFICATES_MAX ((size_t) 8 * 1024 * 1024)
#define REFUSAL_MAX ((size_t) 64 * 1024) /* of what a refusal says, where an answer is streamed */

/* ---- the client ---- */

/* The system's authorities and the target's own in a file without a name, that lives as long as this process.
 * Returns new. */
static char *ca_bundle_write(const char *ca_cert, GError **error) {
        int fd = memfd_create("fly-ca", MFD_CLOEXEC);
        size_t length = 0;
        g_autofree char *system = file_read(SYSTEM_CERTIFICATES, CERTIFICATES_MAX, &length, NULL);

        if (fd < 0 || !write_all(fd, ca_cert, strlen(ca_cert), error) ||
            !write_all(fd, "\n", 1, error) || !write_all(fd, system, length, error))
                return NULL;
        return g_strdup_printf("/proc/self/fd/%d", fd);
}

bool fly_connect(Fly *fly, GError **error) {
        const Target *target = fly->target;
        HttpClientSpec spec = { .connect_timeout = DIAL_TIMEOUT,
                                .insecure = target->insecure,
                                .user_agent = "Go-http-client/1.1",
                                .follow = true };
        g_autofree char *ca_file = NULL;

        if (*target->client_key_path && !*target->client_cert_path)
                return fly_fail(error, "A client key may not be declared without defining a client "
                                       "certificate");
        if (*target->client_cert_path && !*target->client_key_path)
                return fly_fail(error, "A client certificate may not be declared without defining "
                                       "a client key");
        if (*target->client_cert_path) {
                spec.client_certificate = target->client_cert_path;
                spec.client_key = target->client_key_path;
        }
        if (*target->ca_cert) {
                if (!strstr(target->ca_cert, "-----BEGIN CERTIFICATE-----"))
                        return fly_fail(error, "CA Cert not valid");
                if (!(ca_file = ca_bundle_write(target->ca_cert, error)))
                        return false;
                spec.ca_file = ca_file;
        }
        g_clear_pointer(&fly->http, http_client_free);
        fly->http = http_client_new(&spec);
        return true;
}

/* ---- requests ---- */

char *api_authorization(const Target *target) {
        static const struct {
                const char *lower, *proper;
        } types[] = {
                { "", "Bearer" }, { "bearer", "Bearer" }, { "mac", "MAC" }, { "basic", "Basic" }
        };
        g_autofree char *lower = g_ascii_strdown(target->token_type, -1);
        const char *type = target->token_type;

        for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
                if (g_str_equal(types[i].lower, lower))
                        type = types[i].proper;
        return g_strdup_printf("Authorization: %s %s", type, target->token_value);
}

static void dump_line(void) {
        g_autoptr(GDateTime) now = g_date_time_new_now_local();
        g_autofree char *text = g_date_time_format(now, "%Y/%m/%d %H:%M:%S ");

        fputs(text, stderr);
}

static void dump_request(const HttpCall *call, const char *path, const char *host) {
        dump_line();
        fprintf(stderr, "%s %s HTTP/1.1\nHost: %s\n", call->method, path, host);
        for (size_t i = 0; call->headers[i]; i++)
                fprintf(stderr, "%s\n", call->headers[i]);
        fprintf(stderr, "\n%.*s\n", (int) call->body_length,
                call->body ? (const char *) call->body : "");
}

char *http_status_line(int status) {
        return g_strdup_printf("%d %s", status, http_status_text(status));
}

static void dump_reply(const HttpReply *reply) {
        dump_line();
        fprintf(stderr, "HTTP/1.1 %d %s\n", reply->status, http_status_text(reply->status));
        for (size_t i = 0; i < reply->headers->len; i++)
                fprintf(stderr, "%s\n", (const char *) reply->headers->pdata[i]);
        fprintf(stderr, "\n%.*s\n", (int) reply->length, reply->body ? reply->body : "");
}

/* What the operator's policy said about the request (reference 02 §2.5). */
static void show_policy_warning(const HttpReply *reply) {
        const char *text = http_reply_header(reply, "X-Concourse-Policy-Check-Warning");

        if (!text)
                return;
        g_auto(GStrv) parts = g_strsplit(text, " * ", -1);
        fprintf(stderr, "\033[1;33m%s\033[0m\n", parts[0] ? parts[0] : "");
        for (size_t i = 1; parts[0] && parts[i]; i++)
                fprintf(stderr, "\033[1;33m * %s\033[0m\n", parts[i]);
        fputs("\033[33mWARNING: unblocking from the policy check failure for soft "
              "enforcement\033[0m\n\n",
              stderr);
}

/* Between a call and its sink: the body of a refusal is no part of what was asked for, but says why. */
typedef struct {
        const ApiCall *call;
        bool refused;
        GString *text;
} Streamed;

static bool on_head(const HttpReply *reply, void *data, GError **error) {
        Streamed *streamed = data;
        const ApiCall *call = streamed->call;

        streamed->refused = !http_status_is_success(reply->status);
        return !call->head || call->head(reply, call->data, error);
}

static bool on_bytes(const void *bytes, size_t length, void *data, GError **error) {
        Streamed *streamed = data;
        const ApiCall *call = streamed->call;

        if (!streamed->refused || call->raw)
                return call->sink(bytes, length, call->data, error);
        size_t room = REFUSAL_MAX - streamed->text->len;
        g_string_append_len(streamed->text, bytes, (gssize) MIN(length, room));
        return true;
}

static ssize_t on_source(void *ret, size_t length, void *data, GError **error) {
        const ApiCall *call = ((Streamed *) data)->call;

        return call->source(ret, length, call->data, error);
}

bool api_call(Fly *fly, const ApiCall *call, HttpReply *ret, GError **error) {
        g_autofree char *url = g_strconcat(fly->target->api, call->path, NULL);
        g_autofree char *login = fly->target->has_token && !call->anonymous
                                         ? api_authorization(fly->target)
                                         : NULL;
        g_autofree char *type = call->content_type
                                        ? g_strconcat("Content-Type: ", call->content_type, NULL)
                                        : NULL;
        const char *headers[4] = { NULL };
        size_t count = 0;
        const char *const wanted[] = { login, type, call->header };
        g_auto(HttpReply) reply = { 0 };
        g_autoptr(GError) cause = NULL;
        g_autoptr(GString) refusal = g_string_new(NULL);
        Streamed streamed = { .call = call, .text = refusal };

        for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++)
                if (wanted[i])
                        headers[count++] = wanted[i];
        HttpCall http = { .method = call->method ? call->method : "GET",
                          .url = url,
                          .headers = headers,
                          .body = call->body,
                          .body_length = call->length,
                          .source = call->source ? on_source : NULL,
                          .sink = call->sink ? on_bytes : NULL,
                          .head = on_head,
                          .data = &streamed };
        if (fly->verbose && !call->sink)
                dump_request(&http, call->path,
                             strstr(fly->target->api, "://") ? strstr(fly->target->api, "://") + 3
                                                             : fly->target->api);
        if (!http_call(fly->http, &http, call->cancel, &reply, &cause)) {
                if (cause->domain != ERROR)
                        g_propagate_error(error, g_steal_pointer(&cause));
                else
                        g_set_error_literal(error, FLY_ERROR, FLY_NETWORK, cause->message);
                return false;
        }
        if (fly->verbose && !call->sink)
                dump_reply(&reply);
        show_policy_warning(&reply);
        if (!call->raw && !http_status_is_success(reply.status)) {
                if (call->sink) {
                        g_free(reply.body);
                        reply.length = refusal->len;
                        reply.body = g_strdup(refusal->str);
                }
                return api_status_error(&reply, error);
        }
        if (ret) {
                *ret = reply;
                reply = (HttpReply){ 0 };
        }
        return true;
}

bool api_unexpected(const HttpReply *reply, GError **error) {
        return fly_fail(error, "Unexpected Response\nStatus: %d %s\nBody: %s", reply->status,
                        http_status_text(reply->status), reply->body ? reply->body : "");
}

/* {"errors":[{"detail":…}]} */
static char *not_found_text(const HttpReply *reply) {
        g_autoptr(Value) body = reply->body ? json_parse(reply->body, reply->length, NULL, NULL)
                                            : NULL;
        const Value *errors = value_get(body, "errors");
        g_autoptr(GString) text = g_string_new(NULL);

        for (size_t i = 0; i < value_length(errors); i++)
                g_string_append_printf(text, "%s%s", i ? " " : "",
                                       value_get_string(value_at(errors, i), "detail", ""));
        return g_strdup(text->len ? text->str : "resource not found");
}

bool api_status_error(const HttpReply *reply, GError **error) {
        g_autofree char *missing = NULL;

        switch (reply->status) {
        case 404:
                missing = not_found_text(reply);
                g_set_error_literal(error, FLY_ERROR, FLY_NOT_FOUND, missing);
                return false;
        case 401:
                g_set_error_literal(error, FLY_ERROR, FLY_UNAUTHORIZED, "not authorized");
                return false;
        case 403:
                g_set_error(error, FLY_ERROR, FLY_FORBIDDEN,
                            reply->length ? "forbidden: %s" : "forbidden%s",
                            reply->length ? reply->body : "");
                return false;
        default:
                return api_unexpected(reply, error);
        }
}

Value *api_decode(const HttpReply *reply, GError **error) {
        return reply->length ? json_parse(reply->body, reply->length, NULL, error) : value_null();
}

Value *api_get(Fly *fly, const char *path, GError **error) {
        g_auto(HttpReply) reply = { 0 };

        return api_call(fly, &(ApiCall){ .path = path }, &reply, error) ? api_decode(&reply, error)
                                                                        : NULL;
}

Value *api_send(Fly *fly, const char *method, const char *path, const Value *body, GError **error) {
        g_auto(HttpReply) reply = { 0 };
        g_autofree char *json = body ? json_write(body, 0, NULL) : NULL;
        g_autofree char *text = json ? g_strconcat(json, "\n", NULL) : NULL;
        const ApiCall call = { .method = method,
                               .path = path,
                               .content_type = text ? "application/json" : NULL,
                               .body = text,
                               .length = text ? strlen(text) : 0 };

        return api_call(fly, &call, &reply, error) ? api_decode(&reply, error) : NULL;
}

bool api_put(Fly *fly, const char *path, GError **error) {
        return api_call(fly, &(ApiCall){ .method = "PUT", .path = path }, NULL, error);
}

/* ---- beginning ---- */

bool fly_load(Fly *fly, GError **error) {
        if (!fly->target_name) {
                g_set_error_literal(error, FLY_ERROR, FLY_NO_TARGET, "no target specified");
                return false;
        }
        g_clear_pointer(&fly->targets, targets_free);
        if (!(fly->targets = targets_load(error)))
                return false;
        fly->target = targets_find(fly->targets, fly->target_name);
        if (!fly->target)
                return fly_fail(error, "unknown target: %s", fly->target_name);
        target_set(&fly->team, fly->target->team);
        return fly_connect(fly, error);
}

/* The three components; false when it has another number of them. A dash begins a pre-release. */
static bool version_split(const char *text, int64_t ret[3], bool *ret_dev) {
        g_auto(GStrv) halves = g_strsplit_set(text, "-+", 2);
        g_auto(GStrv) parts = g_strsplit(halves[0] ? halves[0] : "", ".", -1);

        *ret_dev = halves[0] && halves[1] && strstr(halves[1], "dev");
        if (g_strv_length(parts) != 3)
                return false;
        for (size_t i = 0; i < 3; i++)
                ret[i] = g_ascii_strtoll(parts[i], NULL, 10);
        return true;
}

static void say_out_of_sync(const Fly *fly, const char *theirs) {
        fputs("fly version (", stderr);
        color_print(fly, stderr, COLOR_BOLD, fly_version());
        fputs(") is out of sync with the target (", stderr);
        color_print(fly, stderr, COLOR_BOLD, theirs);
        fprintf(stderr, "). to sync up, run the following:\n\n    %s -t %s sync\n", fly->program,
                fly->target_name);
}

static bool compare_versions(const Fly *fly, const char *theirs, bool lenient, GError **error) {
        int64_t own[3], other[3];
        bool own_dev, other_dev;
        bool own_good = version_split(fly_version(), own, &own_dev);

        if (g_str_equal(fly_version(), theirs) || own_dev)
                return true;
        if (!own_good || !version_split(theirs, other, &other_dev))
                return fly_fail(error, "Wrong number of components");
        if (!lenient && (own[0] != other[0] || own[1] != other[1])) {
                say_out_of_sync(fly, theirs);
                fputc('\n', stderr);
                color_print(fly, stderr, COLOR_FAILED,
                            "cowardly refusing to run due to significant version discrepancy");
                fputc('\n', stderr);
                g_set_error_literal(error, FLY_ERROR, FLY_SILENT, "versions differ");
                return false;
        }
        color_print(fly, stderr, COLOR_FAILED, "WARNING:");
        fputs("\n\n", stderr);
        say_out_of_sync(fly, theirs);
        fputc('\n', stderr);
        return true;
}

bool fly_check_version(Fly *fly, bool lenient, GError **error) {
        g_autoptr(Value) info = api_get(fly, "/api/v1/info", error);

        if (!info)
                return false;
        target_set(&fly->worker_version, value_get_string(info, "worker_version", ""));
        return compare_versions(fly, value_get_string(info, "version", ""), lenient, error);
}

Value *fly_get_team(Fly *fly, const char *name, GError **error) {
        g_autofree char *segment = url_encode_path(name);
        g_autofree char *path = g_strconcat("/api/v1/teams/", segment, NULL);
        g_auto(HttpReply) reply = { 0 };

        if (!api_call(fly, &(ApiCall){ .path = path, .raw = true }, &reply, error))
                return NULL;
        if (reply.status == 200)
                return api_decode(&reply, error);
        if (reply.status == 403)
                fly_fail(error, "you do not have a role on team '%s'", name);
        else if (reply.status == 404)
                fly_fail(error, "team '%s' does not exist", name);
        else
                api_unexpected(&reply, error);
        return NULL;
}

static bool look_up_team(Fly *fly, const char *name, GError **error) {
        g_autoptr(Value) team = fly_get_team(fly, name, error);

        if (!team)
                return false;
        target_set(&fly->team, name);
        return true;
}

bool fly_open(Fly *fly, const char *team, GError **error) {
        return fly_load(fly, error) && fly_check_version(fly, false, error) &&
               (!team || !*team || look_up_team(fly, team, error));
}

/* ---- paths ---- */

char *path_team(const Fly *fly, const char *tail) {
        g_autofree char *team = url_encode_path(fly->team);

        return g_strconcat("/api/v1/teams/", team, tail, NULL);
}

static char *with_query(char *path, const Value *vars, const char *query) {
        g_autofree char *base = path;
        g_autofree char *pairs = url_instance_vars(vars);
        bool has_pairs = *pairs, has_query = query && *query;

        return g_strconcat(base, has_pairs || has_query ? "?" : "", pairs,
                           has_pairs && has_query ? "&" : "", has_query ? query : "", NULL);
}

char *path_pipeline(const Fly *fly, const PipelineRef *ref, const char *tail, const char *query) {
        g_autofree char *team = path_team(fly, "/pipelines/");
        g_autofree char *name = url_encode_path(ref->name);

        return with_query(g_strconcat(team, name, tail, NULL), ref->vars, query);
}

char *path_item(const Fly *fly, const char *kind, const ItemRef *ref, const char *tail,
                const char *query) {
        g_autofree char *name = url_encode_path(ref->name);
        g_autofree char *whole = g_strconcat("/", kind, "/", name, tail, NULL);

        return path_pipeline(fly, &ref->pipeline, whole, query);
}
