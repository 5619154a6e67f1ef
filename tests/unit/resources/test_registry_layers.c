/* Layers: decoded, applied to a root file system, kept. */
#include "resources/decoder.h"
#include "resources/registry_cache.h"
#include "resources/registry_unpack.h"

#include "base/crypto.h"
#include "base/files.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

typedef struct {
        char *folder;
        int root;
} House;

static void house_set_up(House *house, gconstpointer unused) {
        house->folder = g_dir_make_tmp("layers-XXXXXX", NULL);
        house->root = open(house->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        g_assert_cmpint(house->root, >=, 0);
}

static void house_tear_down(House *house, gconstpointer unused) {
        close(house->root);
        directory_remove(house->folder, NULL);
        g_free(house->folder);
}

/* ---- decoding ---- */

static bool gather(const void *bytes, size_t length, void *data, GError **error) {
        g_byte_array_append(data, bytes, (guint) length);
        return true;
}

/* In pieces of this size. Returns new; NULL with an error. */
static GByteArray *decode(const void *bytes, size_t length, size_t piece, GError **error) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        g_autoptr(Decoder) decoder = decoder_new(gather, out);
        for (size_t at = 0; at < length; at += piece)
                if (!decoder_add(decoder, (const char *) bytes + at, MIN(piece, length - at),
                                 error))
                        return NULL;
        return decoder_finish(decoder, error) ? g_steal_pointer(&out) : NULL;
}

static GBytes *gzip(const void *bytes, size_t length) {
        z_stream stream = { 0 };
        g_assert_cmpint(deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, 0), ==, Z_OK);
        size_t room = deflateBound(&stream, length);
        uint8_t *out = g_malloc(room);
        stream.next_in = (uint8_t *) bytes;
        stream.avail_in = (uInt) length;
        stream.next_out = out;
        stream.avail_out = (uInt) room;
        g_assert_cmpint(deflate(&stream, Z_FINISH), ==, Z_STREAM_END);
        size_t made = stream.total_out;
        deflateEnd(&stream);
        return g_bytes_new_take(out, made);
}

static GBytes *zstd(const void *bytes, size_t length) {
        size_t room = ZSTD_compressBound(length);
        uint8_t *out = g_malloc(room);
        size_t made = ZSTD_compress(out, room, bytes, length, 3);
        g_assert_false(ZSTD_isError(made));
        return g_bytes_new_take(out, made);
}

static void any_compression_is_taken_off_in_pieces_of_any_size(void) {
        g_autofree char *text = g_malloc(300000);
        for (size_t i = 0; i < 300000; i++)
                text[i] = (char) ("0123456789abcdef"[i * i / 7 % 16]);
        g_autoptr(GBytes) one = gzip(text, 300000), two = zstd(text, 300000);
        g_autoptr(GBytes) plain = g_bytes_new_static(text, 300000);
        GBytes *const streams[] = { one, two, plain };
        static const size_t pieces[] = { 1, 7, 4096, 1000000 };
        for (size_t i = 0; i < G_N_ELEMENTS(streams); i++)
                for (size_t j = 0; j < G_N_ELEMENTS(pieces); j++) {
                        size_t length;
                        const void *bytes = g_bytes_get_data(streams[i], &length);
                        g_autoptr(GError) error = NULL;
                        g_autoptr(GByteArray) out = decode(bytes, length, pieces[j], &error);
                        g_assert_no_error(error);
                        g_assert_cmpmem(out->data, out->len, text, 300000);
                }
}

static void several_members_are_one_stream_and_padding_is_none(void) {
        g_autoptr(GBytes) a = gzip("first ", 6), b = gzip("second", 6);
        g_autoptr(GByteArray) both = g_byte_array_new();
        gsize length;
        const void *bytes = g_bytes_get_data(a, &length);
        g_byte_array_append(both, bytes, (guint) length);
        bytes = g_bytes_get_data(b, &length);
        g_byte_array_append(both, bytes, (guint) length);
        g_byte_array_append(both, (const guint8 *) "\0\0\0\0", 4);
        for (size_t piece = 1; piece < 60; piece += 13) {
                g_autoptr(GByteArray) out = decode(both->data, both->len, piece, NULL);
                g_assert_nonnull(out);
                g_assert_cmpmem(out->data, out->len, "first second", 12);
        }
}

