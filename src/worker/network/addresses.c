#include "worker/network/addresses.h"

#include "base/files.h"
#include "base/thread.h"
#include "worker/helper/helper.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct Addresses {
        char *directory;
        uint32_t first, last; /* host byte order; what containers may have */
        uint32_t next;        /* where the search goes on, so that a freed address rests a while */
        Mutex lock;
        GHashTable *by_container; /* handle → address, host byte order */
        GHashTable *taken;        /* set of addresses, host byte order */
};

char *address_text(uint32_t address) {
        char text[INET_ADDRSTRLEN];
        inet_ntop(AF_INET, &address, text, sizeof text);
        return g_strdup(text);
}

static char *file_of(const Addresses *addresses, uint32_t address) {
        g_autofree char *name = address_text(htonl(address));
        return g_build_filename(addresses->directory, name, NULL);
}

static void remember(Addresses *addresses, const char *container, uint32_t address) {
        g_hash_table_insert(addresses->by_container, g_strdup(container),
                            GUINT_TO_POINTER(address));
        g_hash_table_add(addresses->taken, GUINT_TO_POINTER(address));
}

static void load_one(Addresses *addresses, const char *name) {
        g_autofree char *path = g_build_filename(addresses->directory, name, NULL);
        g_autofree char *container = file_read(path, HELPER_ID_LENGTH_MAX, NULL, NULL);
        uint32_t address;
        bool valid = inet_pton(AF_INET, name, &address) == 1 && container &&
                     helper_id_valid(container) && ntohl(address) >= addresses->first &&
                     ntohl(address) <= addresses->last &&
                     !g_hash_table_contains(addresses->by_container, container);
        if (valid)
                remember(addresses, container, ntohl(address));
        else
                (void) unlink(path);
}

Addresses *addresses_open(const char *directory, uint32_t network, unsigned prefix,
                          GError **error) {
        g_autoptr(Addresses) addresses = g_new0(Addresses, 1);
        uint32_t base = ntohl(network);

        mutex_init(&addresses->lock);
        addresses->by_container = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        addresses->taken = g_hash_table_new(NULL, NULL);
        addresses->directory = g_strdup(directory);
        addresses->first = addresses->next = base + 2;
        addresses->last = base + (uint32_t) ((UINT64_C(1) << (32 - prefix)) - 2);
        if (!directory_make(directory, 0755, error))
                return NULL;
        g_autoptr(GDir) files = g_dir_open(directory, 0, NULL);
        const char *name;
        while (files && (name = g_dir_read_name(files)))
                load_one(addresses, name);
        return g_steal_pointer(&addresses);
}

void addresses_free(Addresses *addresses) {
        if (!addresses)
                return;
        g_hash_table_unref(addresses->by_container);
        g_hash_table_unref(addresses->taken);
        mutex_destroy(&addresses->lock);
        g_free(addresses->directory);
        g_free(addresses);
}

/* Not synced: after a crash of the machine there are no containers to have addresses. */
static bool save(const Addresses *addresses, const char *container, uint32_t address,
                 GError **error) {
        g_autofree char *path = file_of(addresses, address);
        autofd file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (file >= 0)
                return write_all(file, container, strlen(container), error);
        error_set_errno(error, errno, "failed to make %s", path);
        return false;
}

bool addresses_take(Addresses *addresses, const char *container, uint32_t *ret, GError **error) {
        uint32_t count = addresses->last - addresses->first + 1;
        MUTEX_SCOPE(&addresses->lock);
        void *known = g_hash_table_lookup(addresses->by_container, container);
        if (known) {
                *ret = htonl(GPOINTER_TO_UINT(known));
                return true;
        }
        for (uint32_t i = 0; i < count; i++) {
                uint32_t candidate = addresses->first +
                                     (addresses->next - addresses->first + i) % count;
                if (g_hash_table_contains(addresses->taken, GUINT_TO_POINTER(candidate)))
                        continue;
                if (!save(addresses, container, candidate, error))
                        return false;
                remember(addresses, container, candidate);
                addresses->next = candidate + 1 > addresses->last ? addresses->first
                                                                  : candidate + 1;
                *ret = htonl(candidate);
                return true;
        }
        g_set_error(error, ERROR, ERROR_LIMIT, "no address left for a container");
        return false;
}

bool addresses_find(Addresses *addresses, const char *container, uint32_t *ret) {
        MUTEX_SCOPE(&addresses->lock);
        void *known = g_hash_table_lookup(addresses->by_container, container);
        if (known)
                *ret = htonl(GPOINTER_TO_UINT(known));
        return known != NULL;
}

bool addresses_give(Addresses *addresses, const char *container, uint32_t *ret) {
        MUTEX_SCOPE(&addresses->lock);
        void *known = g_hash_table_lookup(addresses->by_container, container);
        if (!known)
                return false;
        g_autofree char *path = file_of(addresses, GPOINTER_TO_UINT(known));
        (void) unlink(path);
        g_hash_table_remove(addresses->taken, known);
        g_hash_table_remove(addresses->by_container, container);
        *ret = htonl(GPOINTER_TO_UINT(known));
        return true;
}

GPtrArray *addresses_holders(Addresses *addresses) {
        GPtrArray *holders = g_ptr_array_new_with_free_func(g_free);
        GHashTableIter iter;
        void *container;
        MUTEX_SCOPE(&addresses->lock);
        g_hash_table_iter_init(&iter, addresses->by_container);
        while (g_hash_table_iter_next(&iter, &container, NULL))
                g_ptr_array_add(holders, g_strdup(container));
        return holders;
}
