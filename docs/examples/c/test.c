#include "calc.h"
#include <stdio.h>
int main(void) {
        if (calc("1+2*3") != 9) {
                puts("FAIL");
                return 1;
        }
        puts("ok");
        return 0;
}
