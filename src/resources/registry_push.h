/* What a put sends: blobs as files, manifests as text (reference 09 §7.5). */
#pragma once

#include "resources/registry_content.h"

typedef struct {
        char *digest, *path;
        int64_t size;
} PushBlob;

typedef struct {
        GPtrArray *blobs; /* of PushBlob, each digest once */
        GPtrArray *
                manifests; /* of Manifest, children before the index that names them, the root last */
        char *temporary;   /* a folder of ours; NULL: none */
} PushImage;

/* Removes the temporary folder. */
void push_image_clear(PushImage *image);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PushImage, push_image_clear)
void push_image_init(PushImage *image);
/* Takes path. */
void push_image_add_blob(PushImage *image, const char *digest, char *path, int64_t size);
/* Takes manifest's content. */
void push_image_add_manifest(PushImage *image, Manifest *manifest);
const Manifest *push_image_root(const PushImage *image);

/* A docker-save tar with one image, or a directory in OCI's layout. ERROR_INVALID says what it is instead. */
bool push_image_load(const char *path, PushImage *ret, GError **error);
bool push_load_layout(const char *folder, PushImage *image, GError **error);
bool push_load_tar(const char *path, PushImage *image, GError **error);

/* Sends what the registry does not have yet, and the root manifest under each tag (char *). */
bool push_image_send(const PushImage *image, Registry *registry, const GPtrArray *tags,
                     GError **error);
