/* The small types inside steps: version, inputs, max_in_flight. */
#include <string.h>

#include "config/go_text.h"
#include "config/pipeline.h"
#include "config/records.h"
#include "config/vars.h"

char *go_show(const Value *value) {
        switch (value_kind(value)) {
        case VALUE_NULL:
                return g_strdup("<nil>");
        case VALUE_BOOL:
                return g_strdup(value_as_bool(value) ? "true" : "false");
        case VALUE_LIST: {
                GString *text = g_string_new("[");
                for (size_t i = 0; i < value_length(value); i++) {
                        g_autofree char *item = go_show(value_at(value, i));
                        g_string_append_printf(text, "%s%s", i > 0 ? " " : "", item);
                }
                g_string_append_c(text, ']');
                return g_string_free(text, FALSE);
        }
        case VALUE_MAP: {
                g_autoptr(Value) sorted = value_sorted(value);
                GString *text = g_string_new("map[");
                for (size_t i = 0; i < value_length(sorted); i++) {
                        g_autofree char *item = go_show(value_at(sorted, i));
                        g_string_append_printf(text, "%s%s:%s", i > 0 ? " " : "",
                                               value_key_at(sorted, i), item);
                }
                g_string_append_c(text, ']');
                return g_string_free(text, FALSE);
        }
        default:
                return g_strdup(value_text(value));
        }
}

/* ---- version of a get ---- */

static void version_clear(const Field *field, void *data) {
        VersionConfig **version = data;
        if (*version)
                value_free((*version)->pinned);
        g_clear_pointer(version, g_free);
}

static void version_decode(Decoder *decoder, const Field *field, const Value *value, void *data) {
        version_clear(field, data);
        if (value_is_null(value))
                return;
        VersionConfig *version = g_new0(VersionConfig, 1);
        *(VersionConfig **) data = version;
        if (value_is(value, VALUE_STRING)) {
                version->latest = g_str_equal(value_text(value), "latest");
                version->every = g_str_equal(value_text(value), "every");
                return;
        }
        if (!value_is(value, VALUE_MAP)) {
                decoder_fail(decoder, "unknown type for version");
                return;
        }
        g_autoptr(Value) sorted = value_sorted(value);
        for (size_t i = 0; i < value_length(sorted); i++) {
                const Value *item = value_at(sorted, i);
                if (value_is(item, VALUE_STRING))
                        continue;
                g_autoptr(Value) plain = value_with_floats(item);
                g_autofree char *shown = go_show(plain);
                decoder_fail(decoder, "the value %s of %s is not a string", shown,
                             value_key_at(sorted, i));
                return;
        }
        version->pinned = g_steal_pointer(&sorted);
}

static Value *version_encode(const Field *field, const void *data) {
        const VersionConfig *version = *(VersionConfig *const *) data;
        if (!version)
                return NULL;
        if (version->pinned)
                return value_ref(version->pinned);
        return value_string(version->latest ? "latest" : version->every ? "every" : "");
}

const Codec codec_version = { version_decode, version_encode, version_clear, NULL, true };

/* ---- inputs of a put ---- */

static void put_inputs_clear(const Field *field, void *data) {
        PutInputs **inputs = data;
        if (*inputs)
                g_strfreev((*inputs)->names);
        g_clear_pointer(inputs, g_free);
}

static char **read_input_names(Decoder *decoder, const Value *list) {
        g_autoptr(GStrvBuilder) names = g_strv_builder_new();
        for (size_t i = 0; i < value_length(list); i++) {
                const Value *item = value_at(list, i);
                if (!value_is(item, VALUE_STRING)) {
                        g_autoptr(Value) plain = value_with_floats(item);
                        g_autofree char *shown = go_show(plain);
                        decoder_fail(decoder, "non-string put input: %s", shown);
                        break;
                }
                g_autofree char *name = g_strdup(value_text(item));
                g_strv_builder_add(names, g_strstrip(name));
        }
        return g_strv_builder_end(names);
}

static void put_inputs_decode(Decoder *decoder, const Field *field, const Value *value,
                              void *data) {
        put_inputs_clear(field, data);
        if (value_is_null(value))
                return;
        PutInputs *inputs = g_new0(PutInputs, 1);
        *(PutInputs **) data = inputs;
        if (value_is(value, VALUE_STRING)) {
                inputs->all = g_str_equal(value_text(value), "all");
                inputs->detect = g_str_equal(value_text(value), "detect");
        } else if (value_is(value, VALUE_LIST)) {
                inputs->names = read_input_names(decoder, value);
        } else {
                decoder_fail(decoder, "unknown type for put inputs");
        }
}

static Value *put_inputs_encode(const Field *field, const void *data) {
        const PutInputs *inputs = *(PutInputs *const *) data;
        if (!inputs)
                return NULL;
        if (!inputs->names)
                return value_string(inputs->all ? "all" : inputs->detect ? "detect" : "");
        Value *list = value_list();
        for (char **name = inputs->names; *name; name++)
                value_list_add(list, value_string(*name));
        return list;
}

const Codec codec_put_inputs = { put_inputs_decode, put_inputs_encode, put_inputs_clear, NULL,
                                 true };

/* ---- max_in_flight of across ---- */

static void in_flight_decode(Decoder *decoder, const Field *field, const Value *value, void *data) {
        MaxInFlight *in_flight = data;
        *in_flight = (MaxInFlight){};
        if (value_is_null(value))
                return;
        if (value_is(value, VALUE_STRING)) {
                in_flight->is_set = in_flight->all = g_str_equal(value_text(value), "all");
                if (!in_flight->all)
                        decoder_fail(decoder, "invalid max_in_flight \"%s\"", value_text(value));
                return;
        }
        in_flight->is_set = true;
        codec_int.decode(decoder, field, value, &in_flight->limit);
}

static Value *in_flight_encode(const Field *field, const void *data) {
        const MaxInFlight *in_flight = data;
        if (!in_flight->is_set)
                return NULL;
        return in_flight->all ? value_string("all") : value_int(in_flight->limit);
}

const Codec codec_in_flight = { in_flight_decode, in_flight_encode, NULL, NULL, true };

/* ---- check_every ---- */

static void check_every_decode(Decoder *decoder, const Field *field, const Value *value,
                               void *data) {
        CheckEvery every = { .is_set = true };
        if (value_is_null(value)) {
                *(CheckEvery *) data = (CheckEvery){};
                return;
        }
        if (!value_is(value, VALUE_STRING)) {
                decoder_fail(decoder, "non-string value provided");
                return;
        }
        const char *text = value_text(value);
        every.never = g_str_equal(text, "never");
        if (*text && !every.never && !duration_parse(text, &every.interval, NULL)) {
                g_autofree char *reason = duration_error_text(text);
                decoder_fail(decoder, "%s", reason);
                return;
        }
        *(CheckEvery *) data = every;
}

static Value *check_every_encode(const Field *field, const void *data) {
        const CheckEvery *every = data;
        if (!every->is_set)
                return NULL;
        if (every->never)
                return value_string("never");
        g_autofree char *text = every->interval == 0 ? g_strdup("")
                                                     : duration_format(every->interval);
        return value_string(text);
}

/* Plans leave a zero interval out. */
static Value *interval_encode(const Field *field, const void *data) {
        const CheckEvery *every = data;
        return every->never || every->interval != 0 ? check_every_encode(field, data) : NULL;
}

const Codec codec_check_every = { check_every_decode, check_every_encode, NULL, NULL, true };
const Codec codec_interval = { check_every_decode, interval_encode, NULL, NULL, true };
