#include "resources/registry.h"

#include "base/files.h"
#include "resources/program.h"
#include "resources/strict.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define SYSTEM_CERTIFICATES "/etc/ssl/certs/ca-certificates.crt"
#define CERTIFICATES_MAX ((size_t) 64 << 20)

/* ---- the fields ---- */

static const StrictField platform_fields[] = { { "architecture", FIELD_STRING },
                                               { "os", FIELD_STRING },
                                               {} };

static const StrictField mirror_fields[] = {
        { "host", FIELD_STRING }, { "username", FIELD_STRING }, { "password", FIELD_STRING }, {}
};

static const StrictField trust_fields[] = {
        { "server", FIELD_STRING },         { "repository_key_id", FIELD_STRING },
        { "repository_key", FIELD_STRING }, { "repository_passphrase", FIELD_STRING },
        { "tls_key", FIELD_STRING },        { "tls_cert", FIELD_STRING },
        { "username", FIELD_STRING },       { "password", FIELD_STRING },
        { "scopes", FIELD_STRINGS },        {},
};

static const StrictField source_fields[] = {
        { "repository", FIELD_STRING },
        { "insecure", FIELD_BOOL },
        { "tag", FIELD_TEXT },
        { "tag_regex", FIELD_STRING },
        { "created_at_sort", FIELD_BOOL },
        { "variant", FIELD_STRING },
        { "semver_constraint", FIELD_STRING },
        { "pre_releases", FIELD_BOOL },
        { "pre_release_prefixes", FIELD_STRINGS },
        { "username", FIELD_STRING },
        { "password", FIELD_STRING },
        { "aws_access_key_id", FIELD_STRING },
        { "aws_secret_access_key", FIELD_STRING },
        { "aws_session_token", FIELD_STRING },
        { "aws_region", FIELD_STRING },
        { "aws_ecr_registry_id", FIELD_STRING },
        { "aws_role_arn", FIELD_STRING },
        { "aws_role_arns", FIELD_STRINGS },
        { "aws_account_id", FIELD_STRING },
        { "azure_acr", FIELD_BOOL },
        { "azure_client_id", FIELD_STRING },
        { "azure_tenant_id", FIELD_STRING },
        { "azure_environment", FIELD_STRING },
        { "registry_mirror", FIELD_OBJECT, "RegistryMirror", mirror_fields },
        { "content_trust", FIELD_OBJECT, "ContentTrust", trust_fields },
        { "ca_certs", FIELD_STRINGS },
        { "platform", FIELD_OBJECT, "PlatformField", platform_fields },
        { "label_regex", FIELD_STRING },
        { "annotation_regex", FIELD_STRING },
        { "debug", FIELD_BOOL },
        {},
};

/* Known upstream, not built here; the other fields of aws and azure mean nothing without these. What to do instead. */
static const struct {
        const char *field, *instead;
} unsupported[] = {
        { "aws_region",
          "give the registry's whole name as the repository, and AWS as username with a "
          "password of aws ecr get-login-password" },
        { "azure_acr", "give the username and password of a token or service principal" },
        { "content_trust",
          "Notary v1 signatures are not made, and an unsigned push would pass for a "
          "signed one" },
};

static const StrictField version_fields[] = { { "tag", FIELD_STRING },
                                              { "digest", FIELD_STRING },
                                              {} };

static const StrictField get_fields[] = {
        { "format", FIELD_STRING },
        { "platform", FIELD_OBJECT, "PlatformField", platform_fields },
        { "skip_download", FIELD_BOOL },
        {},
};

static const StrictField put_fields[] = {
        { "image", FIELD_STRING },      { "version", FIELD_TEXT },
        { "bump_aliases", FIELD_BOOL }, { "additional_tags", FIELD_STRING },
        { "tag_prefix", FIELD_STRING }, {},
};

static const StrictRequest parts = { source_fields, version_fields, get_fields, put_fields };

/* ---- taking it apart ---- */

void registry_run_clear(RegistryRun *run) {
        value_free(run->request);
        registry_name_clear(&run->name);
        registry_name_clear(&run->mirror);
        if (run->ca_file)
                unlink(run->ca_file);
        g_free(run->ca_file);
        g_free(run->architecture);
        g_free(run->os);
        *run = (RegistryRun){ 0 };
}

const char *registry_source(const RegistryRun *run, const char *key) {
        return value_get_string(run->source, key, "");
}

const char *registry_param(const RegistryRun *run, const char *key) {
        return value_get_string(run->params, key, "");
}

static bool unsupported_refuse(const RegistryRun *run, GError **error) {
        for (size_t i = 0; i < G_N_ELEMENTS(unsupported); i++) {
                const Value *value = value_get(run->source, unsupported[i].field);
                const char *text = value_text(value);
                if ((text && *text) || value_as_bool(value) || value_length(value) > 0) {
                        g_set_error(error, ERROR, ERROR_UNSUPPORTED,
                                    "'%s' in the source is not supported by this registry-image "
                                    "resource type: %s",
                                    unsupported[i].field, unsupported[i].instead);
                        return false;
                }
        }
        return true;
}

