#include "base/json.h"
#include "http/client.h"
#include "work.h"
#include "worker/volumes/volumes.h"

#include <archive.h>
#include <archive_entry.h>

static Volumes *volumes;
static VolumesServer *server;
static HttpClient *client;

/* ---- verbs ---- */

typedef struct {
        const char *method, *path, *header;
        const void *body;
        size_t length;
} Ask;

static int ask(const Ask *what, HttpReply *ret) {
        g_autoptr(GError) error = NULL;
        g_autofree char *url = g_strdup_printf("http://127.0.0.1:%u%s", volumes_server_port(server),
                                               what->path);
        const char *headers[] = { what->header, NULL };
        HttpCall call = { .method = what->method,
                          .url = url,
                          .headers = headers,
                          .body = what->body,
                          .body_length = what->length };
        http_call(client, &call, NULL, ret, &error);
        g_assert_no_error(error);
        return ret->status;
}

#define ASSERT_ASK(method_, path_, body_, status_, reply_)                                         \
        do {                                                                                       \
                g_auto(HttpReply) answer_ = { 0 };                                                 \
                const char *text_ = (body_);                                                       \
                Ask ask_ = { (method_), (path_), NULL, text_, text_ ? strlen(text_) : 0 };         \
                g_assert_cmpint(ask(&ask_, &answer_), ==, (status_));                              \
                g_assert_cmpstr(answer_.body ? answer_.body : "", ==, (reply_));                   \
        } while (0)

static char *stream(const char *method_path, const char *encoding, GString *archive, int expect) {
        g_auto(HttpReply) reply = { 0 };
        g_autofree char *header = g_strdup_printf(
                "%s: %s", archive ? "Content-Encoding" : "Accept-Encoding", encoding);
        Ask what = { "PUT", method_path, header, archive ? archive->str : NULL,
                     archive ? archive->len : 0 };
        g_assert_cmpint(ask(&what, &reply), ==, expect);
        return g_strdup(reply.body ? reply.body : "");
}

static void create_empty(const char *handle) {
        g_autofree char *body = g_strdup_printf(
                "{\"handle\":\"%s\",\"strategy\":{\"type\":\"empty\"}}", handle);
        g_autofree char *reply = g_strdup_printf(
                "{\"handle\":\"%s\",\"path\":\"%s/volumes/live/%s/"
                "volume\",\"properties\":null,\"privileged\":false}\n",
                handle, work, handle);
        ASSERT_ASK("POST", "/volumes", body, 201, reply);
}

/* A volume's files as the host's root sees them. Returns new. */
static char *look(const char *handle, const char *script) {
        g_autoptr(GError) error = NULL;
        g_autofree char *path = g_strdup_printf("%s/volumes/live/%s/volume", work, handle);
        VolumesUse use = { .container = "look", .path = path, .privileged = true };
        g_autofree char *mounted = volumes_mount(volumes, &use, &error);
        g_assert_no_error(error);
        char *got = outside(mounted, script);
        volumes_release(volumes, "look");
        return got;
}

#define ASSERT_LOOK(handle_, script_, expect_)                                                     \
        do {                                                                                       \
                g_autofree char *seen_ = look((handle_), (script_));                               \
                g_assert_cmpstr(seen_, ==, (expect_));                                             \
        } while (0)

static void destroy(const char *handle) {
        g_autofree char *path = g_strdup_printf("/volumes/%s", handle);
        ASSERT_ASK("DELETE", path, NULL, 204, "");
}

/* ---- plain calls ---- */

