#include "config/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config/vars.h"

void decoder_init(Decoder *decoder) {
        *decoder = (Decoder){ .path = g_string_new(NULL) };
}

void decoder_clear(Decoder *decoder) {
        g_free(decoder->message);
        g_free(decoder->found);
        g_free(decoder->wanted);
        g_free(decoder->where);
        if (decoder->path)
                g_string_free(decoder->path, TRUE);
        *decoder = (Decoder){};
}

void decoder_fail(Decoder *decoder, const char *format, ...) {
        if (decoder->failed)
                return;
        va_list arguments;
        va_start(arguments, format);
        decoder->message = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        decoder->failed = true;
}

void decoder_fail_error(Decoder *decoder, GError *error) {
        decoder_fail(decoder, "%s", error->message);
        g_error_free(error);
}

const char *value_json_kind(const Value *value) {
        switch (value_kind(value)) {
        case VALUE_BOOL:
                return "bool";
        case VALUE_NUMBER:
                return "number";
        case VALUE_STRING:
                return "string";
        case VALUE_LIST:
                return "array";
        case VALUE_MAP:
                return "object";
        default:
                return "null";
        }
}

static void fail_found(Decoder *decoder, const char *found, const char *wanted) {
        if (decoder->failed)
                return;
        decoder->failed = true;
        decoder->found = g_strdup(found);
        decoder->wanted = g_strdup(wanted);
        decoder->where = g_strdup(decoder->path->str);
        decoder->owner = decoder->record;
}

void decoder_fail_type(Decoder *decoder, const Value *value, const char *wanted) {
        fail_found(decoder, value_json_kind(value), wanted);
}

char *decoder_message(const Decoder *decoder) {
        if (!decoder->failed)
                return NULL;
        if (decoder->message)
                return g_strdup(decoder->message);
        if (!*decoder->where)
                return g_strdup_printf("json: cannot unmarshal %s into Go value of type %s",
                                       decoder->found, decoder->wanted);
        return g_strdup_printf("json: cannot unmarshal %s into Go struct field %s.%s of type %s",
                               decoder->found, decoder->owner, decoder->where, decoder->wanted);
}

bool decoder_finish(const Decoder *decoder, GError **error) {
        if (!decoder->failed)
                return true;
        g_autofree char *message = decoder_message(decoder);
        g_set_error_literal(error, ERROR, ERROR_INVALID, message);
        return false;
}

/* ---- text ---- */

/* The shortest decimal digits that read back as the same float32, in the form of Go's %g: what the YAML library makes
 * of a float where text is wanted. */
