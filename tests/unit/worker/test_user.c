#include "base/files.h"
#include "worker/oci/user.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASSWD                                                                                     \
        "root:x:0:0:root:/root:/bin/sh\n"                                                          \
        "# a comment\n"                                                                            \
        "\n"                                                                                       \
        "broken\n"                                                                                 \
        "app:x:1000:1001:The App:/home/app:/bin/sh\r\n"                                            \
        "bare:x:1002:1003\n"                                                                       \
        "odd:x:notanumber:5::/odd:\n"                                                              \
        "huge:x:4294967295:5::/huge:\n"                                                            \
        "last:x:7:8::/last:/bin/sh"
#define GROUP "root:x:0:\nteam:x:1234:app\n"

typedef struct {
        const char *passwd, *group; /* NULL: no such file */
        const char *text;
        uint32_t user, group_id;
        const char *home;
} Case;

static const Case known[] = {
        { PASSWD, GROUP, NULL, 0, 0, "/root" },
        { PASSWD, GROUP, "", 0, 0, "/root" },
        { PASSWD, GROUP, "root", 0, 0, "/root" },
        { PASSWD, GROUP, "app", 1000, 1001, "/home/app" },
        { PASSWD, GROUP, "1000", 1000, 1001, "/home/app" },
        { PASSWD, GROUP, "app:team", 1000, 1234, "/home/app" },
        { PASSWD, GROUP, "app:77", 1000, 77, "/home/app" },
        { PASSWD, GROUP, "4242", 4242, 0, "/" },
        { PASSWD, GROUP, "4242:4243", 4242, 4243, "/" },
        { PASSWD, GROUP, "bare", 1002, 1003, "/" },
        { PASSWD, GROUP, "last", 7, 8, "/last" },
        { NULL, NULL, NULL, 0, 0, "/" },
        { NULL, NULL, "root", 0, 0, "/" },
        { NULL, NULL, "12:13", 12, 13, "/" },
        { "", "", "0", 0, 0, "/" },
};

static const Case unknown[] = {
        { PASSWD, GROUP, "nobody", 0, 0,
          "unable to find user nobody: no matching entries in passwd file" },
        { PASSWD, GROUP, "odd", 0, 0,
          "unable to find user odd: no matching entries in passwd file" },
        { PASSWD, GROUP, "huge", 0, 0,
          "unable to find user huge: no matching entries in passwd file" },
        { PASSWD, GROUP, "-1", 0, 0, "unable to find user -1: no matching entries in passwd file" },
        { PASSWD, GROUP, "99999999999", 0, 0,
          "unable to find user 99999999999: no matching entries in passwd file" },
        { PASSWD, GROUP, "app:nogroup", 0, 0,
          "unable to find group nogroup: no matching entries in group file" },
        { NULL, NULL, "app", 0, 0, "unable to find user app: no matching entries in passwd file" },
};

static char *make_root(const Case *entry) {
        char *root = g_dir_make_tmp("weir-user-XXXXXX", NULL);
        g_autofree char *etc = g_build_filename(root, "etc", NULL);
        g_autofree char *passwd = g_build_filename(etc, "passwd", NULL);
        g_autofree char *group = g_build_filename(etc, "group", NULL);
        mkdir(etc, 0755);
        if (entry->passwd)
                g_file_set_contents(passwd, entry->passwd, -1, NULL);
        if (entry->group)
                g_file_set_contents(group, entry->group, -1, NULL);
        return root;
}

static void finds_users_in_the_image_s_own_files(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
                g_autoptr(GError) error = NULL;
                g_auto(User) user = { 0 };
                g_autofree char *root = make_root(&known[i]);
                autofd fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
                g_assert_true(user_lookup(fd, known[i].text, &user, &error));
                g_assert_cmpuint(user.user, ==, known[i].user);
                g_assert_cmpuint(user.group, ==, known[i].group_id);
                g_assert_cmpstr(user.home, ==, known[i].home);
                directory_remove(root, NULL);
        }
}

static void names_what_it_did_not_find(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
                g_autoptr(GError) error = NULL;
                g_auto(User) user = { 0 };
                g_autofree char *root = make_root(&unknown[i]);
                autofd fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
                g_assert_false(user_lookup(fd, unknown[i].text, &user, &error));
                g_assert_error(error, ERROR, ERROR_NOT_FOUND);
                g_assert_cmpstr(error->message, ==, unknown[i].home);
                g_assert_null(user.home);
                directory_remove(root, NULL);
        }
}

static void links_stay_within_the_image(void) {
        static const Case empty = { 0 };
        g_autoptr(GError) error = NULL;
        g_auto(User) user = { 0 };
        g_autofree char *root = make_root(&empty);
        g_autofree char *path = g_build_filename(root, "etc/passwd", NULL);
        g_autofree char *real = g_build_filename(root, "real", NULL);
        g_autofree char *outside = g_strconcat(root, ".outside", NULL);
        autofd fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

        g_file_set_contents(outside, "thief:x:1:1::/:\n", -1, NULL);
        g_assert_cmpint(symlink(outside, path), ==, 0);
        g_assert_false(user_lookup(fd, "thief", &user, &error));

        unlink(path);
        g_file_set_contents(real, "mine:x:5:6::/mine:\n", -1, NULL);
        g_assert_cmpint(symlink("/real", path), ==, 0); /* absolute: from the image's root */
        g_assert_true(user_lookup(fd, "mine", &user, NULL));
        g_assert_cmpuint(user.user, ==, 5);

        unlink(path);
        mkfifo(path, 0600); /* must not block */
        g_clear_error(&error);
        g_assert_false(user_lookup(fd, "mine", &user, &error));
        unlink(outside);
        directory_remove(root, NULL);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/user/known", finds_users_in_the_image_s_own_files);
        g_test_add_func("/user/unknown", names_what_it_did_not_find);
        g_test_add_func("/user/links", links_stay_within_the_image);
        return g_test_run();
}
