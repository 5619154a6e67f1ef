#include "resources/registry_push.h"

#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what is sent ---- */

static void blob_free(void *data) {
        PushBlob *blob = data;
        g_free(blob->digest);
        g_free(blob->path);
        g_free(blob);
}

static void manifest_free(void *data) {
        manifest_clear(data);
        g_free(data);
}

void push_image_init(PushImage *image) {
        *image = (PushImage){ .blobs = g_ptr_array_new_with_free_func(blob_free),
                              .manifests = g_ptr_array_new_with_free_func(manifest_free) };
}

void push_image_clear(PushImage *image) {
        if (image->blobs)
                g_ptr_array_unref(image->blobs);
        if (image->manifests)
                g_ptr_array_unref(image->manifests);
        if (image->temporary)
                directory_remove(image->temporary, NULL);
        g_free(image->temporary);
        *image = (PushImage){ 0 };
}

void push_image_add_blob(PushImage *image, const char *digest, char *path, int64_t size) {
        for (guint i = 0; i < image->blobs->len; i++)
                if (g_str_equal(((PushBlob *) image->blobs->pdata[i])->digest, digest)) {
                        g_free(path);
                        return;
                }
        PushBlob *blob = g_new(PushBlob, 1);
        *blob = (PushBlob){ .digest = g_strdup(digest), .path = path, .size = size };
        g_ptr_array_add(image->blobs, blob);
}

void push_image_add_manifest(PushImage *image, Manifest *manifest) {
        Manifest *copy = g_new(Manifest, 1);
        *copy = *manifest;
        *manifest = (Manifest){ 0 };
        g_ptr_array_add(image->manifests, copy);
}

const Manifest *push_image_root(const PushImage *image) {
        return image->manifests->pdata[image->manifests->len - 1];
}

bool push_image_load(const char *path, PushImage *ret, GError **error) {
        g_auto(PushImage) image = { 0 };
        struct stat status;
        push_image_init(&image);
        if (stat(path, &status) < 0) {
                error_set_errno(error, errno, "stat %s", path);
                return false;
        }
        if (!(S_ISDIR(status.st_mode) ? push_load_layout : push_load_tar)(path, &image, error))
                return false;
        *ret = image;
        image = (PushImage){ 0 };
        return true;
}

/* ---- one blob ---- */

typedef struct {
        int fd;
        int64_t left;
} BlobBody;

static ssize_t read_body(void *ret, size_t length, void *data, GError **error) {
        BlobBody *body = data;
        ssize_t got;
        do
                got = read(body->fd, ret, MIN(length, (size_t) body->left));
        while (got < 0 && errno == EINTR);
        if (got < 0 || (got == 0 && body->left > 0)) {
                error_set_errno(error, got < 0 ? errno : EIO, "cannot read a layer");
                return -1;
        }
        body->left -= got;
        return got;
}

/* Whether it is there already. */
static bool blob_exists(Registry *registry, const char *digest, bool *ret, GError **error) {
        g_autofree char *url = g_strdup_printf("/v2/%s/blobs/%s", registry_name(registry)->path,
                                               digest);
        g_autoptr(GError) failure = NULL;
        g_auto(HttpReply) reply = { 0 };
        const HttpCall call = { .method = "HEAD", .url = url };
        *ret = registry_call(registry, &call, &reply, &failure);
        if (*ret || error_is(failure, ERROR_NOT_FOUND))
                return true;
        g_propagate_error(error, g_steal_pointer(&failure));
        return false;
}

/* *location is where the upload goes on; replaced by what the registry says now. */
static bool upload_call(Registry *registry, const HttpCall *call, char **location, GError **error) {
        g_auto(HttpReply) reply = { 0 };
        if (!registry_call(registry, call, &reply, error))
                return false;
        const char *next = http_reply_header(&reply, "Location");
        if (!next) {
                g_set_error(error, ERROR, ERROR_PROTOCOL, "%s %s: the registry named no Location",
                            call->method, call->url);
                return false;
        }
        g_free(*location);
        *location = g_strdup(next);
        return true;
}

static bool blob_finish(Registry *registry, const char *digest, const char *location,
                        GError **error) {
        g_autofree char *url = g_strconcat(location, strchr(location, '?') ? "&" : "?",
                                           "digest=", digest, NULL);
        g_auto(HttpReply) reply = { 0 };
        const HttpCall call = { .method = "PUT", .url = url };
        return registry_call(registry, &call, &reply, error);
}

static bool blob_send_once(Registry *registry, const PushBlob *blob, GError **error) {
        g_autofree char *url = g_strdup_printf("/v2/%s/blobs/uploads/",
                                               registry_name(registry)->path);
        g_autofree char *location = NULL;
        autofd fd = open(blob->path, O_RDONLY | O_CLOEXEC);
        BlobBody body = { .fd = fd, .left = blob->size };
        if (fd < 0) {
                error_set_errno(error, errno, "cannot open %s", blob->path);
                return false;
        }
        if (!upload_call(registry, &(const HttpCall){ .method = "POST", .url = url }, &location,
                         error))
                return false;
        g_autofree char *place = g_strdup(location);
        const HttpCall send = {
                .method = "PATCH",
                .url = place,
                .headers = (const char *const[]){ "Content-Type: application/octet-stream", NULL },
                .source = read_body,
                .source_length = blob->size,
                .data = &body,
        };
        if (blob->size > 0 && !upload_call(registry, &send, &location, error))
                return false;
        return blob_finish(registry, blob->digest, location, error);
}

static bool blob_send(Registry *registry, const PushBlob *blob, GError **error) {
        RegistryPatience patience = { 0 };
        bool exists;
        if (!blob_exists(registry, blob->digest, &exists, error))
                return false;
        while (!exists) {
                g_autoptr(GError) failure = NULL;
                exists = blob_send_once(registry, blob, &failure);
                if (!exists && !registry_wait(registry, &patience, &failure)) {
                        g_propagate_error(error, g_steal_pointer(&failure));
                        return false;
                }
        }
        return true;
}

/* ---- all of it ---- */

static bool manifest_send(Registry *registry, const Manifest *manifest, const char *reference,
                          GError **error) {
        g_autofree char *url = g_strdup_printf("/v2/%s/manifests/%s", registry_name(registry)->path,
                                               reference);
        g_autofree char *type = g_strconcat("Content-Type: ", manifest->media_type, NULL);
        g_auto(HttpReply) reply = { 0 };
        const HttpCall call = {
                .method = "PUT",
                .url = url,
                .headers = (const char *const[]){ type, NULL },
                .body = manifest->text,
                .body_length = manifest->length,
        };
        return registry_call(registry, &call, &reply, error);
}

bool push_image_send(const PushImage *image, Registry *registry, const GPtrArray *tags,
                     GError **error) {
        for (guint i = 0; i < image->blobs->len; i++)
                if (!blob_send(registry, image->blobs->pdata[i], error))
                        return false;
        for (guint i = 0; i + 1 < image->manifests->len; i++) {
                const Manifest *child = image->manifests->pdata[i];
                if (!manifest_send(registry, child, child->digest, error))
                        return false;
        }
        for (guint i = 0; i < tags->len; i++)
                if (!manifest_send(registry, push_image_root(image), tags->pdata[i], error))
                        return false;
        return true;
}
