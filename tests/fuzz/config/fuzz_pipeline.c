/* Pipelines: what decodes must validate without harm, and come back as the same again. */
#include "base/json.h"
#include "config/diff.h"
#include "config/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(PipelineConfig) config = pipeline_config_parse((const char *) data, size,
                                                                 PIPELINE_CONFIG_LENIENT, NULL);
        if (!config)
                return 0;
        g_autoptr(ConfigFindings) findings = pipeline_config_validate(config);
        g_autoptr(Value) value = pipeline_config_to_value(config);
        g_autoptr(PipelineConfig)
                again = pipeline_config_from_value(value, PIPELINE_CONFIG_SAVE, NULL);
        g_assert(again);
        g_autoptr(Value) twice = pipeline_config_to_value(again);
        g_autoptr(PipelineConfig)
                third = pipeline_config_from_value(twice, PIPELINE_CONFIG_SAVE, NULL);
        g_autoptr(Value) thrice = pipeline_config_to_value(third);
        g_assert(value_equal(twice, thrice));
        return 0;
}
