/* The kinds of fields that hold text, numbers, values and lists of text. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config/record.h"
#include "config/vars.h"

/* ---- text ---- */

/* The shortest decimal digits that read back as the same float32, in the form of Go's %g: what the YAML library makes
 * of a float where text is wanted. */
static char *float32_text(double number) {
        if (fabs(number) > (double) FLT_MAX)
                return g_strdup(number < 0 ? "-Inf" : "+Inf");
        float narrow = (float) number;
        char digits[32];
        for (int precision = 0; precision < 9; precision++) {
                g_snprintf(digits, sizeof digits, "%.*e", precision, (double) narrow);
                if (g_ascii_strtod(digits, NULL) == number ||
                    (float) g_ascii_strtod(digits, NULL) == narrow)
                        break;
        }
        int exponent = atoi(strchr(digits, 'e') + 1);
        if (exponent < -4 || exponent >= 6)
                return g_strdup(digits);
        int decimals = (int) (strchr(digits, 'e') - digits) - (strchr(digits, '.') ? 2 : 1) -
                       (*digits == '-');
        decimals -= exponent;
        return g_strdup_printf("%.*f", decimals > 0 ? decimals : 0, g_ascii_strtod(digits, NULL));
}

/* What a scalar becomes where text is wanted and Go's YAML library coerces; NULL for what it does not. */
static char *coerced_text(const Value *value) {
        if (value_is(value, VALUE_BOOL))
                return g_strdup(value_as_bool(value) ? "true" : "false");
        if (!value_is(value, VALUE_NUMBER))
                return NULL;
        const char *literal = value_text(value);
        return strpbrk(literal, ".eE") ? float32_text(value_as_double(value)) : g_strdup(literal);
}

/* Returns new text for value, or NULL after an error. Text stops at a NUL byte: no name of ours may hold one. */
static char *read_text(Decoder *decoder, const Value *value, bool coerce, const char *type) {
        if (value_is(value, VALUE_STRING))
                return g_strdup(value_text(value));
        char *text = coerce ? coerced_text(value) : NULL;
        if (!text)
                decoder_fail_type(decoder, value, type ? type : "string");
        return text;
}

static void text_init(const Field *field, void *data) {
        *(char **) data = g_strdup("");
}

static void text_clear(const Field *field, void *data) {
        g_clear_pointer((char **) data, g_free);
}

static void text_decode(Decoder *decoder, const Field *field, const Value *value, void *data) {
        if (value_is_null(value))
                return;
        char *text = read_text(decoder, value, decoder->coerce && !(field->flags & FIELD_PLAIN),
                               field->type);
        if (!text)
                return;
        g_free(*(char **) data);
        *(char **) data = text;
}

static Value *text_encode(const Field *field, const void *data) {
        const char *text = *(char *const *) data;
        bool empty = !text || !*text;
        return empty && !(field->flags & FIELD_ALWAYS) ? NULL : value_string(text ? text : "");
}

const Codec codec_text = { text_decode, text_encode, text_clear, text_init };

/* ---- bool and int ---- */

static void bool_decode(Decoder *decoder, const Field *field, const Value *value, void *data) {
        if (value_is_null(value))
                return;
        if (!value_is(value, VALUE_BOOL))
                decoder_fail_type(decoder, value, "bool");
        else
                *(bool *) data = value_as_bool(value);
}

static Value *bool_encode(const Field *field, const void *data) {
        bool boolean = *(const bool *) data;
        return boolean || (field->flags & FIELD_ALWAYS) ? value_bool(boolean) : NULL;
}

const Codec codec_bool = { bool_decode, bool_encode, NULL, NULL };

static void int_decode(Decoder *decoder, const Field *field, const Value *value, void *data) {
        if (value_is_null(value))
                return;
        int64_t integer;
        if (!value_is(value, VALUE_NUMBER)) {
                decoder_fail_type(decoder, value, "int");
        } else if (!value_as_int(value, &integer)) {
                g_autofree char *found = g_strdup_printf("number %s", value_text(value));
                decoder_fail_found(decoder, found, "int");
        } else {
                *(int64_t *) data = integer;
        }
}

static Value *int_encode(const Field *field, const void *data) {
        int64_t integer = *(const int64_t *) data;
        return integer != 0 || (field->flags & FIELD_ALWAYS) ? value_int(integer) : NULL;
}

const Codec codec_int = { int_decode, int_encode, NULL, NULL };

/* ---- values ---- */

