#include "base/number.h"

#include <string.h>

/* Digits that tell any two numbers of 64 bits apart. */
#define DIGITS_MAX 17

static bool reads_back(const char *text, double number, int bits) {
        double back = g_ascii_strtod(text, NULL);
        return bits == 32 ? (float) back == (float) number : back == number;
}

/* The next larger magnitude of that many digits. False when it would have another exponent. */
static bool step_up(char *text) {
        for (char *digit = strchr(text, 'e') - 1; digit >= text; digit--) {
                if (!g_ascii_isdigit(*digit))
                        continue;
                if (*digit != '9') {
                        (*digit)++;
                        return true;
                }
                *digit = '0';
        }
        return false;
}

void number_shortest(double number, int bits, char ret[static NUMBER_TEXT_MAX]) {
        for (int digits = 0; digits < DIGITS_MAX; digits++) {
                char format[8];
                g_snprintf(format, sizeof format, "%%.%de", digits);
                g_ascii_formatd(ret, NUMBER_TEXT_MAX, format, number);
                if (reads_back(ret, number, bits))
                        return;
                /* Above a power of two numbers are twice as far apart as below: the closest text may read as another
                 * number when the one after it does not. */
                char next[NUMBER_TEXT_MAX];
                g_strlcpy(next, ret, sizeof next);
                if (step_up(next) && reads_back(next, number, bits)) {
                        g_strlcpy(ret, next, NUMBER_TEXT_MAX);
                        return;
                }
        }
}