static char *float32_text(double number) {
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
                fail_found(decoder, found, "int");
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
const Codec codec_tags = { tags_decode, texts_encode, texts_clear, NULL };

/* ---- records ---- */

/* Reads a record below the current field; an opaque one reports its faults under the outer struct's name. */
static void decode_below(Decoder *decoder, const Record *record, bool opaque, const Value *value,
                         void *data) {
        const char *outer = decoder->record;
        bool was_opaque = decoder->opaque;
        decoder->opaque = was_opaque || opaque;
        record_decode(decoder, record, value, data);
        decoder->opaque = was_opaque;
        decoder->record = outer;
}

static bool field_opaque(const Field *field) {
        return (field->flags & FIELD_OPAQUE) || (field->record->flags & FIELD_OPAQUE);
}

static void record_field_init(const Field *field, void *data) {
        record_init(field->record, data);
}

static void record_field_clear(const Field *field, void *data) {
        record_clear(field->record, data);
}

static void record_field_decode(Decoder *decoder, const Field *field, const Value *value,
                                void *data) {
        if (!value_is_null(value) || field->record->decode)
                decode_below(decoder, field->record, field_opaque(field), value, data);
}

static Value *record_field_encode(const Field *field, const void *data) {
        return record_encode(field->record, data);
}

const Codec codec_record = { record_field_decode, record_field_encode, record_field_clear,
                             record_field_init };

static void pointer_clear(const Field *field, void *data) {
        void **pointer = data;
        record_free(field->record, *pointer);
        *pointer = NULL;
}

static void pointer_decode(Decoder *decoder, const Field *field, const Value *value, void *data) {
        pointer_clear(field, data);
        if (value_is_null(value))
                return;
        void *record = record_new(field->record);
        decode_below(decoder, field->record, field_opaque(field), value, record);
        *(void **) data = record;
}

static Value *pointer_encode(const Field *field, const void *data) {
        const void *record = *(void *const *) data;
        if (record)
                return record_encode(field->record, record);
        return field->flags & FIELD_ALWAYS ? value_null() : NULL;
}

const Codec codec_pointer = { pointer_decode, pointer_encode, pointer_clear, NULL };

static void records_clear(const Field *field, void *data) {
        GPtrArray **array = data;
        for (size_t i = 0; *array && i < (*array)->len; i++)
                record_free(field->record, g_ptr_array_index(*array, i));
        g_clear_pointer(array, g_ptr_array_unref);
}

static void records_decode(Decoder *decoder, const Field *field, const Value *value, void *data) {
        records_clear(field, data);
        if (value_is_null(value))
                return;
        if (!value_is(value, VALUE_LIST)) {
                decoder_fail_type(decoder, value, field->type);
                return;
        }
        GPtrArray *array = g_ptr_array_new();
        *(GPtrArray **) data = array;
        for (size_t i = 0; i < value_length(value) && !decoder->failed; i++) {
                const Value *item = value_at(value, i);
                void *record = record_new(field->record);
                g_ptr_array_add(array, record);
                if (!value_is_null(item) || field->record->decode)
                        decode_below(decoder, field->record, field_opaque(field), item, record);
        }
}

static Value *records_encode_nil(const Field *field, const void *data) {
        const GPtrArray *array = *(GPtrArray *const *) data;
        if (!array)
                return value_null();
        Value *list = value_list();
        for (size_t i = 0; i < array->len; i++)
                value_list_add(list, record_encode(field->record, g_ptr_array_index(array, i)));
        return list;
}

static Value *records_encode(const Field *field, const void *data) {
        const GPtrArray *array = *(GPtrArray *const *) data;
        return array && array->len > 0 ? records_encode_nil(field, data) : NULL;
}

const Codec codec_records = { records_decode, records_encode, records_clear, NULL };
const Codec codec_records_nil = { records_decode, records_encode_nil, records_clear, NULL };

/* ---- whole records ---- */

void record_init(const Record *record, void *data) {
        for (size_t i = 0; i < record->field_count; i++) {
                const Field *field = &record->fields[i];
                if (field->codec->init)
                        field->codec->init(field, (char *) data + field->offset);
        }
}

void *record_new(const Record *record) {
        void *data = g_malloc0(record->size);
        record_init(record, data);
        return data;
}

void record_clear(const Record *record, void *data) {
        if (record->clear)
                record->clear(data);
        for (size_t i = 0; i < record->field_count; i++) {
                const Field *field = &record->fields[i];
                if (field->codec->clear)
                        field->codec->clear(field, (char *) data + field->offset);
        }
}

void record_free(const Record *record, void *data) {
        if (!data)
                return;
        record_clear(record, data);
        g_free(data);
}

const Field *record_field(const Record *record, const char *key) {
        for (size_t i = 0; i < record->field_count; i++)
                if (g_str_equal(record->fields[i].key, key))
                        return &record->fields[i];
        for (size_t i = 0; i < record->field_count; i++)
                if (g_ascii_strcasecmp(record->fields[i].key, key) == 0)
                        return &record->fields[i];
        return NULL;
}

static void decode_field(Decoder *decoder, const Field *field, const Value *value, void *data) {
        size_t length = decoder->path->len;
        if (length > 0)
                g_string_append_c(decoder->path, '.');
        g_string_append(decoder->path, field->key);
        field->codec->decode(decoder, field, value, (char *) data + field->offset);
        g_string_truncate(decoder->path, length);
}

void record_decode(Decoder *decoder, const Record *record, const Value *value, void *data) {
        if (record->decode) {
                record->decode(decoder, value, data);
                return;
        }
        if (!value_is(value, VALUE_MAP)) {
                decoder_fail_type(decoder, value, record->type);
                return;
        }
        if (!decoder->opaque || !decoder->record)
                decoder->record = record->name;

        /* Go sees the keys sorted: the first error is the first in that order. */
        g_autoptr(Value) sorted = value_sorted(value);
        for (size_t i = 0; i < value_length(sorted) && !decoder->failed; i++) {
                const char *key = value_key_at(sorted, i);
                const Field *field = record_field(record, key);
                if (field)
                        decode_field(decoder, field, value_at(sorted, i), data);
                else if (decoder->strict)
                        decoder_fail(decoder, "json: unknown field \"%s\"", key);
        }
}

void record_encode_into(const Record *record, const void *data, Value *map) {
        for (size_t i = 0; i < record->field_count; i++) {
                const Field *field = &record->fields[i];
                Value *value = field->codec->encode(field, (const char *) data + field->offset);
                if (value)
                        value_map_set(map, field->key, value);
        }
}

Value *record_encode(const Record *record, const void *data) {
        if (record->encode)
                return record->encode(data);
        Value *map = value_map();
        record_encode_into(record, data, map);
        return map;
}

void *record_from_value(const Record *record, const Value *value, bool strict, bool coerce,
                        GError **error) {
        g_auto(Decoder) decoder;
        decoder_init(&decoder);
        decoder.strict = strict;
        decoder.coerce = coerce;
        void *data = record_new(record);
        if (!value_is_null(value) || record->decode)
                record_decode(&decoder, record, value, data);
        if (decoder_finish(&decoder, error))
                return data;
        record_free(record, data);
        return NULL;
}
