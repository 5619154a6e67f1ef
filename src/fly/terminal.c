#include "fly/terminal.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static const int deadly[] = { SIGTERM, SIGHUP, SIGINT, SIGQUIT };

/* One for the program, as the terminal is. */
static struct termios before;
static volatile sig_atomic_t is_raw;

bool terminal_size(int fd, GardenWindow *ret) {
        struct winsize size;
        if (ioctl(fd, TIOCGWINSZ, &size) < 0)
                return false;
        *ret = (GardenWindow){ size.ws_col, size.ws_row };
        return true;
}

void terminal_restore(void) {
        if (is_raw)
                tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
        is_raw = 0;
}

static void die(int number) {
        terminal_restore();
        signal(number, SIG_DFL);
        raise(number);
}

void terminal_raw(void) {
        struct termios raw;
        if (is_raw || tcgetattr(STDIN_FILENO, &before) < 0)
                return;
        for (size_t i = 0; i < G_N_ELEMENTS(deadly); i++)
                signal(deadly[i], die);
        raw = before;
        cfmakeraw(&raw);
        is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}
