/* Where an image lives: "alpine", "ghcr.io/team/app", "localhost:5000/app". */
#pragma once

#include "base/error.h"

typedef struct {
        char *registry; /* "index.docker.io", "localhost:5000" */
        char *path;     /* "library/alpine" */
} RegistryName;

void registry_name_clear(RegistryName *name);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RegistryName, registry_name_clear)

/* Docker Hub where no registry is named, and there "library/" where no account is. ERROR_INVALID: a tag or digest in
 * it, other letters than those of repositories. */
bool registry_name_parse(const char *repository, RegistryName *ret, GError **error);
bool registry_name_is_docker_hub(const RegistryName *name);
/* Whether the host is local enough that plain HTTP is tried after HTTPS without being asked for. */
bool registry_name_is_local(const RegistryName *name);
/* Of a tag: letters, digits, "_", ".", "-", at most 128. */
bool registry_tag_is_valid(const char *tag);
/* "sha256:" and 64 lower-case hex digits. */
bool registry_digest_is_valid(const char *digest);
