#include "steps/redactor.h"

#include "base/thread.h"

#include <string.h>

#define REPLACEMENT "((redacted))"
/* Shorter lines would blacken half the log. */
#define SECRET_MIN 2

typedef struct {
        size_t length;
        char text[];
} Secret;

struct Redactor {
        Mutex mutex;
        GPtrArray *secrets; /* Secret, longest first */
};

Redactor *redactor_new(void) {
        Redactor *redactor = g_new0(Redactor, 1);

        mutex_init(&redactor->mutex);
        redactor->secrets = g_ptr_array_new_with_free_func(g_free);
        return redactor;
}

void redactor_free(Redactor *redactor) {
        if (!redactor)
                return;
        g_ptr_array_unref(redactor->secrets);
        mutex_destroy(&redactor->mutex);
        g_free(redactor);
}

static int longest_first(const void *a, const void *b) {
        const Secret *left = *(const Secret *const *) a, *right = *(const Secret *const *) b;
        return left->length < right->length ? 1 : left->length > right->length ? -1 : 0;
}

static bool is_known(const Redactor *redactor, const char *text, size_t length) {
        for (size_t i = 0; i < redactor->secrets->len; i++) {
                const Secret *secret = g_ptr_array_index(redactor->secrets, i);
                if (secret->length == length && memcmp(secret->text, text, length) == 0)
                        return true;
        }
        return false;
}

static void track_line(Redactor *redactor, const char *line, size_t length) {
        while (length > 0 && g_ascii_isspace(line[length - 1]))
                length--;
        while (length > 0 && g_ascii_isspace(*line)) {
                line++;
                length--;
        }
        if (length < SECRET_MIN || is_known(redactor, line, length))
                return;
        Secret *secret = g_malloc(sizeof *secret + length);
        secret->length = length;
        memcpy(secret->text, line, length);
        g_ptr_array_add(redactor->secrets, secret);
}

static void track_text(Redactor *redactor, const char *text, size_t length) {
        const char *end = text + length;

        while (text < end) {
                const char *stop = memchr(text, '\n', (size_t) (end - text));
                if (!stop)
                        stop = end;
                track_line(redactor, text, (size_t) (stop - text));
                text = stop + 1;
        }
}

/* Maps are walked, lists are not: so says the reference. */
static void track_value(Redactor *redactor, const Value *value) {
        if (value_is(value, VALUE_STRING))
                track_text(redactor, value_text(value), value_text_length(value));
        else if (value_is(value, VALUE_MAP))
                for (size_t i = 0; i < value_length(value); i++)
                        track_value(redactor, value_at(value, i));
}

void redactor_track(Redactor *redactor, const Value *value) {
        MUTEX_SCOPE(&redactor->mutex);
        track_value(redactor, value);
        g_ptr_array_sort(redactor->secrets, longest_first);
}

bool redactor_is_armed(Redactor *redactor) {
        MUTEX_SCOPE(&redactor->mutex);
        return redactor->secrets->len > 0;
}

static const Secret *secret_at(const Redactor *redactor, const char *text, size_t length) {
        for (size_t i = 0; i < redactor->secrets->len; i++) {
                const Secret *secret = g_ptr_array_index(redactor->secrets, i);
                if (secret->length <= length && secret->text[0] == *text &&
                    memcmp(secret->text, text, secret->length) == 0)
                        return secret;
        }
        return NULL;
}

/* Whether all of text begins a secret that is longer. */
static bool begins_secret(const Redactor *redactor, const char *text, size_t length) {
        for (size_t i = 0; i < redactor->secrets->len; i++) {
                const Secret *secret = g_ptr_array_index(redactor->secrets, i);
                if (secret->length > length && memcmp(secret->text, text, length) == 0)
                        return true;
        }
        return false;
}

/* Walks as redactor_apply() does, so that no whole secret is taken apart. */
size_t redactor_pending(Redactor *redactor, const char *text, size_t length) {
        MUTEX_SCOPE(&redactor->mutex);
        for (size_t i = 0; i < length;) {
                const Secret *secret = secret_at(redactor, text + i, length - i);
                if (begins_secret(redactor, text + i, length - i))
                        return length - i;
                i += secret ? secret->length : 1;
        }
        return 0;
}

char *redactor_apply(Redactor *redactor, const char *text, size_t length, size_t *ret_length) {
        GString *clean = g_string_sized_new(length);

        MUTEX_SCOPE(&redactor->mutex);
        for (size_t i = 0; i < length;) {
                const Secret *secret = secret_at(redactor, text + i, length - i);
                if (secret) {
                        g_string_append(clean, REPLACEMENT);
                        i += secret->length;
                } else
                        g_string_append_c(clean, text[i++]);
        }
        if (ret_length)
                *ret_length = clean->len;
        return g_string_free(clean, FALSE);
}
