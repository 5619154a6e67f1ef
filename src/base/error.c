#include "base/error.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* What every error of ours carries. */
typedef struct {
        GPtrArray *parts; /* messages of those it was joined of; NULL: it stands for itself */
} WeirErrorPrivate;

static void weir_error_private_init(WeirErrorPrivate *carried) {
        carried->parts = NULL;
}

static void weir_error_private_copy(const WeirErrorPrivate *from, WeirErrorPrivate *to) {
        to->parts = from->parts ? g_ptr_array_ref(from->parts) : NULL;
}

static void weir_error_private_clear(WeirErrorPrivate *carried) {
        g_clear_pointer(&carried->parts, g_ptr_array_unref);
}

GQuark weir_error_quark(void);
G_DEFINE_EXTENDED_ERROR(WeirError, weir_error)

static void register_domain(void) {
        weir_error_quark();
}

/* GLib's own once is invisible to TSan (base/thread.h). */
GQuark error_quark(void) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        pthread_once(&once, register_domain);
        return weir_error_quark();
}

static ErrorCode code_of(int error_number) {
        switch (error_number) {
        case ENOENT:
                return ERROR_NOT_FOUND;
        case EACCES:
        case EPERM:
                return ERROR_DENIED;
        default:
                return ERROR_IO;
        }
}

void error_set_errno(GError **error, int error_number, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        g_set_error(error, ERROR, code_of(error_number), "%s: %s", text, g_strerror(error_number));
}

bool error_is(const GError *error, ErrorCode code) {
        return g_error_matches(error, ERROR, (int) code);
}

static void add_messages(GPtrArray *messages, const GError *error) {
        const GPtrArray *parts = error->domain == ERROR ? weir_error_get_private(error)->parts
                                                        : NULL;

        if (!parts)
                g_ptr_array_add(messages, g_strdup(error->message));
        for (size_t i = 0; parts && i < parts->len; i++)
                g_ptr_array_add(messages, g_strdup(g_ptr_array_index(parts, i)));
}

void error_join(GError **error, const GPtrArray *errors) {
        const GError *first = g_ptr_array_index(errors, 0);
        GPtrArray *messages = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GString) text = g_string_new(NULL);

        for (size_t i = 0; i < errors->len; i++)
                add_messages(messages, g_ptr_array_index(errors, i));
        g_string_append_printf(
                text, messages->len == 1 ? "%u error occurred:\n" : "%u errors occurred:\n",
                messages->len);
        for (size_t i = 0; i < messages->len; i++)
                g_string_append_printf(text, "\t* %s\n", (char *) g_ptr_array_index(messages, i));
        g_string_append_c(text, '\n');
        GError *joined = g_error_new_literal(
                ERROR, first->domain == ERROR ? first->code : ERROR_INTERNAL, text->str);
        weir_error_get_private(joined)->parts = messages;
        g_propagate_error(error, joined);
}