static const char *machine(const struct utsname *system) {
        static const struct {
                const char *machine, *architecture;
        } names[] = { { "x86_64", "amd64" }, { "aarch64", "arm64" } };
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                if (g_str_equal(names[i].machine, system->machine))
                        return names[i].architecture;
        return system->machine;
}

/* The param's platform replaces the source's as a whole; what neither says is the worker's own. */
static void set_platform(RegistryRun *run) {
        struct utsname system = { 0 };
        uname(&system);
        const Value *platform = value_get(run->params, "platform");
        if (!platform)
                platform = value_get(run->source, "platform");
        const char *architecture = value_get_string(platform, "architecture", "");
        const char *os = value_get_string(platform, "os", "");
        run->architecture = g_strdup(*architecture ? architecture : machine(&system));
        run->os = g_strdup(*os ? os : "linux");
}

static bool set_mirror(RegistryRun *run, GError **error) {
        const char *host = value_get_string(value_get(run->source, "registry_mirror"), "host", "");
        if (!*host || !registry_name_is_docker_hub(&run->name))
                return true;
        g_autofree char *repository = g_strconcat(host, "/", run->name.path, NULL);
        if (registry_name_parse(repository, &run->mirror, error))
                return true;
        g_prefix_error(error, "failed to resolve mirror: ");
        return false;
}

/* curl takes one file: the system's certificates and the source's behind each other. */
static bool set_certificates(RegistryRun *run, GError **error) {
        const Value *list = value_get(run->source, "ca_certs");
        if (value_length(list) == 0)
                return true;
        size_t length = 0;
        g_autofree char *system = file_read(SYSTEM_CERTIFICATES, CERTIFICATES_MAX, &length, NULL);
        g_autoptr(GString) text = g_string_new_len(system ? system : "", (gssize) length);
        for (size_t i = 0; i < value_length(list); i++)
                g_string_append_printf(text, "\n%s\n", value_text(value_at(list, i)));
        g_autofree char *path = g_build_filename(g_get_tmp_dir(), "registry-ca-XXXXXX", NULL);
        autofd fd = g_mkstemp(path);
        if (fd < 0) {
                g_set_error(error, ERROR, ERROR_IO, "cannot make a file for ca_certs: %s", path);
                return false;
        }
        run->ca_file = g_steal_pointer(&path);
        return write_all(fd, text->str, text->len, error);
}

static bool check_version(StrictRole role, const RegistryRun *run, GError **error) {
        const char *digest = value_get_string(run->version, "digest", "");
        if ((role != STRICT_IN && !*digest) || registry_digest_is_valid(digest))
                return true;
        g_set_error(error, ERROR, ERROR_INVALID, "invalid payload: '%s' is no digest of an image",
                    digest);
        return false;
}

bool registry_run_init(StrictRole role, const Value *request, RegistryRun *ret, GError **error) {
        g_auto(RegistryRun) run = { 0 };
        run.request = strict_request(request, role, &parts, error);
        if (!run.request)
                return false;
        run.source = value_get(run.request, "source");
        run.version = value_get(run.request, "version");
        run.params = value_get(run.request, "params");
        const char *tag = registry_source(&run, "tag");
        if (!unsupported_refuse(&run, error) || !check_version(role, &run, error))
                return false;
        if (*tag && !registry_tag_is_valid(tag)) {
                g_set_error(error, ERROR, ERROR_INVALID, "invalid payload: invalid tag '%s'", tag);
                return false;
        }
        if (!registry_name_parse(registry_source(&run, "repository"), &run.name, error)) {
                g_prefix_error(error, "failed to resolve repository: ");
                return false;
        }
        if (!set_mirror(&run, error) || !set_certificates(&run, error))
                return false;
        set_platform(&run);
        *ret = run;
        run = (RegistryRun){ 0 };
        return true;
}

Registry *registry_of(const RegistryRun *run, StrictRole role, bool mirror) {
        const Value *credentials = mirror ? value_get(run->source, "registry_mirror") : run->source;
        const RegistrySpec spec = {
                .name = mirror ? &run->mirror : &run->name,
                .username = value_get_string(credentials, "username", ""),
                .password = value_get_string(credentials, "password", ""),
                .insecure = value_get_bool(run->source, "insecure", false),
                .ca_file = run->ca_file,
                .actions = role == STRICT_OUT ? "push,pull" : "pull",
                .persistent = role != STRICT_CHECK,
        };
        return registry_new(&spec);
}

/* ---- what the user sees ---- */

void registry_say(const char *format, ...) {
        va_list arguments;
        va_start(arguments, format);
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        /* In one write: a line that comes in pieces becomes several events of a build. */
        g_autofree char *line = g_strconcat(text, "\n", NULL);
        fwrite(line, 1, strlen(line), stderr);
        fflush(stderr);
}

void registry_warn(const char *format, ...) {
        va_list arguments;
        va_start(arguments, format);
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        g_autoptr(GString)
                line = program_log_line(&(const ProgramLog){ .level = "WARN", .message = text });
        fwrite(line->str, 1, line->len, stderr);
        fflush(stderr);
}

void registry_metadata_add(Value *metadata, const char *name, const char *value) {
        Value *entry = value_map();
        value_map_set_string(entry, "name", name);
        value_map_set_string(entry, "value", value);
        value_list_add(metadata, entry);
}
