/* Downloads of fly: out of a tgz, a zip, or as it is. */
#include "desk.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#define CLI "/api/v1/cli?platform="

static void add_member(struct archive *archive, const char *name, const char *text) {
        struct archive_entry *entry = archive_entry_new();

        archive_entry_set_pathname(entry, name);
        archive_entry_set_size(entry, (int64_t) strlen(text));
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0755);
        archive_entry_set_mtime(entry, 1700000000, 0);
        g_assert_cmpint(archive_write_header(archive, entry), ==, ARCHIVE_OK);
        g_assert_cmpint(archive_write_data(archive, text, strlen(text)), ==, strlen(text));
        archive_entry_free(entry);
}

/* An archive of a README and a member. */
static void put_archive(const Desk *desk, const char *file, const char *member, const char *text) {
        struct archive *archive = archive_write_new();
        g_autofree char *path = g_build_filename(desk->cli_directory, file, NULL);

        if (g_str_has_suffix(file, ".zip"))
                archive_write_set_format_zip(archive);
        else {
                archive_write_set_format_ustar(archive);
                archive_write_add_filter_gzip(archive);
        }
        g_assert_cmpint(archive_write_open_filename(archive, path), ==, ARCHIVE_OK);
        add_member(archive, "README", "not this");
        add_member(archive, member, text);
        g_assert_cmpint(archive_write_free(archive), ==, ARCHIVE_OK);
}

static void expect(Desk *desk, const char *query, int status, const char *body) {
        g_autofree char *path = g_strconcat(CLI, query, NULL);

        desk_expect(desk, &(Ask){ "GET", path, "viewer", NULL }, status, body);
}

static void the_program_comes_out_of_its_archive(House *house) {
        Desk desk;

        desk_open(&desk, house);
        put_archive(&desk, "fly-linux-amd64.tgz", "fly", "a program");
        put_archive(&desk, "fly-darwin-arm64.tgz", "./fly", "an apple");
        put_archive(&desk, "fly-windows-amd64.zip", "fly.exe", "a window");
        expect(&desk, "linux&arch=amd64", 200, "a program");
        expect(&desk, "Darwin&arch=arm64", 200, "an apple");
        expect(&desk, "windows&arch=amd64", 200, "a window");
        desk_close(&desk);
}

static void the_answer_has_length_name_and_date(House *house) {
        static const char *const methods[] = { "GET", "HEAD" };
        Desk desk;

        desk_open(&desk, house);
        put_archive(&desk, "fly-windows-amd64.zip", "fly.exe", "a window");
        for (size_t i = 0; i < G_N_ELEMENTS(methods); i++) {
                g_auto(HttpReply) reply = { 0 };
                desk_ask(&desk, &(Ask){ methods[i], CLI "windows&arch=amd64", "viewer", NULL },
                         &reply);
                g_assert_cmpint(reply.status, ==, 200);
                g_assert_cmpstr(http_reply_header(&reply, "Content-Length"), ==, "8");
                g_assert_cmpstr(http_reply_header(&reply, "Content-Type"), ==,
                                "application/octet-stream");
                g_assert_cmpstr(http_reply_header(&reply, "Content-Disposition"), ==,
                                "attachment; filename=fly.exe");
                g_assert_cmpstr(http_reply_header(&reply, "Last-Modified"), ==,
                                "Tue, 14 Nov 2023 22:13:20 GMT");
        }
        desk_close(&desk);
}

static void a_program_as_it_is_does_as_well(House *house) {
        Desk desk;

        desk_open(&desk, house);
        g_autofree char *path = g_build_filename(desk.cli_directory, "fly-linux-riscv64", NULL);
        g_assert_true(g_file_set_contents(path, "ours", -1, NULL));
        expect(&desk, "linux&arch=riscv64", 200, "ours");
        desk_close(&desk);
}

static void what_is_not_there_is_said(House *house) {
        Desk desk;

        desk_open(&desk, house);
        put_archive(&desk, "fly-linux-amd64.tgz", "flie", "?");
        g_autofree char *missing = g_strdup_printf(
                "failed to open zip archive: open %s/fly-windows-386.zip: "
                "no such file or directory\n",
                desk.cli_directory);
        expect(&desk, "windows&arch=386", 500, missing);
        expect(&desk, "linux&arch=amd64", 500, "fly executable not found in archive\n");
        desk_close(&desk);
}

static void platform_and_architecture_are_words(House *house) {
        static const char *const queries[] = { "linux", "&arch=amd64", "linux&arch=..%2F..%2Fetc",
                                               "li-nux&arch=amd64", "linux&arch=AMD64" };
        Desk desk;

        desk_open(&desk, house);
        for (size_t i = 0; i < G_N_ELEMENTS(queries); i++)
                expect(&desk, queries[i], 400, "");
        desk_close(&desk);
}

static void add(void) {
        house_add("/cli/archive", the_program_comes_out_of_its_archive);
        house_add("/cli/headers", the_answer_has_length_name_and_date);
        house_add("/cli/plain", a_program_as_it_is_does_as_well);
        house_add("/cli/missing", what_is_not_there_is_said);
        house_add("/cli/words", platform_and_architecture_are_words);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
