#include <math.h>
#include <string.h>

#include "config/records.h"
#include "config/task.h"

/* Go's conversion of a float64 to uint64 on amd64: negative numbers wrap, what is too large is this. */
#define TOO_LARGE ((uint64_t) 1 << 63)

static uint64_t number_to_unsigned(double number) {
        if (number >= 18446744073709551616.0 || number <= -9223372036854775808.0)
                return TOO_LARGE;
        return number < 0 ? (uint64_t) (int64_t) number : (uint64_t) number;
}

/* The exponent of 2 that a unit stands for: "", K, KB, Ki, KiB, and so on, in any case; -1: not a unit. */
static int unit_shift(const char *unit) {
        static const struct {
                char letter;
                int shift;
        } units[] = { { 'k', 10 }, { 'm', 20 }, { 'g', 30 } };

        if (!*unit)
                return 0;
        for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
                if (g_ascii_tolower(*unit) != units[i].letter)
                        continue;
                const char *rest = unit + 1;
                if (g_ascii_tolower(*rest) == 'i')
                        rest++;
                if (g_ascii_tolower(*rest) == 'b')
                        rest++;
                return *rest ? -1 : units[i].shift;
        }
        return -1;
}

static bool read_memory_text(const char *text, uint64_t *ret, GError **error) {
        size_t digits = strspn(text, "0123456789");
        int shift = digits > 0 ? unit_shift(text + digits) : -1;
        if (shift < 0) {
                g_set_error(error, ERROR, ERROR_INVALID, "could not parse container memory limit");
                return false;
        }
        uint64_t value = 0;
        for (size_t i = 0; i < digits; i++)
                if (__builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, (uint64_t) (text[i] - '0'), &value)) {
                        g_set_error(error, ERROR, ERROR_INVALID,
                                    "strconv.ParseUint: parsing \"%.*s\": value out of range",
                                    (int) digits, text);
                        return false;
                }
        *ret = value << shift; /* wraps silently, as upstream's: corrections 6 */
        return true;
}

static bool read_memory(const Value *value, uint64_t *ret, GError **error) {
        if (value_is(value, VALUE_STRING))
                return read_memory_text(value_text(value), ret, error);
        *ret = value_is(value, VALUE_NUMBER) ? number_to_unsigned(value_as_double(value)) : 0;
        return true;
}

static bool read_limit(const Value *map, const char *key, const Value **ret) {
        for (size_t i = 0; i < value_length(map); i++)
                if (g_ascii_strcasecmp(value_key_at(map, i), key) == 0 &&
                    !value_is_null(value_at(map, i))) {
                        *ret = value_at(map, i);
                        return true;
                }
        return false;
}

bool container_limits_from_value(const Value *value, ContainerLimits *ret, GError **error) {
        ContainerLimits limits = {};
        const Value *given;

        if (!value_is_null(value) && !value_is(value, VALUE_MAP)) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "json: cannot unmarshal %s into Go value of type atc.ContainerLimits",
                            value_json_kind(value));
                return false;
        }
        if (read_limit(value, "cpu", &given)) {
                if (!value_is(given, VALUE_NUMBER)) {
                        g_set_error(error, ERROR, ERROR_INVALID, "cpu limit must be an integer");
                        return false;
                }
                limits.has_cpu = true;
                limits.cpu = number_to_unsigned(value_as_double(given));
        }
        if (read_limit(value, "memory", &given)) {
                if (!read_memory(given, &limits.memory, error))
                        return false;
                limits.has_memory = true;
        }
        *ret = limits;
        return true;
}

static Value *unsigned_value(uint64_t number) {
        char literal[24];
        g_snprintf(literal, sizeof literal, "%" G_GUINT64_FORMAT, number);
        return value_number(literal);
}

Value *container_limits_to_value(const ContainerLimits *limits) {
        Value *map = value_map();
        if (limits->has_cpu)
                value_map_set(map, "cpu", unsigned_value(limits->cpu));
        if (limits->has_memory)
                value_map_set(map, "memory", unsigned_value(limits->memory));
        return map;
}

static void limits_decode(Decoder *decoder, const Value *value, void *record) {
        GError *error = NULL;
        if (!value_is_null(value) && !value_is(value, VALUE_MAP))
                decoder_fail_type(decoder, value, "atc.ContainerLimits");
        else if (!container_limits_from_value(value, record, &error))
                decoder_fail_error(decoder, error);
}

static Value *limits_encode(const void *record) {
        return container_limits_to_value(record);
}

const Record record_container_limits = {
        .name = "ContainerLimits",
        .type = "atc.ContainerLimits",
        .size = sizeof(ContainerLimits),
        .decode = limits_decode,
        .encode = limits_encode,
};
