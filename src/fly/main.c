/* fly: the command line client. */
#include "fly/fly.h"

int main(int argc, char **argv) {
        return fly_main(argc, argv);
}
