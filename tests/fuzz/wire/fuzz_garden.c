#include "base/json.h"
#include "wire/garden.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A line of a control connection that is accepted can be written, and reads back as the same. */
static void try_payload(const uint8_t *data, size_t size) {
        g_auto(GardenPayload) payload = { 0 }, again = { 0 };
        g_autoptr(GString) first = g_string_new(NULL), second = g_string_new(NULL);
        if (!garden_payload_parse((const char *) data, size, &payload, NULL))
                return;
        garden_payload_append(first, &payload);
        g_assert(garden_payload_parse(first->str, first->len - 1, &again, NULL));
        garden_payload_append(second, &again);
        g_assert_cmpstr(first->str, ==, second->str);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(Value) value = json_parse((const char *) data, size, NULL, NULL);
        g_auto(GardenContainerSpec) container = { 0 }, same = { 0 };
        g_auto(GardenProcessSpec) process = { 0 };
        g_auto(GardenError) message = { 0 };
        g_autofree char *handle = NULL;

        try_payload(data, size);
        (void) garden_process_spec_parse(value, &process, NULL);
        (void) garden_error_parse(value, &message, NULL);
        (void) garden_handle_parse(value, &handle, NULL);
        g_autoptr(GPtrArray) handles = garden_handles_parse(value, NULL);
        if (garden_container_spec_parse(value, &container, NULL)) {
                g_autoptr(Value) written = garden_container_spec_value(&container);
                g_assert(garden_container_spec_parse(written, &same, NULL));
                g_autoptr(Value) twice = garden_container_spec_value(&same);
                g_assert(value_equal(written, twice));
        }
        return 0;
}
