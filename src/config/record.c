#include "config/record.h"

static void fault_clear(DecodeFault *fault) {
        g_free(fault->message);
        g_free(fault->found);
        g_free(fault->wanted);
        g_free(fault->where);
        *fault = (DecodeFault){};
}

void decoder_init(Decoder *decoder) {
        *decoder = (Decoder){ .path = g_string_new(NULL) };
}

void decoder_clear(Decoder *decoder) {
        fault_clear(&decoder->fault);
        if (decoder->path)
                g_string_free(decoder->path, TRUE);
        *decoder = (Decoder){};
}

static char *format_text(const char *format, va_list arguments) G_GNUC_PRINTF(1, 0);

static char *format_text(const char *format, va_list arguments) {
        return g_strdup_vprintf(format, arguments);
}

void decoder_fail(Decoder *decoder, const char *format, ...) {
        if (decoder->stopped)
                return;
        va_list arguments;
        va_start(arguments, format);
        char *message = format_text(format, arguments);
        va_end(arguments);
        fault_clear(&decoder->fault);
        decoder->fault.message = message;
        decoder->failed = decoder->stopped = true;
}

void decoder_note(Decoder *decoder, const char *format, ...) {
        if (decoder->failed)
                return;
        va_list arguments;
        va_start(arguments, format);
        decoder->fault.message = format_text(format, arguments);
        va_end(arguments);
        decoder->failed = true;
}

void decoder_enter(Decoder *decoder, DecodeFault *ret_before) {
        *ret_before = decoder->fault;
        ret_before->set = decoder->failed;
        decoder->fault = (DecodeFault){};
        decoder->failed = false;
}

void decoder_leave(Decoder *decoder, DecodeFault *before) {
        if (decoder->failed) {
                decoder->stopped = true;
                fault_clear(before);
                return;
        }
        decoder->failed = before->set;
        decoder->fault = *before;
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

void decoder_fail_found(Decoder *decoder, const char *found, const char *wanted) {
        if (decoder->failed)
                return;
        decoder->failed = true;
        decoder->fault = (DecodeFault){
                .found = g_strdup(found),
                .wanted = g_strdup(wanted),
                .where = g_strdup(decoder->path->str),
                .owner = decoder->record,
        };
}

void decoder_fail_type(Decoder *decoder, const Value *value, const char *wanted) {
        decoder_fail_found(decoder, value_json_kind(value), wanted);
}

char *decoder_message(const Decoder *decoder) {
        const DecodeFault *fault = &decoder->fault;
        if (!decoder->failed)
                return NULL;
        if (fault->message)
                return g_strdup(fault->message);
        if (!*fault->where)
                return g_strdup_printf("json: cannot unmarshal %s into Go value of type %s",
                                       fault->found, fault->wanted);
        return g_strdup_printf("json: cannot unmarshal %s into Go struct field %s.%s of type %s",
                               fault->found, fault->owner, fault->where, fault->wanted);
}

bool decoder_finish(const Decoder *decoder, GError **error) {
        if (!decoder->failed)
                return true;
        g_autofree char *message = decoder_message(decoder);
        g_set_error_literal(error, ERROR, ERROR_INVALID, message);
        return false;
}

/* ---- records ---- */

/* Reads a record below the current field; an opaque one reports its faults under the outer struct's name. */
static void decode_below(Decoder *decoder, const Record *record, bool opaque, const Value *value,
                         void *data) {
        const char *outer = decoder->record;
        bool was_opaque = decoder->opaque;
        DecodeFault before = {};

        decoder->opaque = was_opaque || opaque;
        if (opaque)
                decoder_enter(decoder, &before);
        record_decode(decoder, record, value, data);
        if (opaque)
                decoder_leave(decoder, &before);
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
        for (size_t i = 0; i < value_length(value) && !decoder->stopped; i++) {
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
        DecodeFault before = {};
        if (length > 0)
                g_string_append_c(decoder->path, '.');
        g_string_append(decoder->path, field->key);
        if (field->codec->opaque)
                decoder_enter(decoder, &before);
        field->codec->decode(decoder, field, value, (char *) data + field->offset);
        if (field->codec->opaque)
                decoder_leave(decoder, &before);
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
        for (size_t i = 0; i < value_length(sorted) && !decoder->stopped; i++) {
                const char *key = value_key_at(sorted, i);
                const Field *field = record_field(record, key);
                if (field)
                        decode_field(decoder, field, value_at(sorted, i), data);
                else if (decoder->strict)
                        decoder_note(decoder, "json: unknown field \"%s\"", key);
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
