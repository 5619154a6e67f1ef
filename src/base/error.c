#include "base/error.h"

#include <errno.h>
#include <string.h>

GQuark error_quark(void) {
        return g_quark_from_static_string("weir-error");
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