static void streams_that_break_off_or_are_damaged_are_refused(void) {
        g_autoptr(GBytes) one = gzip("some text of some length", 24),
                          two = zstd("some text of some length", 24);
        GBytes *const streams[] = { one, two };
        for (size_t i = 0; i < G_N_ELEMENTS(streams); i++) {
                gsize length;
                const uint8_t *bytes = g_bytes_get_data(streams[i], &length);
                g_autoptr(GError) error = NULL;
                g_assert_null(decode(bytes, length - 3, 1000, &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
                g_autofree uint8_t *damaged = g_memdup2(bytes, length);
                damaged[length / 2] ^= 0xff;
                damaged[length / 2 + 1] ^= 0xff;
                g_autoptr(GError) other = NULL;
                g_autoptr(GByteArray) out = decode(damaged, length, 1000, &other);
                g_assert_true(!out || memcmp(out->data, "some text of some length", 24) != 0);
        }
        g_autoptr(GByteArray) empty = decode("", 0, 1, NULL);
        g_assert_cmpuint(empty->len, ==, 0);
}

/* ---- applying ---- */

typedef struct {
        const char *path;
        char kind;        /* f, d, l (link), h (hard link), c (device), p (pipe) */
        const char *text; /* content or target */
        int mode;         /* 0: 0644 or 0755 */
        const char *attribute, *value;
} Entry;

static GByteArray *make_tar(const Entry *entries, size_t count) {
        GByteArray *tar = g_byte_array_new();
        size_t used, room = 1 << 20;
        g_byte_array_set_size(tar, (guint) room);
        struct archive *writer = archive_write_new();
        archive_write_set_format_pax(writer);
        archive_write_open_memory(writer, tar->data, room, &used);
        for (size_t i = 0; i < count; i++) {
                const Entry *one = &entries[i];
                struct archive_entry *entry = archive_entry_new();
                archive_entry_set_pathname(entry, one->path);
                archive_entry_set_mtime(entry, 1000000 + (time_t) i, 5000);
                archive_entry_set_perm(entry, (mode_t) (one->mode          ? one->mode
                                                        : one->kind == 'd' ? 0755
                                                                           : 0644));
                archive_entry_set_uid(entry, geteuid());
                archive_entry_set_gid(entry, getegid());
                archive_entry_set_filetype(entry, one->kind == 'd'   ? AE_IFDIR
                                                  : one->kind == 'l' ? AE_IFLNK
                                                  : one->kind == 'c' ? AE_IFCHR
                                                  : one->kind == 'p' ? AE_IFIFO
                                                                     : AE_IFREG);
                if (one->kind == 'f')
                        archive_entry_set_size(entry, (la_int64_t) strlen(one->text));
                if (one->kind == 'l')
                        archive_entry_set_symlink(entry, one->text);
                if (one->kind == 'h')
                        archive_entry_set_hardlink(entry, one->text);
                if (one->attribute)
                        archive_entry_xattr_add_entry(entry, one->attribute, one->value,
                                                      strlen(one->value));
                g_assert_cmpint(archive_write_header(writer, entry), ==, ARCHIVE_OK);
                if (one->kind == 'f')
                        archive_write_data(writer, one->text, strlen(one->text));
                archive_entry_free(entry);
        }
        archive_write_close(writer);
        archive_write_free(writer);
        g_byte_array_set_size(tar, (guint) used);
        return tar;
}

typedef struct {
        const GByteArray *tar;
        size_t at;
} Tape;

/* In pieces that end anywhere. */
static ssize_t read_tape(void *data, const void **ret, GError **error) {
        Tape *tape = data;
        size_t length = MIN((size_t) 1777, tape->tar->len - tape->at);
        *ret = tape->tar->data + tape->at;
        tape->at += length;
        return (ssize_t) length;
}

static bool apply(Unpacker *unpacker, const Entry *entries, size_t count, GError **error) {
        g_autoptr(GByteArray) tar = make_tar(entries, count);
        Tape tape = { .tar = tar };
        return unpacker_layer(unpacker, read_tape, &tape, error);
}

#define APPLY(unpacker, error, ...)                                                                \
        apply(unpacker, (const Entry[]){ __VA_ARGS__ },                                            \
              sizeof((const Entry[]){ __VA_ARGS__ }) / sizeof(Entry), error)

static void assert_file(const House *house, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(house->folder, name, NULL), *got = NULL;
        got = file_read(path, 4096, NULL, NULL);
        g_assert_cmpstr(got, ==, text);
}

static void assert_gone(const House *house, const char *name) {
        struct stat status;
        g_assert_cmpint(fstatat(house->root, name, &status, AT_SYMLINK_NOFOLLOW), ==, -1);
}

static void files_of_all_kinds_are_made_as_the_archive_says(House *house, gconstpointer unused) {
        g_autoptr(Unpacker) unpacker = unpacker_new(house->root);
        g_autoptr(GError) error = NULL;
        struct stat status, other;
        char target[64] = { 0 };
        APPLY(unpacker, &error, { "./", 'd', NULL, 0751 }, { "./a/", 'd', NULL, 0700 },
              { "a/suid", 'f', "text", 04755 }, { "a/hard", 'h', "a/suid" },
              { "link", 'l', "a/suid" }, { "pipe", 'p' }, { "null", 'c' },
              { "deep/er/file", 'f', "x" }, { "a/empty", 'f', "" });
        g_assert_no_error(error);
        assert_file(house, "a/suid", "text");
        assert_file(house, "deep/er/file", "x");
        assert_file(house, "a/empty", "");
        assert_gone(house, "null");
        g_assert_cmpint(fstatat(house->root, "a/suid", &status, 0), ==, 0);
        g_assert_cmpint(status.st_mode & 07777, ==, 04755);
        g_assert_cmpint(status.st_mtim.tv_sec, ==, 1000002);
        g_assert_cmpint(fstatat(house->root, "a/hard", &other, 0), ==, 0);
        g_assert_cmpint(status.st_ino, ==, other.st_ino);
        g_assert_cmpint(readlinkat(house->root, "link", target, 63), ==, 6);
        g_assert_cmpint(fstatat(house->root, "pipe", &status, 0), ==, 0);
        g_assert_true(S_ISFIFO(status.st_mode));
        /* Of directories too, though files were made in them since. */
        g_assert_cmpint(fstatat(house->root, "a", &status, 0), ==, 0);
        g_assert_cmpint(status.st_mtim.tv_sec, ==, 1000001);
        g_assert_cmpint(status.st_mode & 0777, ==, 0700);
        g_assert_cmpint(fstat(house->root, &status), ==, 0);
        g_assert_cmpint(status.st_mode & 0777, ==, 0751);
}

static void whiteouts_remove_what_earlier_layers_had(House *house, gconstpointer unused) {
        g_autoptr(Unpacker) unpacker = unpacker_new(house->root);
        g_autoptr(GError) error = NULL;
        APPLY(unpacker, &error, { "a/1", 'f', "1" }, { "a/2", 'f', "2" }, { "b/c/3", 'f', "3" },
              { "b/4", 'f', "4" }, { "d/e", 'f', "e" });
        g_assert_no_error(error);
        APPLY(unpacker, &error, { "a/.wh.1", 'f', "" }, { "b/new", 'f', "n" },
              { "b/c/new", 'f', "n" }, { "b/.wh..wh..opq", 'f', "" }, { ".wh.d", 'f', "" },
              { "no/such/.wh.x", 'f', "" }, { "no/.wh..wh..opq", 'f', "" });
        g_assert_no_error(error);
        assert_gone(house, "a/1");
        assert_file(house, "a/2", "2");
        assert_gone(house, "b/c/3");
        assert_gone(house, "b/4");
        assert_file(house, "b/new", "n"); /* though the mark came behind it */
        assert_file(house, "b/c/new", "n");
        assert_gone(house, "d");
        assert_gone(house, "no");
}

static void what_is_in_the_way_is_replaced(House *house, gconstpointer unused) {
        g_autoptr(Unpacker) unpacker = unpacker_new(house->root);
        g_autoptr(GError) error = NULL;
        struct stat status;
        APPLY(unpacker, &error, { "file", 'f', "old" }, { "link", 'l', "file" },
              { "folder/in", 'f', "x" }, { "kept/in", 'f', "x" });
        g_assert_no_error(error);
        APPLY(unpacker, &error, { "link", 'f', "new" }, { "folder", 'f', "now a file" },
              { "file", 'd', NULL }, { "kept", 'd', NULL, 0711 });
        g_assert_no_error(error);
        assert_file(house, "link", "new");
        assert_file(house, "folder", "now a file");
        g_assert_cmpint(fstatat(house->root, "file", &status, 0), ==, 0);
        g_assert_true(S_ISDIR(status.st_mode));
        assert_file(house, "kept/in", "x");
        g_assert_cmpint(fstatat(house->root, "kept", &status, 0), ==, 0);
        g_assert_cmpint(status.st_mode & 0777, ==, 0711);
}

static void nothing_is_written_outside_of_the_root(House *house, gconstpointer unused) {
        g_autofree char *outside = g_dir_make_tmp("outside-XXXXXX", NULL);
        g_autofree char *absolute = g_build_filename(outside, "x", NULL);
        g_autoptr(Unpacker) unpacker = unpacker_new(house->root);
        g_autoptr(GError) error = NULL, up = NULL, link = NULL;
        g_assert_true(
                APPLY(unpacker, &error, { "way", 'l', outside }, { "out", 'l', "../../../.." }));
        /* A link as a folder is followed within the root, where this one leads nowhere. */
        g_assert_false(APPLY(unpacker, &error, { "way/file", 'f', "x" }));
        g_clear_error(&error);
        APPLY(unpacker, &error, { "out/tmp-file", 'f', "x" });
        g_assert_no_error(error);
        assert_file(house, "tmp-file", "x");
        g_assert_false(APPLY(unpacker, &up, { "a/../../x", 'f', "x" }));
        g_assert_error(up, ERROR, ERROR_INVALID);
        g_assert_false(APPLY(unpacker, &link, { "stolen", 'h', "/etc/passwd" }));
        g_assert_nonnull(link);
        g_assert_true(APPLY(unpacker, NULL, { ".wh.way", 'f', "" }));
        g_assert_cmpint(access(outside, F_OK), ==, 0);
        g_assert_cmpint(access(absolute, F_OK), ==, -1);
        directory_remove(outside, NULL);
}

static void attributes_are_kept_but_for_those_of_the_overlay(House *house, gconstpointer unused) {
        g_autoptr(Unpacker) unpacker = unpacker_new(house->root);
        char value[16] = { 0 };
        if (geteuid() != 0) {
                g_test_skip("needs root");
                return;
        }
        g_assert_true(APPLY(unpacker, NULL, { "a", 'f', "x", 0, "user.k", "v" },
                            { "b", 'f', "x", 0, "trusted.overlay.opaque", "y" }));
        g_autofree char *a = g_build_filename(house->folder, "a", NULL);
        g_autofree char *b = g_build_filename(house->folder, "b", NULL);
        if (setxattr(house->folder, "user.try", "1", 1, 0) == 0)
                g_assert_cmpint(getxattr(a, "user.k", value, sizeof value), ==, 1);
        g_assert_cmpint(getxattr(b, "trusted.overlay.opaque", value, sizeof value), ==, -1);
}

static void layers_that_are_no_archive_are_refused(House *house, gconstpointer unused) {
        g_autoptr(Unpacker) unpacker = unpacker_new(house->root);
        g_autoptr(GError) error = NULL;
        g_autoptr(GByteArray) rubbish = g_byte_array_new();
        for (guint i = 0; i < 4096; i++)
                g_byte_array_append(rubbish, (const guint8 *) "x", 1);
        Tape tape = { .tar = rubbish };
        g_assert_false(unpacker_layer(unpacker, read_tape, &tape, &error));
        g_assert_error(error, ERROR, ERROR_INVALID);
        g_autoptr(GByteArray) nothing = g_byte_array_new();
        Tape empty = { .tar = nothing };
        g_assert_true(unpacker_layer(unpacker, read_tape, &empty, NULL));
}

static void a_layer_may_end_with_its_last_file(House *house, gconstpointer unused) {
        g_autoptr(Unpacker) unpacker = unpacker_new(house->root);
        g_autoptr(GError) error = NULL;
        const Entry entries[] = { { "first", 'f', "1" }, { "last", 'f', "content" } };
        g_autoptr(GByteArray) tar = make_tar(entries, G_N_ELEMENTS(entries));
        /* Two extended headers, two headers, a block of content before it. */
        g_byte_array_set_size(tar, 7 * 512 + (guint) strlen("content"));
        Tape tape = { .tar = tar };
        unpacker_layer(unpacker, read_tape, &tape, &error);
        g_assert_no_error(error);
        g_autofree char *path = g_build_filename(house->folder, "last", NULL);
        g_autofree char *text = file_read(path, 64, NULL, NULL);
        g_assert_cmpstr(text, ==, "content");
}

/* ---- keeping ---- */

static char *keep(LayerCache *cache, const char *text) {
        g_autofree char *hex = crypto_sha256_hex(text, strlen(text));
        char *digest = g_strconcat("sha256:", hex, NULL);
        g_auto(LayerKeeping) keeping = layer_cache_begin(cache);
        layer_cache_write(&keeping, text, strlen(text));
        layer_cache_keep(&keeping, digest);
        return digest;
}

static bool has(LayerCache *cache, const char *digest, size_t size) {
        autofd fd = layer_cache_find(cache, digest, (int64_t) size);
        return fd >= 0;
}

static void kept_layers_are_found_and_damaged_ones_are_not(House *house, gconstpointer unused) {
        g_autoptr(LayerCache) cache = layer_cache_open(house->folder);
        g_autofree char *digest = keep(cache, "layer");
        g_assert_true(has(cache, digest, 5));
        g_autofree char *path = g_build_filename(house->folder, digest + 7, NULL);
        g_assert_true(file_replace(path, "later", 5, 0600, NULL));
        g_assert_false(has(cache, digest, 5));
        g_assert_cmpint(access(path, F_OK), ==, -1); /* and it is gone, to be fetched anew */
}

static void a_layer_that_breaks_off_leaves_nothing(House *house, gconstpointer unused) {
        g_autoptr(LayerCache) cache = layer_cache_open(house->folder);
        {
                g_auto(LayerKeeping) keeping = layer_cache_begin(cache);
                layer_cache_write(&keeping, "half", 4);
        }
        g_autoptr(GDir) listing = g_dir_open(house->folder, 0, NULL);
        g_assert_null(g_dir_read_name(listing));
}

static void the_last_images_layers_stay_and_as_many_bytes_of_others(House *house,
                                                                    gconstpointer unused) {
        g_autoptr(LayerCache) cache = layer_cache_open(house->folder);
        g_autofree char *old = keep(cache, "old"), *older = keep(cache, "older"),
                        *now = keep(cache, "1234");
        const struct timespec long_ago[] = { { 1000, 0 }, { 1000, 0 } };
        g_assert_cmpint(utimensat(house->root, older + 7, long_ago, 0), ==, 0);
        g_autoptr(GPtrArray) wanted = g_ptr_array_new();
        g_ptr_array_add(wanted, now);
        layer_cache_trim(cache, wanted);
        g_assert_true(has(cache, now, 4));
        g_assert_true(has(cache, old, 3));
        g_assert_false(has(cache, older, 5));
}

static void without_a_folder_everything_goes_on(void) {
        g_autoptr(LayerCache) none = layer_cache_open("/no/such/folder");
        g_assert_null(none);
        g_autofree char *digest = keep(none, "layer");
        g_assert_false(has(none, digest, 5));
        g_autoptr(GPtrArray) wanted = g_ptr_array_new();
        layer_cache_trim(none, wanted);
}

#define ADD(path, function) g_test_add(path, House, NULL, house_set_up, function, house_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/decoder/all", any_compression_is_taken_off_in_pieces_of_any_size);
        g_test_add_func("/decoder/members", several_members_are_one_stream_and_padding_is_none);
        g_test_add_func("/decoder/broken", streams_that_break_off_or_are_damaged_are_refused);
        ADD("/unpack/kinds", files_of_all_kinds_are_made_as_the_archive_says);
        ADD("/unpack/whiteouts", whiteouts_remove_what_earlier_layers_had);
        ADD("/unpack/replace", what_is_in_the_way_is_replaced);
        ADD("/unpack/outside", nothing_is_written_outside_of_the_root);
        ADD("/unpack/attributes", attributes_are_kept_but_for_those_of_the_overlay);
        ADD("/unpack/end", a_layer_may_end_with_its_last_file);
        ADD("/unpack/rubbish", layers_that_are_no_archive_are_refused);
        ADD("/cache/find", kept_layers_are_found_and_damaged_ones_are_not);
        ADD("/cache/broken", a_layer_that_breaks_off_leaves_nothing);
        ADD("/cache/trim", the_last_images_layers_stay_and_as_many_bytes_of_others);
        g_test_add_func("/cache/none", without_a_folder_everything_goes_on);
        return g_test_run();
}
