#include "worker/oci/hooks.h"

#include "base/files.h"
#include "base/json.h"

#include <sys/stat.h>

/* A directory with these files; NULL text: a folder. Returns new. */
static char *directory_of(const char *const (*files)[2], size_t count) {
        char *directory = g_dir_make_tmp("weir-hooks-XXXXXX", NULL);
        for (size_t i = 0; i < count; i++) {
                g_autofree char *path = g_build_filename(directory, files[i][0], NULL);
                if (files[i][1])
                        g_assert_true(g_file_set_contents(path, files[i][1], -1, NULL));
                else
                        g_assert_cmpint(mkdir(path, 0755), ==, 0);
        }
        return directory;
}

static void hooks_are_gathered_by_stage_in_the_order_of_their_files(void) {
        static const char *const files[][2] = {
                { "2", "{\"hook\":{\"path\":\"/b\"},\"stages\":[\"prestart\"]}" },
                { "1",
                  "{\"version\":\"1\",\"when\":{\"always\":false},\"hook\":{\"path\":\"/a\",\"args\":[\"a\"],"
                  "\"timeout\":3},\"stages\":[\"poststop\",\"prestart\"]}" },
                { "folder", NULL },
        };
        g_autoptr(GError) error = NULL;
        g_autofree char *directory = directory_of(files, G_N_ELEMENTS(files));
        g_autoptr(Value) hooks = hooks_read(directory, &error);
        g_assert_no_error(error);
        g_autofree char *text = json_write(hooks, JSON_COMPACT, NULL);
        g_assert_cmpstr(
                text, ==,
                "{\"poststop\":[{\"path\":\"/a\",\"args\":[\"a\"],\"timeout\":3}],"
                "\"prestart\":[{\"path\":\"/a\",\"args\":[\"a\"],\"timeout\":3},{\"path\":\"/b\"}]}");
        directory_remove(directory, NULL);
}

static const struct {
        const char *text, *message;
} refused[] = {
        { "{\"hook\":{\"path\":\"a\"},\"stages\":[\"prestart\"]}",
          "hook.path must be an absolute path" },
        { "[]", "hook.path must be an absolute path" },
        { "{\"hook\":{\"path\":\"/a\"}}", "stages must not be empty" },
        { "{\"hook\":{\"path\":\"/a\"},\"stages\":[\"later\"]}", "unknown stage 'later'" },
        { "{\"hook\":{\"path\":\"/a\"},\"stages\":[7]}", "unknown stage '7'" },
};

static void what_is_no_hook_is_refused_with_its_file(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
                const char *const files[][2] = { { "one.json", refused[i].text } };
                g_autoptr(GError) error = NULL;
                g_autofree char *directory = directory_of(files, 1);
                g_assert_null(hooks_read(directory, &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
                g_assert_true(g_str_has_suffix(error->message, refused[i].message));
                g_assert_nonnull(strstr(error->message, "/one.json: "));
                directory_remove(directory, NULL);
        }
}

static void a_directory_that_is_not_there_is_an_error(void) {
        g_autoptr(GError) error = NULL;
        g_assert_null(hooks_read("/no/such/directory", &error));
        g_assert_error(error, ERROR, ERROR_IO);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hooks/read", hooks_are_gathered_by_stage_in_the_order_of_their_files);
        g_test_add_func("/hooks/refused", what_is_no_hook_is_refused_with_its_file);
        g_test_add_func("/hooks/none", a_directory_that_is_not_there_is_an_error);
        return g_test_run();
}
