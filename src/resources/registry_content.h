/* What a registry holds: tags, manifests, blobs. */
#pragma once

#include "base/value.h"
#include "resources/registry_connection.h"

#define MEDIA_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define MEDIA_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"

/* As the OCI specification asks registries to take it. */
#define MANIFEST_MAX ((size_t) 4 << 20)
/* A blob that is read into memory: an image's config. */
#define CONFIG_MAX ((size_t) 16 << 20)

/* An index or a manifest. */
typedef struct {
        char *media_type, *digest;
        char *text; /* as it came, byte for byte */
        size_t length;
        Value *value; /* parsed */
} Manifest;

void manifest_clear(Manifest *manifest);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Manifest, manifest_clear)
/* Takes text. media_type may be NULL: what the text says itself counts. ERROR_PROTOCOL: no manifest, or another
 * digest than wanted (NULL: any). */
bool manifest_read(char *text, size_t length, const char *media_type, const char *wanted,
                   Manifest *ret, GError **error);
bool manifest_is_index(const Manifest *manifest);

/* *ret is new: the digest of what a tag names. ERROR_NOT_FOUND. */
bool registry_digest(Registry *registry, const char *tag, char **ret, GError **error);
/* reference: a tag, or a digest, which is verified. ERROR_NOT_FOUND. */
bool registry_manifest(Registry *registry, const char *reference, Manifest *ret, GError **error);
/* *ret is new, of char *, in the registry's order. ERROR_NOT_FOUND: no such repository. */
bool registry_tags(Registry *registry, GPtrArray **ret, GError **error);

typedef struct {
        const char *digest;
        int64_t size; /* -1: unknown */
        HttpSink sink;
        void *data;
} BlobSpec;
/* Streams a blob, and goes on where a broken connection left off. When it fails, the sink may have had bytes; a wrong
 * digest (ERROR_PROTOCOL) is known only at the end. */
bool registry_blob(Registry *registry, const BlobSpec *spec, GError **error);
/* A blob of at most CONFIG_MAX bytes. Returns new. */
char *registry_blob_text(Registry *registry, const char *digest, size_t *ret_length,
                         GError **error);
