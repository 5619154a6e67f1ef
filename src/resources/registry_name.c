#include "resources/registry_name.h"

#include <arpa/inet.h>
#include <string.h>

#define DOCKER_HUB "index.docker.io"
#define PATH_LENGTH_MAX 255
#define TAG_LENGTH_MAX 128
#define DIGEST_HEX_LENGTH 64

static const char path_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_-./";
static const char host_letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:[]";
static const char tag_letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";

void registry_name_clear(RegistryName *name) {
        g_free(name->registry);
        g_free(name->path);
        *name = (RegistryName){ 0 };
}

static bool is_host(const char *text) {
        return strpbrk(text, ".:") || g_str_equal(text, "localhost");
}

static bool path_check(const char *path, GError **error) {
        size_t length = strlen(path);
        if (length < 2 || length > PATH_LENGTH_MAX) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "repository must be between 2 and 255 characters in length: %s", path);
                return false;
        }
        if (strspn(path, path_letters) != length) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "repository can only contain the characters `%s`: %s", path_letters,
                            path);
                return false;
        }
        g_auto(GStrv) parts = g_strsplit(path, "/", -1);
        for (char **part = parts; *part; part++)
                if (!**part || g_str_equal(*part, ".") || g_str_equal(*part, "..")) {
                        g_set_error(error, ERROR, ERROR_INVALID, "invalid repository: %s", path);
                        return false;
                }
        return true;
}

bool registry_name_parse(const char *repository, RegistryName *ret, GError **error) {
        g_auto(RegistryName) name = { 0 };
        if (!*repository) {
                g_set_error(error, ERROR, ERROR_INVALID, "a repository name must be specified");
                return false;
        }
        const char *slash = strchr(repository, '/');
        g_autofree char *first = slash ? g_strndup(repository, (size_t) (slash - repository))
                                       : NULL;
        if (first && is_host(first)) {
                name.registry = g_strdup(g_str_equal(first, "docker.io") ? DOCKER_HUB : first);
                name.path = g_strdup(slash + 1);
        } else {
                name.registry = g_strdup(DOCKER_HUB);
                name.path = g_strdup(repository);
        }
        if (strspn(name.registry, host_letters) != strlen(name.registry)) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "registries must be valid RFC 3986 URI authorities: %s", name.registry);
                return false;
        }
        if (g_str_equal(name.registry, DOCKER_HUB) && !strchr(name.path, '/')) {
                char *implied = g_strconcat("library/", name.path, NULL);
                g_free(name.path);
                name.path = implied;
        }
        if (!path_check(name.path, error))
                return false;
        *ret = name;
        name = (RegistryName){ 0 };
        return true;
}

bool registry_name_is_docker_hub(const RegistryName *name) {
        return g_str_equal(name->registry, DOCKER_HUB);
}

/* The host without its port, and without the brackets of an IPv6 address. Returns new. */
static char *host_of(const char *registry) {
        if (*registry == '[')
                return g_strndup(registry + 1, strcspn(registry + 1, "]"));
        const char *colon = strrchr(registry, ':');
        return g_strndup(registry, colon ? (size_t) (colon - registry) : strlen(registry));
}

/* The networks of RFC 1918 and the loopback one. */
static bool is_private(uint32_t address) {
        static const struct {
                uint32_t network, mask;
        } networks[] = {
                { 0x0a000000, 0xff000000 },
                { 0xac100000, 0xfff00000 },
                { 0xc0a80000, 0xffff0000 },
                { 0x7f000000, 0xff000000 },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(networks); i++)
                if ((address & networks[i].mask) == networks[i].network)
                        return true;
        return false;
}

bool registry_name_is_local(const RegistryName *name) {
        g_autofree char *host = host_of(name->registry);
        struct in_addr address;
        if (inet_pton(AF_INET, host, &address) == 1)
                return is_private(ntohl(address.s_addr));
        return g_str_equal(host, "localhost") || g_str_equal(host, "::1") ||
               g_str_has_suffix(host, ".local") || g_str_has_suffix(host, ".localhost");
}

bool registry_tag_is_valid(const char *tag) {
        size_t length = strlen(tag);
        return length > 0 && length <= TAG_LENGTH_MAX && strspn(tag, tag_letters) == length;
}

bool registry_digest_is_valid(const char *digest) {
        if (!g_str_has_prefix(digest, "sha256:"))
                return false;
        const char *hex = digest + strlen("sha256:");
        return strlen(hex) == DIGEST_HEX_LENGTH && strspn(hex, "0123456789abcdef") == strlen(hex);
}
