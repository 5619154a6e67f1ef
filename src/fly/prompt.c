#include "fly/prompt.h"

#include <errno.h>
#include <unistd.h>

#define LINE_MAX_BYTES 65536

char *prompt_line(void) {
        g_autoptr(GString) line = g_string_new(NULL);
        char byte;

        fflush(stdout);
        while (line->len < LINE_MAX_BYTES) {
                ssize_t got = read(STDIN_FILENO, &byte, 1);
                if (got < 0 && errno == EINTR)
                        continue;
                if (got <= 0)
                        return NULL;
                if (byte == '\r' || byte == '\n')
                        break;
                g_string_append_c(line, byte);
        }
        return g_string_free(g_steal_pointer(&line), FALSE);
}

/* The echo of a terminal ends the line; on a pipe we do. */
static void end_line(void) {
        if (!isatty(STDIN_FILENO))
                putchar('\n');
}

bool prompt_confirm(const char *prompt) {
        for (;;) {
                printf("%s [yN]: ", prompt);
                g_autofree char *answer = prompt_line();
                end_line();
                g_autofree char *lower = answer ? g_ascii_strdown(answer, -1) : NULL;
                if (!lower || !*lower || g_str_equal(lower, "n") || g_str_equal(lower, "no") ||
                    *lower == '\033' || *lower == '\003')
                        return false;
                if (g_str_equal(lower, "y") || g_str_equal(lower, "yes"))
                        return true;
                puts("Unknown input. Please enter y/yes/n/no.");
        }
}

char *prompt_text(const char *prompt) {
        printf("%s: ", prompt);
        char *answer = prompt_line();
        end_line();
        return answer ? answer : g_strdup("");
}
