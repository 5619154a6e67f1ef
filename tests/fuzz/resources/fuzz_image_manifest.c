#include "resources/registry_content.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read as a manifest is one of the four kinds that there are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_auto(Manifest) manifest = { 0 };
        char *text = g_strndup((const char *) data, size);
        if (manifest_read(text, size, NULL, NULL, &manifest, NULL)) {
                g_assert(registry_digest_is_valid(manifest.digest));
                manifest_is_index(&manifest);
        }
        return 0;
}
