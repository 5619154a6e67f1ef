#include "resources/registry_content.h"

#include "base/crypto.h"
#include "base/json.h"

#include <string.h>

#define TAGS_REPLY_MAX ((size_t) 16 << 20)
#define TAGS_MAX 1000000

static const char accept_manifests[] = "Accept: " MEDIA_DOCKER_MANIFEST ", " MEDIA_DOCKER_LIST
                                       ", " MEDIA_OCI_INDEX ", " MEDIA_OCI_MANIFEST;

/* ---- manifests ---- */

void manifest_clear(Manifest *manifest) {
        g_free(manifest->media_type);
        g_free(manifest->digest);
        g_free(manifest->text);
        value_free(manifest->value);
        *manifest = (Manifest){ 0 };
}

static char *digest_of(const char *text, size_t length) {
        g_autofree char *hex = crypto_sha256_hex(text, length);
        return g_strconcat("sha256:", hex, NULL);
}

/* What the text says, for OCI's may leave it out. */
static const char *media_type_within(const Value *value) {
        const char *said = value_get_string(value, "mediaType", "");
        if (*said)
                return said;
        return value_has(value, "manifests") ? MEDIA_OCI_INDEX : MEDIA_OCI_MANIFEST;
}

bool manifest_read(char *text, size_t length, const char *media_type, const char *wanted,
                   Manifest *ret, GError **error) {
        g_auto(Manifest) manifest = { .text = text, .length = length };
        manifest.digest = digest_of(text, length);
        if (wanted && !g_str_equal(wanted, manifest.digest)) {
                g_set_error(error, ERROR, ERROR_PROTOCOL,
                            "manifest digest: \"%s\" does not match requested digest: \"%s\"",
                            manifest.digest, wanted);
                return false;
        }
        manifest.value = json_parse(text, length, NULL, error);
        if (!manifest.value) {
                g_prefix_error(error, "manifest %s: ", manifest.digest);
                return false;
        }
        if (media_type && !value_has(manifest.value, "mediaType"))
                manifest.media_type = g_strndup(media_type, strcspn(media_type, "; \t"));
        else
                manifest.media_type = g_strdup(media_type_within(manifest.value));
        static const char *const known[] = { MEDIA_OCI_INDEX, MEDIA_OCI_MANIFEST, MEDIA_DOCKER_LIST,
                                             MEDIA_DOCKER_MANIFEST, NULL };
        if (!g_strv_contains(known, manifest.media_type)) {
                g_set_error(error, ERROR, ERROR_PROTOCOL,
                            "unsupported MediaType: \"%s\": only images of Docker's second schema "
                            "and of OCI are",
                            manifest.media_type);
                return false;
        }
        *ret = manifest;
        manifest = (Manifest){ 0 };
        return true;
}

bool manifest_is_index(const Manifest *manifest) {
        return g_str_equal(manifest->media_type, MEDIA_OCI_INDEX) ||
               g_str_equal(manifest->media_type, MEDIA_DOCKER_LIST);
}

static bool ask_manifest(Registry *registry, const char *method, const char *reference,
                         HttpReply *ret, GError **error) {
        g_autofree char *url = g_strdup_printf("/v2/%s/manifests/%s", registry_name(registry)->path,
                                               reference);
        const HttpCall call = {
                .method = method,
                .url = url,
                .headers = (const char *const[]){ accept_manifests, NULL },
                .reply_max = MANIFEST_MAX,
        };
        return registry_call(registry, &call, ret, error);
}

