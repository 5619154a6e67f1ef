#include "worker/helper/protocol.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input fills the beginning of a request; its length is right, its content is anything. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree HelperRequest *request = g_new0(HelperRequest, 1);
        memcpy(request, data, MIN(size, sizeof *request));
        for (size_t fds = 0; fds <= HELPER_FDS_MAX; fds++) {
                if (!helper_request_check(request, sizeof *request, fds, NULL) ||
                    (request->op != HELPER_OP_MOUNT && request->op != HELPER_OP_JOB))
                        continue;
                g_assert(request->layer_count <= HELPER_LAYERS_MAX);
                for (uint32_t i = 0; i < request->layer_count; i++)
                        g_assert(helper_id_valid(request->layers[i]));
        }
        (void) helper_request_check(data, size, 0, NULL);
        return 0;
}
