#include "http/date.h"

#include <glib.h>

static void a_time_is_written_as_headers_have_it(void) {
        static const struct {
                int64_t seconds;
                const char *date;
        } cases[] = {
                { 784111777, "Sun, 06 Nov 1994 08:49:37 GMT" },
                { 0, "Thu, 01 Jan 1970 00:00:00 GMT" },
                { -1, "Wed, 31 Dec 1969 23:59:59 GMT" },
                { 1709164799, "Wed, 28 Feb 2024 23:59:59 GMT" },
                { 1709164800, "Thu, 29 Feb 2024 00:00:00 GMT" },
                { 253402300799, "Fri, 31 Dec 9999 23:59:59 GMT" },
                { 253402300800, NULL },
                { INT64_MAX, NULL },
                { INT64_MIN, NULL },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *date = http_date(cases[i].seconds);
                g_assert_cmpstr(date, ==, cases[i].date);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/date/written", a_time_is_written_as_headers_have_it);
        return g_test_run();
}
