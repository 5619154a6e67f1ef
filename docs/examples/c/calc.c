#include "calc.h"
#include <ctype.h>
#include <stdlib.h>
long calc(const char *text) {
        char *end;
        long value = strtol(text, &end, 10);
        while (*end) {
                char op = *end++;
                long next = strtol(end, &end, 10);
                if (op == '+')
                        value += next;
                else if (op == '-')
                        value -= next;
                else if (op == '*')
                        value *= next;
        }
        return value;
}
