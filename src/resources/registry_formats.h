/* The forms in which a get leaves an image (reference 09 §7.4). Each fills folder, which exists. */
#pragma once

#include "resources/registry_layer.h"

typedef struct {
        const RegistryRun *run;
        Registry *registry;
        LayerCache *cache; /* may be NULL */
        const char *folder;
} Download;

/* rootfs/ and metadata.json. */
bool format_rootfs(const Download *download, const Image *image, GError **error);
/* image.tar, as docker save makes it, with the layers as they travelled. */
bool format_tar(const Download *download, const Image *image, GError **error);
/* oci/, with all that the root manifest names; index.json is an index byte for byte. */
bool format_layout(const Download *download, const Manifest *root, GError **error);

/* A small file in the folder, mode 0644. */
bool download_write(const Download *download, const char *name, const char *text, size_t length,
                    GError **error);
/* "5f70bf18a086 3.4 MB", for the user. */
void download_say_layer(const Layer *layer, bool cached);
