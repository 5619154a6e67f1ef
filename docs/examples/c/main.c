#include "calc.h"
#include <stdio.h>
int main(int argc, char **argv) {
        for (int i = 1; i < argc; i++)
                printf("%ld\n", calc(argv[i]));
        return 0;
}
