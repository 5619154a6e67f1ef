/* Prints one line per case, and fails when one does not hold. */
#include "greet.h"

#include <stdio.h>
#include <string.h>

static const struct {
        const char *name, *expect;
} cases[] = {
        { NULL, "Hello, world!" },
        { "", "Hello, world!" },
        { "weir", "Hello, weir!" },
};

int main(void) {
        int failed = 0;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                char text[128];
                greet(cases[i].name, text, sizeof text);
                if (strcmp(text, cases[i].expect) == 0) {
                        printf("ok      %s\n", text);
                } else {
                        printf("FAILED  expected '%s', got '%s'\n", cases[i].expect, text);
                        failed = 1;
                }
        }
        return failed;
}