bool registry_digest(Registry *registry, const char *tag, char **ret, GError **error) {
        g_auto(HttpReply) head = { 0 }, whole = { 0 };
        g_autoptr(GError) failure = NULL;
        if (ask_manifest(registry, "HEAD", tag, &head, &failure)) {
                const char *digest = http_reply_header(&head, "Docker-Content-Digest");
                if (digest && registry_digest_is_valid(digest)) {
                        *ret = g_strdup(digest);
                        return true;
                }
        } else if (error_is(failure, ERROR_NOT_FOUND)) {
                g_propagate_error(error, g_steal_pointer(&failure));
                return false;
        }
        /* Some registries refuse HEAD, or leave the digest out. */
        if (!ask_manifest(registry, "GET", tag, &whole, error))
                return false;
        *ret = digest_of(whole.body, whole.length);
        return true;
}

bool registry_manifest(Registry *registry, const char *reference, Manifest *ret, GError **error) {
        g_auto(HttpReply) reply = { 0 };
        if (!ask_manifest(registry, "GET", reference, &reply, error))
                return false;
        bool by_digest = registry_digest_is_valid(reference);
        const char *media_type = http_reply_header(&reply, "Content-Type");
        return manifest_read(g_steal_pointer(&reply.body), reply.length, media_type,
                             by_digest ? reference : NULL, ret, error);
}

/* ---- tags ---- */

/* The place of the next page: `<…>; rel="next"`. Returns new; NULL: there is none. */
static char *next_page(const HttpReply *reply) {
        const char *link = http_reply_header(reply, "Link");
        const char *end = link && *link == '<' ? strchr(link, '>') : NULL;
        if (!end || !strstr(end, "next"))
                return NULL;
        return g_strndup(link + 1, (size_t) (end - link - 1));
}

static bool add_tags(const HttpReply *reply, GPtrArray *tags, GError **error) {
        g_autoptr(Value) page = json_parse(reply->body, reply->length, NULL, error);
        if (!page)
                return false;
        const Value *list = value_get(page, "tags");
        for (size_t i = 0; i < value_length(list); i++) {
                const char *tag = value_text(value_at(list, i));
                if (tag && registry_tag_is_valid(tag))
                        g_ptr_array_add(tags, g_strdup(tag));
        }
        if (tags->len <= TAGS_MAX)
                return true;
        g_set_error(error, ERROR, ERROR_LIMIT, "the repository has more than %d tags", TAGS_MAX);
        return false;
}

bool registry_tags(Registry *registry, GPtrArray **ret, GError **error) {
        g_autoptr(GPtrArray) tags = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *url = g_strdup_printf("/v2/%s/tags/list?n=1000",
                                               registry_name(registry)->path);
        for (size_t pages = 0; url && pages < TAGS_MAX; pages++) {
                const HttpCall call = { .method = "GET", .url = url, .reply_max = TAGS_REPLY_MAX };
                g_auto(HttpReply) reply = { 0 };
                if (!registry_call(registry, &call, &reply, error) ||
                    !add_tags(&reply, tags, error))
                        return false;
                char *next = next_page(&reply);
                g_free(url);
                url = next;
        }
        *ret = g_steal_pointer(&tags);
        return true;
}

/* ---- blobs ---- */

typedef struct {
        const BlobSpec *spec;
        int64_t received; /* and handed on */
        int64_t skip;     /* bytes of this answer that an earlier one had */
        Sha256 *sha256;
        bool answered; /* this attempt; else registry_call() was patient already */
        bool sink_failed;
} BlobRead;

static bool blob_head(const HttpReply *reply, void *data, GError **error) {
        BlobRead *blob = data;
        blob->answered = true;
        /* A server without ranges begins anew. */
        blob->skip = reply->status == 206 ? 0 : blob->received;
        return true;
}

static bool blob_sink(const void *bytes, size_t length, void *data, GError **error) {
        BlobRead *blob = data;
        size_t known = (size_t) MIN((uint64_t) blob->skip, length);
        blob->skip -= (int64_t) known;
        bytes = (const char *) bytes + known;
        length -= known;
        if (length == 0)
                return true;
        blob->received += (int64_t) length;
        if (blob->spec->size >= 0 && blob->received > blob->spec->size) {
                g_set_error(error, ERROR, ERROR_PROTOCOL,
                            "%s is longer than the %" G_GINT64_FORMAT " bytes it should have",
                            blob->spec->digest, blob->spec->size);
                return false;
        }
        sha256_add(blob->sha256, bytes, length);
        blob->sink_failed = !blob->spec->sink(bytes, length, blob->spec->data, error);
        return !blob->sink_failed;
}

