/* An image: its manifest, chosen by platform where there are several, and its config. */
#pragma once

#include "resources/registry.h"

/* Layers of one image. */
#define LAYERS_MAX 4096

typedef struct {
        char *digest, *media_type;
        int64_t size; /* of the blob, as it travels */
} Layer;

typedef struct {
        Manifest manifest;
        char *config_text;
        size_t config_length;
        Value *config;
        GPtrArray *layers; /* of Layer, bottom first */
} Image;

void image_clear(Image *image);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Image, image_clear)
void layer_free(Layer *layer);

/*
 * The index's entry for the run's platform; borrowed, NULL when there is none. An entry without platform is taken for
 * linux on amd64, as upstream's library does: that is how umoci and others write an index of one image.
 */
const Value *image_child(const Value *index, const RegistryRun *run);
/* Of an index, the child for the run's platform. Takes root. ERROR_NOT_FOUND "no child with platform …". */
bool image_choose(Registry *registry, const RegistryRun *run, Manifest *root, Manifest *ret,
                  GError **error);
/* Takes manifest; reads the config. ERROR_PROTOCOL: it is not an image's, or its layers cannot be. */
bool image_load(Registry *registry, Manifest *manifest, Image *ret, GError **error);
/* By digest or tag: the manifest, the platform's child, its config. */
bool image_fetch(Registry *registry, const RegistryRun *run, const char *reference, Image *ret,
                 GError **error);
/* "env", "Labels" and such of the config; borrowed, may be NULL. */
const Value *image_setting(const Image *image, const char *name);
