#include "base/files.h"
#include "resources/registry_unpack.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
        const uint8_t *data;
        size_t left;
} Tape;

static ssize_t read_tape(void *data, const void **ret, GError **error) {
        Tape *tape = data;
        size_t length = tape->left;
        *ret = tape->data;
        tape->left = 0;
        return (ssize_t) length;
}

/* Names of outside never lead out; and whatever is applied, what lies beside the root stays. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree char *folder = g_dir_make_tmp("fuzz-layer-XXXXXX", NULL);
        g_autofree char *root = g_build_filename(folder, "root", NULL);
        g_autofree char *beside = g_build_filename(folder, "beside", NULL);
        g_assert(directory_make(root, 0755, NULL) && directory_make(beside, 0755, NULL));
        autofd fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        Tape tape = { data, size };
        {
                g_autoptr(Unpacker) unpacker = unpacker_new(fd);
                unpacker_layer(unpacker, read_tape, &tape, NULL);
        }
        g_assert(access(beside, F_OK) == 0);
        g_autoptr(GDir) empty = g_dir_open(beside, 0, NULL);
        g_assert(empty && !g_dir_read_name(empty));
        g_assert(directory_remove(folder, NULL));
        return 0;
}
