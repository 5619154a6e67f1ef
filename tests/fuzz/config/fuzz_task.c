/* Task files: what is accepted must come back as the same. */
#include "config/task.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(TaskConfig) config = task_config_parse((const char *) data, size, NULL);
        if (!config)
                return 0;
        g_autoptr(TaskConfig) copy = task_config_copy(config);
        g_autoptr(Value) first = task_config_to_value(config);
        g_autoptr(Value) second = task_config_to_value(copy);
        g_assert(value_equal(first, second));
        return 0;
}
