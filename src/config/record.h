/*
 * Structs from and to JSON by tables, with the behaviour of Go's encoding/json that clients can see: key order,
 * what is left out, case-insensitive keys, the first error and its text (reference 03 §2.3–2.5). Internal to config
 * and plan.
 */
#pragma once

#include "base/value.h"

typedef struct Field Field;
typedef struct Record Record;

/* What is wrong: a whole message, or a type error's parts. */
typedef struct {
        bool set; /* of faults put aside */
        char *message;
        char *found;       /* what was found ("number 1.5"), */
        char *wanted;      /* what was wanted ("[]string"), */
        char *where;       /* the dotted path below the innermost decoder, "" at its top, */
        const char *owner; /* and the struct that holds the field */
} DecodeFault;

/*
 * One decoding of one document. As in Go there are two ways to fail: what does not fit is noted, reading goes on and
 * the first note is the error in the end; but a type with a decoder of its own ends everything with its fault.
 */
typedef struct {
        bool strict; /* unknown keys of records are errors */
        bool coerce; /* numbers and bools become text where text is wanted */
        bool failed;
        bool stopped; /* nothing more is to be read */
        DecodeFault fault;
        GString *path;
        const char *record; /* Go's name of the record being read */
        bool opaque; /* inside a type with a decoder of its own: record stays the outer one */
} Decoder;

void decoder_init(Decoder *decoder);
void decoder_clear(Decoder *decoder);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Decoder, decoder_clear)

/* Stops with a message, which takes the place of one that was noted. */
void decoder_fail(Decoder *decoder, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Notes a message, unless there is one. */
void decoder_note(Decoder *decoder, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Around what has a decoder of its own in Go: whatever is noted in between stops. */
void decoder_enter(Decoder *decoder, DecodeFault *ret_before);
void decoder_leave(Decoder *decoder, DecodeFault *before);
/* Takes error. */
void decoder_fail_error(Decoder *decoder, GError *error);
void decoder_fail_type(Decoder *decoder, const Value *value, const char *wanted);
void decoder_fail_found(Decoder *decoder, const char *found, const char *wanted);
/* The error's text: "json: cannot unmarshal …". Returns new; NULL when nothing failed. */
char *decoder_message(const Decoder *decoder);
/* False with ERROR_INVALID when something failed. */
bool decoder_finish(const Decoder *decoder, GError **error);

typedef enum {
        FIELD_OMIT = 0,        /* written only when not zero */
        FIELD_ALWAYS = 1 << 0, /* written even then */
        FIELD_PLAIN = 1 << 1,  /* never coerced */
        FIELD_OPAQUE = 1 << 2, /* the record has a decoder of its own in Go */
} FieldFlags;

/* How one kind of field is read, written and dropped. data points at the field. */
typedef struct {
        void (*decode)(Decoder *decoder, const Field *field, const Value *value, void *data);
        Value *(*encode)(const Field *field,
                         const void *data); /* NULL: zero, and not FIELD_ALWAYS */
        void (*clear)(const Field *field, void *data);
        void (*init)(const Field *field, void *data); /* NULL: zero bytes */
        bool opaque;                                  /* the type has a decoder of its own in Go */
} Codec;

struct Field {
        const char *key;
        size_t offset;
        const Codec *codec;
        FieldFlags flags;
        const char *type;     /* Go's name of the field's type, where errors need it */
        const Record *record; /* of records and lists of them */
};

struct Record {
        const char *name; /* Go's: "JobConfig" */
        const char *type; /* Go's, as type errors have it: "atc.JobConfig" */
        size_t size;
        const Field *fields;
        size_t field_count;
        FieldFlags flags; /* FIELD_OPAQUE: its elements have a decoder of their own */
        /* Reads and writes the whole record instead of the table, when set. */
        void (*decode)(Decoder *decoder, const Value *value, void *record);
        Value *(*encode)(const void *record);
        void (*clear)(void *record); /* what the table does not know of; may be NULL */
};

#define RECORD(name_, type_, struct_, fields_)                                                     \
        {                                                                                          \
                .name = (name_), .type = (type_), .size = sizeof(struct_), .fields = (fields_),    \
                .field_count = G_N_ELEMENTS(fields_)                                               \
        }

extern const Codec codec_text;     /* char *, "" for absent */
extern const Codec codec_bool;     /* bool */
extern const Codec codec_int;      /* int64_t */
extern const Codec codec_any;      /* Value *, numbers as floats, keys sorted */
extern const Codec codec_map;      /* Value *: a map of anything; empty is left out */
extern const Codec codec_text_map; /* Value *: a map of text; empty is left out */
extern const Codec codec_texts;    /* char **; empty is left out and NULL */
extern const Codec codec_tags;     /* char **: never coerced, empty ones dropped */
extern const Codec codec_record;   /* a record inside the struct */
extern const Codec codec_pointer;  /* a record of its own; NULL for absent, kept when empty */
extern const Codec codec_records; /* GPtrArray * of records; NULL for absent, left out when empty */
extern const Codec codec_records_nil; /* the same, but an empty list stays and absent is null */

/* Returns new, of record->size bytes, with text fields "". */
void *record_new(const Record *record);
void record_free(const Record *record, void *data);
void record_init(const Record *record, void *data);
void record_clear(const Record *record, void *data);
void record_decode(Decoder *decoder, const Record *record, const Value *value, void *data);
/* Adds the record's fields to a map. */
void record_encode_into(const Record *record, const void *data, Value *map);
Value *record_encode(const Record *record, const void *data);
/* The field a key goes to, exactly or else in another case. NULL: none. */
const Field *record_field(const Record *record, const char *key);

/* Whole records, with errors. Each returns new. */
void *record_from_value(const Record *record, const Value *value, bool strict, bool coerce,
                        GError **error);

/* The words Go uses for a JSON value in type errors: "string", "array". */
const char *value_json_kind(const Value *value);