static bool blob_attempt(Registry *registry, BlobRead *blob, GError **error) {
        const BlobSpec *spec = blob->spec;
        g_autofree char *url = g_strdup_printf("/v2/%s/blobs/%s", registry_name(registry)->path,
                                               spec->digest);
        g_autofree char *range = g_strdup_printf("Range: bytes=%" G_GINT64_FORMAT "-",
                                                 blob->received);
        const HttpCall call = {
                .method = "GET",
                .url = url,
                .headers = (const char *const[]){ blob->received > 0 ? range : NULL, NULL },
                .head = blob_head,
                .sink = blob_sink,
                .data = blob,
        };
        g_auto(HttpReply) reply = { 0 };
        if (!registry_call(registry, &call, &reply, error))
                return false;
        if (spec->size < 0 || blob->received == spec->size)
                return true;
        g_set_error(error, ERROR, ERROR_UNAVAILABLE, "GET %s: unexpected EOF", url);
        return false;
}

static bool blob_verify(const BlobRead *blob, GError **error) {
        g_autofree char *hex = sha256_hex(blob->sha256);
        const char *wanted = blob->spec->digest + strlen("sha256:");
        if (g_str_equal(hex, wanted))
                return true;
        g_set_error(error, ERROR, ERROR_PROTOCOL,
                    "error verifying sha256 checksum after reading %" G_GINT64_FORMAT
                    " bytes; got \"%s\", want \"%s\"",
                    blob->received, hex, wanted);
        return false;
}

bool registry_blob(Registry *registry, const BlobSpec *spec, GError **error) {
        g_autoptr(Sha256) sha256 = sha256_new();
        BlobRead blob = { .spec = spec, .sha256 = sha256 };
        RegistryPatience patience = { 0 };
        if (!registry_digest_is_valid(spec->digest)) {
                g_set_error(error, ERROR, ERROR_UNSUPPORTED, "unsupported digest: %s",
                            spec->digest);
                return false;
        }
        while (spec->size < 0 || blob.received < spec->size || blob.received == 0) {
                g_autoptr(GError) failure = NULL;
                int64_t before = blob.received;
                blob.answered = false;
                if (blob_attempt(registry, &blob, &failure))
                        break;
                if (blob.received > before) /* it gets on: that is no repeated failure */
                        patience = (RegistryPatience){ 0 };
                if (blob.sink_failed || !blob.answered ||
                    !registry_wait(registry, &patience, &failure)) {
                        g_propagate_error(error, g_steal_pointer(&failure));
                        return false;
                }
        }
        return blob_verify(&blob, error);
}

static bool collect(const void *bytes, size_t length, void *data, GError **error) {
        GByteArray *text = data;
        if (text->len + length > CONFIG_MAX) {
                g_set_error(error, ERROR, ERROR_LIMIT, "the blob is longer than %zu bytes",
                            CONFIG_MAX);
                return false;
        }
        g_byte_array_append(text, bytes, (guint) length);
        return true;
}

char *registry_blob_text(Registry *registry, const char *digest, size_t *ret_length,
                         GError **error) {
        g_autoptr(GByteArray) text = g_byte_array_new();
        const BlobSpec spec = { .digest = digest, .size = -1, .sink = collect, .data = text };
        if (!registry_blob(registry, &spec, error))
                return NULL;
        *ret_length = text->len;
        g_byte_array_append(text, (const guint8 *) "", 1);
        return (char *) g_byte_array_free(g_steal_pointer(&text), false);
}
