#include "worker/helper/packing.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool leads_out(const char *name) {
        g_auto(GStrv) parts = g_strsplit(name, "/", -1);
        return *name == '/' || g_strv_contains((const char *const *) parts, "..");
}

/* Whatever an archive says, what is left of an entry stays below the root. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct archive *archive = archive_read_new();
        struct archive_entry *entry;
        UnpackSpec spec = { .devices = size % 2, .any_owner = size % 3 == 0 };

        archive_read_support_format_tar(archive);
        if (archive_read_open_memory(archive, data, size) == ARCHIVE_OK)
                while (archive_read_next_header(archive, &entry) == ARCHIVE_OK) {
                        if (!unpack_entry_clean(entry, &spec, NULL))
                                continue;
                        const char *hard = archive_entry_hardlink(entry);
                        g_assert(!leads_out(archive_entry_pathname(entry)));
                        g_assert(!hard || !leads_out(hard));
                        g_assert(spec.any_owner || archive_entry_uid(entry) < 65536);
                }
        archive_read_free(archive);
        return 0;
}