static void value_clear_field(const Field *field, void *data) {
        g_clear_pointer((Value **) data, value_free);
}

static void any_decode(Decoder *decoder, const Field *field, const Value *value, void *data) {
        value_clear_field(field, data);
        if (value_is_null(value))
                return;
        g_autoptr(Value) floats = value_with_floats(value);
        *(Value **) data = value_sorted(floats);
}

static Value *value_encode_field(const Field *field, const void *data) {
        const Value *value = *(Value *const *) data;
        if (value)
                return value_ref(value);
        return field->flags & FIELD_ALWAYS ? value_null() : NULL;
}

const Codec codec_any = { any_decode, value_encode_field, value_clear_field, NULL };

static void map_decode(Decoder *decoder, const Field *field, const Value *value, void *data) {
        if (!value_is_null(value) && !value_is(value, VALUE_MAP))
                decoder_fail_type(decoder, value, field->type);
        else
                any_decode(decoder, field, value, data);
}

/* A map that is always written keeps {} and null apart; others leave out both. */
static Value *map_encode(const Field *field, const void *data) {
        const Value *value = *(Value *const *) data;
        if (!(field->flags & FIELD_ALWAYS) && value_length(value) == 0)
                return NULL;
        return value ? value_ref(value) : value_null();
}

const Codec codec_map = { map_decode, map_encode, value_clear_field, NULL };

static void text_map_decode(Decoder *decoder, const Field *field, const Value *value, void *data) {
        value_clear_field(field, data);
        if (value_is_null(value))
                return;
        if (!value_is(value, VALUE_MAP)) {
                decoder_fail_type(decoder, value, field->type ? field->type : "map[string]string");
                return;
        }
        g_autoptr(Value) sorted = value_sorted(value);
        Value *map = value_map();
        for (size_t i = 0; i < value_length(sorted); i++) {
                const Value *item = value_at(sorted, i);
                g_autofree char *text = value_is_null(item)
                                                ? g_strdup("")
                                                : read_text(decoder, item,
                                                            decoder->coerce &&
                                                                    !(field->flags & FIELD_PLAIN),
                                                            "string");
                if (!text)
                        break;
                if (value_is(item, VALUE_STRING))
                        value_map_set_sized(map, value_key_at(sorted, i),
                                            value_key_length_at(sorted, i), value_ref(item));
                else
                        value_map_set_sized(map, value_key_at(sorted, i),
                                            value_key_length_at(sorted, i), value_string(text));
        }
        *(Value **) data = map;
}

const Codec codec_text_map = { text_map_decode, map_encode, value_clear_field, NULL };

/* ---- lists of text ---- */

static void texts_clear(const Field *field, void *data) {
        g_clear_pointer((char ***) data, g_strfreev);
}

static void read_texts(Decoder *decoder, const Field *field, const Value *value, char ***ret,
                       bool coerce, bool drop_empty) {
        if (value_is_null(value))
                return;
        if (!value_is(value, VALUE_LIST)) {
                decoder_fail_type(decoder, value, field->type ? field->type : "[]string");
                return;
        }
        g_autoptr(GStrvBuilder) texts = g_strv_builder_new();
        size_t count = 0;
        for (size_t i = 0; i < value_length(value); i++) {
                const Value *item = value_at(value, i);
                g_autofree char *text = value_is_null(item)
                                                ? g_strdup("")
                                                : read_text(decoder, item, coerce, "string");
                if (!text)
                        return;
                if (drop_empty && !*text)
                        continue;
                g_strv_builder_add(texts, text);
                count++;
        }
        g_strfreev(*ret);
        *ret = count > 0 ? g_strv_builder_end(texts) : NULL;
}

static void texts_decode(Decoder *decoder, const Field *field, const Value *value, void *data) {
        read_texts(decoder, field, value, data, decoder->coerce && !(field->flags & FIELD_PLAIN),
                   false);
}

static void tags_decode(Decoder *decoder, const Field *field, const Value *value, void *data) {
        read_texts(decoder, field, value, data, false, true);
}

static Value *texts_encode(const Field *field, const void *data) {
        char *const *texts = *(char **const *) data;
        if (!texts)
                return field->flags & FIELD_ALWAYS ? value_null() : NULL;
        Value *list = value_list();
        for (; *texts; texts++)
                value_list_add(list, value_string(*texts));
        return list;
}

const Codec codec_texts = { texts_decode, texts_encode, texts_clear, NULL };
const Codec codec_tags = { tags_decode, texts_encode, texts_clear, NULL, true };