static void answers_are_upstreams(void) {
        static const struct {
                const char *method, *path, *body;
                int status;
                const char *reply;
        } cases[] = {
                { "GET", "/volumes", NULL, 200, "[]\n" },
                { "GET", "/volumes/nope", NULL, 404, "{\"error\":\"failed to get volume\"}\n" },
                { "GET", "/volumes/destroy", NULL, 404, "{\"error\":\"failed to get volume\"}\n" },
                { "DELETE", "/volumes/nope", NULL, 404,
                  "{\"error\":\"failed to destroy volume\"}\n" },
                { "DELETE", "/volumes/destroy", "[\"nope\"]", 204, "" },
                { "DELETE", "/volumes/destroy", "[", 400,
                  "{\"error\":\"failed to destroy volume\"}\n" },
                { "POST", "/volumes", "{", 400, "{\"error\":\"failed to create volume\"}\n" },
                { "POST", "/volumes", "{\"handle\":\"x\"}", 422,
                  "{\"error\":\"failed to create volume\"}\n" },
                { "POST", "/volumes-async", "{\"handle\":\"x\",\"strategy\":{\"type\":\"odd\"}}",
                  422, "{\"error\":\"failed to create volume\"}\n" },
                { "POST", "/volumes", "{\"handle\":\"x\",\"strategy\":{\"type\":\"cow\"}}", 422,
                  "{\"error\":\"failed to create volume\"}\n" },
                { "POST", "/volumes",
                  "{\"handle\":\"x\",\"strategy\":{\"type\":\"import\",\"path\":\"/nope\"}}", 500,
                  "{\"error\":\"failed to create volume\"}\n" },
                { "GET", "/volumes-async/nope", NULL, 404, "" },
                { "DELETE", "/volumes-async/nope", NULL, 404, "" },
                { "PUT", "/volumes/nope/properties/a", "{\"value\":\"b\"}", 404,
                  "{\"error\":\"failed to set property on volume\"}\n" },
                { "PUT", "/volumes/nope/privileged", "{\"value\":true}", 404,
                  "{\"error\":\"failed to change privileged status of volume\"}\n" },
                { "PUT", "/volumes/nope/stream-in?path=.&limit=x", "", 400,
                  "{\"error\":\"invalid limit x\"}\n" },
                { "PUT", "/volumes/nope/stream-in?path=.&limit=-1", "", 400,
                  "{\"error\":\"invalid limit -1\"}\n" },
                { "PUT", "/volumes/nope/stream-in?path=.", "", 404,
                  "{\"error\":\"failed to stream in to volume\"}\n" },
                { "PUT", "/volumes/nope/stream-out?path=.", "", 404,
                  "{\"error\":\"failed to stream out from volume\"}\n" },
                { "POST", "/volumes/cleanup-orphans", NULL, 204, "" },
                { "GET", "/volumes?a=1&a=2", NULL, 422,
                  "{\"error\":\"a property may only have a single value: a has many (1, 2)\"}\n" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                ASSERT_ASK(cases[i].method, cases[i].path, cases[i].body, cases[i].status,
                           cases[i].reply);
}

static void properties_and_privilege_are_kept(void) {
        create_empty("v");
        ASSERT_ASK("PUT", "/volumes/v/properties/a%2Fb", "{\"value\":\"1\"}", 204, "");
        ASSERT_ASK("PUT", "/volumes/v/privileged", "{\"value\":true}", 204, "");
        ASSERT_ASK("GET", "/volumes/v/privileged", NULL, 200, "true\n");
        ASSERT_ASK("GET", "/volumes?a%2Fb=2", NULL, 200, "[]\n");
        g_autofree char *expect = g_strdup_printf(
                "[{\"handle\":\"v\",\"path\":\"%s/volumes/live/v/volume\",\"properties\":{\"a/"
                "b\":\"1\"},\"privileged\":true}]\n",
                work);
        ASSERT_ASK("GET", "/volumes?a%2Fb=1", NULL, 200, expect);
        ASSERT_ASK("DELETE", "/volumes/destroy", "[\"v\",\"nope\"]", 204, "");
        ASSERT_ASK("GET", "/volumes", NULL, 200, "[]\n");
}

/* ---- promises ---- */

/* Asks until the promise is kept. */
static int await_promise(const char *path, HttpReply *ret) {
        Ask what = { "GET", path, NULL, NULL, 0 };
        while (ask(&what, ret) == 204)
                http_reply_clear(ret);
        return ret->status;
}

static void a_promise_is_kept_and_forgotten(void) {
        g_auto(HttpReply) reply = { 0 };
        g_auto(HttpReply) failed = { 0 };
        static const char body[] =
                "{\"handle\":\"p\",\"strategy\":{\"type\":\"empty\"},\"properties\":null,"
                "\"uid\":-1,\"gid\":-1}";
        ASSERT_ASK("POST", "/volumes-async", body, 201, "{\"handle\":\"p\"}\n");
        ASSERT_ASK("POST", "/volumes-async", body, 500,
                   "{\"error\":\"promise already exists in list\"}\n");
        g_assert_cmpint(await_promise("/volumes-async/p", &reply), ==, 200);
        g_autofree char *expect = g_strdup_printf(
                "{\"handle\":\"p\",\"path\":\"%s/volumes/live/p/"
                "volume\",\"properties\":null,\"privileged\":false,\"uid\":-1,\"gid\":-1}\n",
                work);
        g_assert_cmpstr(reply.body, ==, expect);
        g_assert_cmpstr(http_reply_header(&reply, "Content-Type"), ==, "application/json");
        ASSERT_ASK("DELETE", "/volumes-async/p", NULL, 204, "");
        ASSERT_ASK("GET", "/volumes-async/p", NULL, 404, "");
        ASSERT_ASK("GET", "/volumes/p/privileged", NULL, 200, "false\n");
        destroy("p");

        ASSERT_ASK("POST", "/volumes-async",
                   "{\"handle\":\"q\",\"strategy\":{\"type\":\"cow\",\"volume\":\"nope\"}}", 201,
                   "{\"handle\":\"q\"}\n");
        g_assert_cmpint(await_promise("/volumes-async/q", &failed), ==, 422);
        ASSERT_ASK("DELETE", "/volumes-async/q", NULL, 204, "");
}

/* ---- streams ---- */

/* An archive made by the system's tar. Returns new. */
static GString *tar_of(const char *script, const char *flags) {
        g_autofree char *command = g_strdup_printf("rm -rf t && mkdir t && cd t && { %s; } && "
                                                   "tar %s -cf ../t.tar . && cd .. && rm -rf t",
                                                   script, flags);
        ASSERT_OUTSIDE(work, command, "");
        g_autofree char *path = g_build_filename(work, "t.tar", NULL);
        size_t length;
        g_autofree char *bytes = file_read(path, 64 << 20, &length, NULL);
        g_assert_nonnull(bytes);
        unlink(path);
        return g_string_new_len(bytes, (gssize) length);
}

static void archives_of_tar_come_in_and_go_out(void) {
        static const struct {
                const char *encoding, *flag;
        } cases[] = { { "raw", "" }, { "gzip", "-z" }, { "zstd", "--zstd" } };
        static const char list[] =
                "find . | sort | while read f; do stat -c '%n %f %u %g %s %Y %h' \"$f\"; done";

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                GString *archive = tar_of("mkdir -p d/e; head -c 3000000 /dev/urandom > d/big; "
                                          "echo x > d/e/x; chown 33:44 d/e/x; chmod 4711 d/e/x; "
                                          "ln d/e/x hard; ln -s /etc/passwd abs; ln -s d rel; "
                                          "mkfifo pipe; touch -d @1000000000.5 d/e old; "
                                          "n=$(printf %0200d 0); mkdir $n; echo y > $n/$n; "
                                          "chmod 755 .; touch -d @1100000000 .",
                                          cases[i].flag);
                g_autofree char *none = NULL;
                create_empty("in");
                g_autofree char *done = stream("/volumes/in/stream-in?path=.&limit=0.000000",
                                               cases[i].encoding, archive, 204);
                g_autofree char *seen = look("in", list);
                g_assert_nonnull(strstr(seen, "./d/e/x 89c9 33 44 2"));

                /* Out of ours, into the system's tar. */
                g_auto(HttpReply) reply = { 0 };
                g_autofree char *header = g_strdup_printf("Accept-Encoding: %s", cases[i].encoding);
                Ask out = { "PUT", "/volumes/in/stream-out?path=.", header, NULL, 0 };
                g_assert_cmpint(ask(&out, &reply), ==, 200);
                g_autofree char *file = g_build_filename(work, "o.tar", NULL);
                g_assert_true(file_write(file, reply.body, reply.length, 0600, NULL));
                g_autofree char *unpack = g_strdup_printf(
                        "mkdir o && tar -C o %s --numeric-owner -xpf o.tar && cd o && %s",
                        cases[i].flag, list);
                g_autofree char *round = outside(work, unpack);
                g_assert_cmpstr(round, ==, seen);
                g_free(outside(work, "rm -rf o o.tar"));

                /* And into another volume of ours, below a path. */
                GString *again = g_string_new_len(reply.body, (gssize) reply.length);
                create_empty("copy");
                g_autofree char *copied = stream("/volumes/copy/stream-in?path=%2Fa%2F..b",
                                                 cases[i].encoding, again, 204);
                g_autofree char *below = g_strdup_printf("cd a/b && %s", list);
                ASSERT_LOOK("copy", below, seen);
                destroy("in");
                destroy("copy");
                g_string_free(archive, true);
                g_string_free(again, true);
        }
}

static void one_file_goes_out_under_its_own_name(void) {
        GString *archive = tar_of("mkdir -p a/b; echo content > a/b/metadata.json", "");
        create_empty("v");
        g_autofree char *in = stream("/volumes/v/stream-in?path=", "raw", archive, 204);
        g_auto(HttpReply) reply = { 0 };
        Ask out = { "PUT", "/volumes/v/stream-out?path=a%2Fb%2Fmetadata.json",
                    "Accept-Encoding: raw", NULL, 0 };
        g_assert_cmpint(ask(&out, &reply), ==, 200);
        g_assert_cmpstr(reply.body, ==, "metadata.json"); /* the first entry's header begins so */

        static const char *const missing[] = { "nope", "a/nope", "a/b/metadata.json/x",
                                               "../../../../etc/passwd" };
        for (size_t i = 0; i < G_N_ELEMENTS(missing); i++) {
                g_autofree char *path = g_strdup_printf("/volumes/v/stream-out?path=%s",
                                                        missing[i]);
                g_autofree char *text = stream(path, "gzip", NULL, 404);
                g_assert_cmpstr(text, ==, "{\"error\":\"no such file or directory\"}\n");
        }
        g_autofree char *wrong = stream("/volumes/v/stream-out?path=.", "br", NULL, 400);
        g_autofree char *s2 = stream("/volumes/v/stream-out?path=.", "s2", NULL, 400);
        g_assert_nonnull(strstr(s2, "does not speak s2"));
        g_autofree char *file_in = stream("/volumes/v/stream-in?path=a%2Fb%2Fmetadata.json", "raw",
                                          archive, 500);
        destroy("v");
        g_string_free(archive, true);
}

static void a_limit_counts_compressed_bytes(void) {
        GString *archive = tar_of("head -c 3000000 /dev/urandom > big", "");
        create_empty("v");
        g_autofree char *bytes = stream("/volumes/v/stream-in?path=.&limit=0.001", "raw", archive,
                                        403);
        g_assert_cmpstr(bytes, ==, "{\"error\":\"exceeded volume streaming limit of 1048B\"}\n");
        g_autofree char *megabytes = stream("/volumes/v/stream-in?path=.&limit=2.5", "raw", archive,
                                            403);
        g_assert_cmpstr(megabytes, ==, "{\"error\":\"exceeded volume streaming limit of 2MB\"}\n");
        g_autofree char *enough = stream("/volumes/v/stream-in?path=.&limit=3.5", "raw", archive,
                                         204);
        destroy("v");
        g_string_free(archive, true);
}

/* ---- hostile archives ---- */

typedef struct {
        const char *name, *link, *hard;
        mode_t type;
        dev_t device;
        int64_t uid;
        const char *attribute;
        int64_t size; /* claimed */
} Entry;

static la_ssize_t append(struct archive *archive, void *data, const void *bytes, size_t length) {
        g_string_append_len(data, bytes, (gssize) length);
        return (la_ssize_t) length;
}

static GString *archive_of(const Entry *entries, size_t count) {
        GString *text = g_string_new(NULL);
        struct archive *archive = archive_write_new();
        archive_write_set_format_pax(archive);
        archive_write_set_bytes_in_last_block(archive, 1);
        archive_write_open(archive, text, NULL, append, NULL);
        for (size_t i = 0; i < count && entries[i].name; i++) {
                struct archive_entry *entry = archive_entry_new();
                archive_entry_set_pathname(entry, entries[i].name);
                archive_entry_set_filetype(entry, entries[i].type ? entries[i].type : AE_IFREG);
                archive_entry_set_perm(entry, 04777);
                archive_entry_set_uid(entry, entries[i].uid);
                archive_entry_set_size(entry, entries[i].size);
                archive_entry_set_rdev(entry, entries[i].device);
                if (entries[i].link)
                        archive_entry_set_symlink(entry, entries[i].link);
                if (entries[i].hard)
                        archive_entry_set_hardlink(entry, entries[i].hard);
                if (entries[i].attribute)
                        archive_entry_xattr_add_entry(entry, entries[i].attribute, "y", 1);
                archive_write_header(archive, entry);
                archive_entry_free(entry);
                if (entries[i].size > 0)
                        archive_write_fail(archive); /* what it claims does not follow */
        }
        archive_write_close(archive);
        archive_write_free(archive);
        return text;
}

#define ENTRIES_MAX 4

static void hostile_archives_harm_nobody(void) {
        static const struct {
                const char *what;
                Entry entries[ENTRIES_MAX];
                int status;
                const char *left; /* in the volume's directory "in" */
        } cases[] = {
                { "up", { { "../escape" } }, 400, "" },
                { "deep up", { { "a/../../escape" } }, 400, "" },
                { "absolute", { { "/absolute" } }, 204, "absolute\n" },
                { "through a link",
                  { { "out", "/etc", .type = AE_IFLNK }, { "out/escape" } },
                  400,
                  NULL },
                { "through a link up",
                  { { "out", "../../..", .type = AE_IFLNK }, { "out/escape" } },
                  204,
                  NULL },
                { "hard link up", { { "h", .hard = "../outside" } }, 400, "" },
                { "hard link to the host's", { { "h", .hard = "/etc/passwd" } }, 400, "" },
                { "device", { { "sda", .type = AE_IFBLK, .device = 2048 } }, 400, "" },
                { "whiteout", { { "secret", .type = AE_IFCHR } }, 400, "" },
                { "overlay's own marks",
                  { { "d", .type = AE_IFDIR, .attribute = "trusted.overlay.opaque" } },
                  204,
                  "d\n" },
                { "cut off", { { "big", .size = 1LL << 40 } }, 400, "big\n" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                GString *archive = archive_of(cases[i].entries, ENTRIES_MAX);
                g_test_message("%s", cases[i].what);
                create_empty("v");
                GString *before = tar_of("echo mine > outside", "");
                g_autofree char *prepared = stream("/volumes/v/stream-in?path=.", "raw", before,
                                                   204);
                g_autofree char *done = stream("/volumes/v/stream-in?path=in", "raw", archive,
                                               cases[i].status);
                if (cases[i].left)
                        ASSERT_LOOK("v", "ls in", cases[i].left);
                ASSERT_LOOK("v", "ls; cat outside", "in\noutside\nmine\n");
                destroy("v");
                g_string_free(archive, true);
                g_string_free(before, true);
        }
        g_assert_false(g_file_test("/etc/escape", G_FILE_TEST_EXISTS));
        g_assert_false(g_file_test("/escape", G_FILE_TEST_EXISTS));
}

static void owners_beyond_the_range_become_nobodys(void) {
        static const Entry entries[] = { { "far", .uid = 1234567 }, { "near", .uid = 65535 } };
        GString *archive = archive_of(entries, G_N_ELEMENTS(entries));
        create_empty("v");
        g_autofree char *done = stream("/volumes/v/stream-in?path=.", "raw", archive, 204);
        ASSERT_LOOK("v", "stat -c '%n %u %a' far near", "far 65534 777\nnear 65535 4777\n");
        ASSERT_ASK("PUT", "/volumes/v/privileged", "{\"value\":true}", 204, "");
        g_autofree char *again = stream("/volumes/v/stream-in?path=.", "raw", archive, 204);
        ASSERT_LOOK("v", "stat -c '%n %u %a' far near", "far 1234567 4777\nnear 65535 4777\n");
        destroy("v");
        g_string_free(archive, true);
}

static void what_is_no_archive_is_refused(void) {
        static const struct {
                const char *encoding, *body;
                int status;
        } cases[] = {
                { "raw", "no archive at all, and much too short", 400 },
                { "gzip", "no gzip", 400 },
                { "zstd", "no zstd", 400 },
                { "gzip", "\x1f\x8b\x08", 400 },
                { "deflate", "", 400 },
                { "raw", "", 204 },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                GString *body = g_string_new(cases[i].body);
                create_empty("v");
                g_autofree char *text = stream("/volumes/v/stream-in?path=.", cases[i].encoding,
                                               body, cases[i].status);
                destroy("v");
                g_string_free(body, true);
        }
}

/* ---- from worker to worker ---- */

static void a_volume_goes_to_another_worker(void) {
        GString *archive = tar_of("echo hello > f; chown 5:6 f", "");
        create_empty("from");
        create_empty("to");
        g_autofree char *in = stream("/volumes/from/stream-in?path=.", "raw", archive, 204);
        g_autofree char *good = g_strdup_printf(
                "/volumes/from/stream-p2p-out?encoding=zstd&path=.&streamInURL="
                "http%%3A%%2F%%2F127.0.0.1%%3A%u%%2Fvolumes%%2Fto%%2Fstream-in%%3Fpath%%3D.",
                volumes_server_port(server));
        g_autofree char *bad = g_strdup_printf(
                "/volumes/from/stream-p2p-out?encoding=gzip&path=.&streamInURL="
                "http%%3A%%2F%%2F127.0.0.1%%3A%u%%2Fvolumes%%2Fnope%%2Fstream-in%%3Fpath%%3D.",
                volumes_server_port(server));
        ASSERT_ASK("PUT", good, NULL, 200, "ok");
        ASSERT_LOOK("to", "cat f; stat -c %u:%g f", "hello\n5:6\n");
        ASSERT_ASK("PUT", bad, NULL, 200,
                   "failed to stream p2p out from volume: p2p-stream-in 404: failed to stream in "
                   "to volume");
        ASSERT_ASK("PUT", "/volumes/from/stream-p2p-out?encoding=gzip&path=.", NULL, 400,
                   "{\"error\":\"failed to stream p2p out from volume\"}\n");
        ASSERT_ASK("GET", "/p2p-url", NULL, 500,
                   "{\"error\":\"failed to get p2p url, network interface list is empty\"}\n");
        destroy("from");
        destroy("to");
        g_string_free(archive, true);
}

int main(int argc, char **argv) {
        g_autoptr(GError) error = NULL;
        g_test_init(&argc, &argv, NULL);
        if (!work_start()) {
                g_print("1..0 # SKIP needs root\n");
                return 0;
        }
        VolumesSpec volumes_spec = { .work_directory = work, .helper = helper };
        volumes = volumes_open(&volumes_spec, &error);
        g_assert_no_error(error);
        VolumesServerSpec server_spec = { .volumes = volumes,
                                          .address = "127.0.0.1",
                                          .p2p_interface_pattern = "no-such-interface" };
        server = volumes_server_start(&server_spec, &error);
        g_assert_no_error(error);
        HttpClientSpec client_spec = { .no_proxy = true };
        client = http_client_new(&client_spec);

        g_test_add_func("/baggageclaim/answers", answers_are_upstreams);
        g_test_add_func("/baggageclaim/properties", properties_and_privilege_are_kept);
        g_test_add_func("/baggageclaim/promise", a_promise_is_kept_and_forgotten);
        g_test_add_func("/baggageclaim/archives", archives_of_tar_come_in_and_go_out);
        g_test_add_func("/baggageclaim/file", one_file_goes_out_under_its_own_name);
        g_test_add_func("/baggageclaim/limit", a_limit_counts_compressed_bytes);
        g_test_add_func("/baggageclaim/hostile", hostile_archives_harm_nobody);
        g_test_add_func("/baggageclaim/owners", owners_beyond_the_range_become_nobodys);
        g_test_add_func("/baggageclaim/garbage", what_is_no_archive_is_refused);
        g_test_add_func("/baggageclaim/p2p", a_volume_goes_to_another_worker);
        int result = g_test_run();
        http_client_free(client);
        volumes_server_stop(server, DURATION_SECOND);
        volumes_free(volumes);
        work_stop();
        return result;
}
