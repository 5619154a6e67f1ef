#include "base/json.h"
#include "wire/baggageclaim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted can be written, and reads back as the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(Value) value = json_parse((const char *) data, size, NULL, NULL);
        g_auto(VolumeRequest) request = { 0 };
        g_auto(VolumeRequest) again = { 0 };
        g_auto(VolumeResponse) response = { 0 };

        (void) volume_response_from_value(value, &response, NULL);
        if (!volume_request_from_value(value, &request, NULL) ||
            request.strategy.kind == VOLUME_STRATEGY_UNKNOWN)
                return 0;
        g_autoptr(Value) written = volume_request_to_value(&request);
        g_assert(volume_request_from_value(written, &again, NULL));
        g_autoptr(Value) twice = volume_request_to_value(&again);
        g_assert(value_equal(written, twice));
        return 0;
}
