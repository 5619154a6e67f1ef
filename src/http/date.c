#include "http/date.h"

#include <glib.h>
#include <time.h>

/* strftime() would follow the locale. */
char *http_date(int64_t seconds) {
        static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
        static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
        time_t time = (time_t) seconds;
        struct tm at;

        if (!gmtime_r(&time, &at) || at.tm_year + 1900 < 1 || at.tm_year + 1900 > 9999)
                return NULL;
        return g_strdup_printf("%s, %02d %s %04d %02d:%02d:%02d GMT", days[at.tm_wday], at.tm_mday,
                               months[at.tm_mon], at.tm_year + 1900, at.tm_hour, at.tm_min,
                               at.tm_sec);
}
