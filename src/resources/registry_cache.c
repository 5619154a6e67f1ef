#include "resources/registry_cache.h"

#include "base/crypto.h"
#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE ((size_t) 256 * 1024)
#define TEMPORARY ".new-"
/* Of temporary files: whoever wrote one longer ago is gone. */
#define ABANDONED_SECONDS (6 * 3600)

struct LayerCache {
        int folder;
};

LayerCache *layer_cache_open(const char *folder) {
        autofd fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || faccessat(fd, ".", W_OK, 0) < 0)
                return NULL;
        LayerCache *cache = g_new0(LayerCache, 1);
        cache->folder = fd_steal(&fd);
        return cache;
}

void layer_cache_free(LayerCache *cache) {
        if (!cache)
                return;
        fd_close(cache->folder);
        g_free(cache);
}

/* "sha256:…" without what no file's name should have. */
static const char *name_of(const char *digest) {
        const char *colon = strchr(digest, ':');
        return colon ? colon + 1 : digest;
}

static bool is_whole(int fd, const char *digest) {
        g_autoptr(Sha256) sha256 = sha256_new();
        g_autofree char *buffer = g_malloc(READ_SIZE);
        for (;;) {
                ssize_t got = read(fd, buffer, READ_SIZE);
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return false;
                if (got == 0)
                        break;
                sha256_add(sha256, buffer, (size_t) got);
        }
        g_autofree char *hex = sha256_hex(sha256);
        return g_str_equal(hex, name_of(digest)) && lseek(fd, 0, SEEK_SET) == 0;
}

int layer_cache_find(LayerCache *cache, const char *digest, int64_t size) {
        struct stat status;
        if (!cache)
                return -1;
        autofd fd = openat(cache->folder, name_of(digest), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -1;
        if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size != size ||
            !is_whole(fd, digest)) {
                unlinkat(cache->folder, name_of(digest), 0);
                return -1;
        }
        futimens(fd, NULL); /* the last use */
        return fd_steal(&fd);
}

LayerKeeping layer_cache_begin(LayerCache *cache) {
        LayerKeeping keeping = { .cache = cache, .fd = -1 };
        if (!cache)
                return keeping;
        g_autofree char *random = crypto_random_hex(8);
        keeping.temporary = g_strconcat(TEMPORARY, random, NULL);
        keeping.fd = openat(cache->folder, keeping.temporary,
                            O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (keeping.fd < 0)
                layer_cache_drop(&keeping);
        return keeping;
}

void layer_cache_write(LayerKeeping *keeping, const void *bytes, size_t length) {
        if (keeping->temporary && !write_all(keeping->fd, bytes, length, NULL))
                layer_cache_drop(keeping);
}

void layer_cache_keep(LayerKeeping *keeping, const char *digest) {
        if (keeping->temporary && renameat(keeping->cache->folder, keeping->temporary,
                                           keeping->cache->folder, name_of(digest)) == 0)
                g_clear_pointer(&keeping->temporary, g_free);
        layer_cache_drop(keeping);
}

void layer_cache_drop(LayerKeeping *keeping) {
        if (keeping->temporary && keeping->fd >= 0)
                unlinkat(keeping->cache->folder, keeping->temporary, 0);
        g_clear_pointer(&keeping->temporary, g_free);
        fd_close(keeping->fd);
        keeping->fd = -1;
}

/* ---- what goes ---- */

typedef struct {
        char *name;
        int64_t size;
        time_t used;
        bool wanted;
} Kept;

static void kept_free(void *data) {
        Kept *kept = data;
        g_free(kept->name);
        g_free(kept);
}

static bool is_wanted(const char *name, const GPtrArray *digests) {
        for (guint i = 0; i < digests->len; i++)
                if (g_str_equal(name_of(digests->pdata[i]), name))
                        return true;
        return false;
}

static GPtrArray *list(LayerCache *cache, const GPtrArray *digests) {
        GPtrArray *all = g_ptr_array_new_with_free_func(kept_free);
        int fd = openat(cache->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *folder = fd < 0 ? NULL : fdopendir(fd);
        for (struct dirent *entry; folder && (entry = readdir(folder));) {
                struct stat status;
                if (fstatat(cache->folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
                    !S_ISREG(status.st_mode))
                        continue;
                bool temporary = g_str_has_prefix(entry->d_name, TEMPORARY);
                if (temporary && time(NULL) - status.st_mtime < ABANDONED_SECONDS)
                        continue;
                Kept *kept = g_new0(Kept, 1);
                *kept = (Kept){ .name = g_strdup(entry->d_name),
                                .size = status.st_size,
                                .used = temporary ? 0 : status.st_mtime,
                                .wanted = is_wanted(entry->d_name, digests) };
                g_ptr_array_add(all, kept);
        }
        if (folder)
                closedir(folder);
        return all;
}

static int by_use(gconstpointer a, gconstpointer b) {
        const Kept *const *first = a, *const *second = b;
        return ((*first)->used < (*second)->used) - ((*first)->used > (*second)->used);
}

void layer_cache_trim(LayerCache *cache, const GPtrArray *digests) {
        if (!cache)
                return;
        g_autoptr(GPtrArray) all = list(cache, digests);
        int64_t room = 0;
        for (guint i = 0; i < all->len; i++) {
                const Kept *kept = all->pdata[i];
                room += kept->wanted ? kept->size : 0;
        }
        g_ptr_array_sort(all, by_use);
        for (guint i = 0; i < all->len; i++) {
                const Kept *kept = all->pdata[i];
                if (kept->wanted)
                        continue;
                room -= kept->size;
                if (room < 0 || kept->used == 0)
                        unlinkat(cache->folder, kept->name, 0);
        }
}
