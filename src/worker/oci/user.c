#include "worker/oci/user.h"

#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ID_MAX INT32_MAX
#define FIELDS_MAX 7

void user_clear(User *user) {
        g_clear_pointer(&user->home, g_free);
}

/* Returns new text; NULL when there is no such regular file, or it cannot be read. */
static char *image_file(int root, const char *path) {
        struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                                .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
        struct stat status;
        autofd fd = (int) syscall(SYS_openat2, root, path, &how, sizeof(how));
        if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
                return NULL;

        size_t size = MIN((size_t) status.st_size, USER_FILE_MAX), got = 0;
        g_autofree char *text = g_malloc(size + 1);
        while (got < size) {
                ssize_t n = read(fd, text + got, size - got);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                got += (size_t) n;
        }
        text[got] = '\0';
        return strlen(text) == got ? g_steal_pointer(&text) : NULL;
}

static bool parse_id(const char *text, uint32_t *ret) {
        char *end;
        if (!g_ascii_isdigit(*text))
                return false;
        errno = 0;
        unsigned long long value = strtoull(text, &end, 10);
        if (*end || errno || value > ID_MAX)
                return false;
        *ret = (uint32_t) value;
        return true;
}

/* Cuts line at its colons; returns how many fields there are, the rest are "". */
static size_t split_fields(char *line, char *fields[FIELDS_MAX]) {
        size_t count = 0;
        for (char *cursor = line; cursor && count < FIELDS_MAX; count++) {
                char *colon = strchr(cursor, ':');
                fields[count] = cursor;
                if (colon)
                        *colon = '\0';
                cursor = colon ? colon + 1 : NULL;
        }
        for (size_t i = count; i < FIELDS_MAX; i++)
                fields[i] = (char *) "";
        return count;
}

/* Finds the first entry with this name, or this number (field `id_at`). Cuts up text. */
static bool find_entry(char *text, const char *name, const uint32_t *number, size_t id_at,
                       char *ret_fields[FIELDS_MAX]) {
        char *rest = text;
        while (rest && *rest) {
                char *line = g_strchomp(strsep(&rest, "\n"));
                char *fields[FIELDS_MAX];
                uint32_t id;
                if (*line == '\0' || *line == '#' || split_fields(line, fields) <= id_at)
                        continue;
                bool known = parse_id(fields[id_at], &id);
                if (known && (g_str_equal(fields[0], name) || (number && id == *number))) {
                        memcpy(ret_fields, fields, sizeof(fields));
                        return true;
                }
        }
        return false;
}

static bool lookup_user(int root, const char *name, User *ret, GError **error) {
        g_autofree char *passwd = image_file(root, "etc/passwd");
        char *fields[FIELDS_MAX];
        uint32_t number;
        bool numeric = parse_id(name, &number);

        if (passwd && find_entry(passwd, name, numeric ? &number : NULL, 2, fields)) {
                parse_id(fields[2], &ret->user);
                if (!parse_id(fields[3], &ret->group))
                        ret->group = 0;
                ret->home = g_strdup(*fields[5] ? fields[5] : "/");
                return true;
        }
        if (numeric || (!passwd && g_str_equal(name, "root"))) {
                ret->user = numeric ? number : 0;
                ret->group = 0;
                ret->home = g_strdup("/");
                return true;
        }
        g_set_error(error, ERROR, ERROR_NOT_FOUND,
                    "unable to find user %s: no matching entries in passwd file", name);
        return false;
}

static bool lookup_group(int root, const char *name, uint32_t *ret, GError **error) {
        g_autofree char *text = image_file(root, "etc/group");
        char *fields[FIELDS_MAX];
        uint32_t number;
        bool numeric = parse_id(name, &number);

        if (text && find_entry(text, name, numeric ? &number : NULL, 2, fields))
                return parse_id(fields[2], ret);
        if (numeric) {
                *ret = number;
                return true;
        }
        g_set_error(error, ERROR, ERROR_NOT_FOUND,
                    "unable to find group %s: no matching entries in group file", name);
        return false;
}

bool user_lookup(int root, const char *text, User *ret, GError **error) {
        g_auto(User) user = { 0 };
        g_autofree char *name = g_strdup(text && *text ? text : "0");
        char *group = strchr(name, ':');
        if (group)
                *group++ = '\0';

        if (!lookup_user(root, *name ? name : "0", &user, error))
                return false;
        if (group && *group && !lookup_group(root, group, &user.group, error))
                return false;
        *ret = user;
        user.home = NULL;
        return true;
}
