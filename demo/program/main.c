/* Greets whom it is told to, or the world. */
#include "greet.h"

#include <stdio.h>

int main(int argc, char **argv) {
        char text[128];
        greet(argc > 1 ? argv[1] : NULL, text, sizeof text);
        puts(text);
        return 0;
}
