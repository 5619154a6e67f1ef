#include "worker/oci/user.h"

#include "base/files.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char root[] = "/tmp/weir-fuzz-user-XXXXXX";
static int root_fd = -1;

static void remove_root(void) {
        directory_remove(root, NULL);
}

static void put(const char *name, const uint8_t *data, size_t size) {
        g_autoptr(GError) error = NULL;
        autofd fd = openat(root_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        g_assert(fd >= 0 && write_all(fd, data, size, &error));
}

/* Up to the first newline: who is looked up. The rest is both files. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_auto(User) user = { 0 };
        const uint8_t *newline = memchr(data, '\n', size);
        if (!newline)
                return 0;
        if (root_fd < 0) {
                g_assert(mkdtemp(root));
                root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
                g_assert(mkdirat(root_fd, "etc", 0700) == 0);
                atexit(remove_root);
        }
        g_autofree char *name = g_strndup((const char *) data, (size_t) (newline - data));
        size_t rest = size - (size_t) (newline + 1 - data);
        put("etc/passwd", newline + 1, rest);
        put("etc/group", newline + 1, rest);
        if (user_lookup(root_fd, name, &user, NULL)) {
                g_assert(user.home);
                g_assert(user.user <= INT32_MAX && user.group <= INT32_MAX);
        }
        return 0;
}
