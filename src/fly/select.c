#include "fly/select.h"

#include "fly/terminal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define HEIGHT_MAX 12
#define WIDTH_STANDARD 80
#define HELP "  [↑/k] up • [↓/j] down • [/] filter • [esc/q] quit"
/* An escape that nothing follows within this time was the key of that name. */
#define ESCAPE_MILLISECONDS 50

/* ---- keys ---- */

Key key_of(const char *bytes, size_t length) {
        static const struct {
                const char *bytes;
                Key key;
        } keys[] = {
                { "k", KEY_UP },       { "\033[A", KEY_UP },   { "\033OA", KEY_UP },
                { "j", KEY_DOWN },     { "\033[B", KEY_DOWN }, { "\033OB", KEY_DOWN },
                { "\r", KEY_ENTER },   { "\n", KEY_ENTER },    { "\033", KEY_ESCAPE },
                { "q", KEY_QUIT },     { "\003", KEY_QUIT },   { "\004", KEY_QUIT },
                { "\177", KEY_ERASE }, { "\b", KEY_ERASE },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                if (strlen(keys[i].bytes) == length && memcmp(keys[i].bytes, bytes, length) == 0)
                        return keys[i].key;
        return KEY_NONE;
}

/* Reads the bytes of one key press. Returns how many; 0 at the end of input. */
static size_t read_key(char ret[4]) {
        struct pollfd more = { .fd = STDIN_FILENO, .events = POLLIN };
        ssize_t got;
        do
                got = read(STDIN_FILENO, ret, 1);
        while (got < 0 && errno == EINTR);
        if (got <= 0)
                return 0;
        size_t length = 1;
        while (ret[0] == '\033' && length < 3 && poll(&more, 1, ESCAPE_MILLISECONDS) > 0 &&
               read(STDIN_FILENO, ret + length, 1) == 1)
                length++;
        return length;
}

/* ---- the menu ---- */

static bool matches(const Menu *menu, size_t index) {
        g_autofree char *item = g_utf8_casefold(g_ptr_array_index(menu->items, index), -1);
        g_autofree char *filter = g_utf8_casefold(menu->filter->str, -1);
        return strstr(item, filter) != NULL;
}

static size_t match_count(const Menu *menu) {
        size_t count = 0;
        for (size_t i = 0; i < menu->items->len; i++)
                count += matches(menu, i);
        return count;
}

int menu_chosen(const Menu *menu) {
        size_t seen = 0;
        for (size_t i = 0; i < menu->items->len; i++)
                if (matches(menu, i) && seen++ == menu->cursor)
                        return (int) i;
        return -1;
}

static void type_filter(Menu *menu, const char *bytes, size_t length, Key key) {
        if (key == KEY_ENTER || key == KEY_ESCAPE)
                menu->filtering = false;
        if (key == KEY_ESCAPE)
                g_string_truncate(menu->filter, 0);
        else if (key == KEY_ERASE && menu->filter->len > 0)
                g_string_truncate(menu->filter, menu->filter->len - 1);
        else if (length == 1 && (unsigned char) *bytes >= ' ' && key != KEY_ERASE)
                g_string_append_c(menu->filter, *bytes);
        menu->cursor = 0;
}

MenuState menu_press(Menu *menu, const char *bytes, size_t length) {
        Key key = key_of(bytes, length);
        bool control = length == 1 && (*bytes == '\003' || *bytes == '\004');
        size_t count = match_count(menu);

        if (menu->filtering && !control) {
                type_filter(menu, bytes, length, key);
                return MENU_GOES_ON;
        }
        if (length == 1 && *bytes == '/') {
                menu->filtering = true;
                g_string_truncate(menu->filter, 0);
                menu->cursor = 0;
        } else if (key == KEY_UP && menu->cursor > 0)
                menu->cursor--;
        else if (key == KEY_DOWN && menu->cursor + 1 < count)
                menu->cursor++;
        else if (key == KEY_ENTER && count > 0)
                return MENU_CHOSEN;
        else if (key == KEY_ESCAPE && menu->filter->len > 0) {
                g_string_truncate(menu->filter, 0);
                menu->cursor = 0;
        } else if (key == KEY_ESCAPE || key == KEY_QUIT)
                return MENU_QUIT;
        return MENU_GOES_ON;
}

/* ---- drawing ---- */

static void draw_line(GString *text, size_t width, const char *color, const char *before,
                      const char *line) {
        g_autofree char *whole = g_strconcat(before, line, NULL);
        g_autofree char *valid = g_utf8_make_valid(whole, -1);
        g_autofree char *cut = g_utf8_strlen(valid, -1) > (glong) width
                                       ? g_utf8_substring(valid, 0, (glong) width)
                                       : g_strdup(valid);
        g_string_append_printf(text, "%s%s%s\r\n", color, cut, *color ? "\033[m" : "");
}

size_t menu_draw(const Menu *menu, const char *title, size_t width, GString *text) {
        size_t first = menu->cursor < menu->height ? 0 : menu->cursor - menu->height + 1;
        size_t seen = 0, lines = 0;
        g_autofree char *head = menu->filtering ? g_strconcat("Filter: ", menu->filter->str, NULL)
                                                : g_strconcat(title, ":", NULL);

        draw_line(text, width, "", "", "");
        draw_line(text, width, "", "  ", head);
        draw_line(text, width, "", "", "");
        for (size_t i = 0; i < menu->items->len; i++) {
                if (!matches(menu, i))
                        continue;
                bool shown = seen >= first && seen < first + menu->height;
                bool here = seen++ == menu->cursor;
                if (!shown)
                        continue;
                draw_line(text, width, here ? "\033[94m" : "", here ? " >  " : "    ",
                          g_ptr_array_index(menu->items, i));
                lines++;
        }
        draw_line(text, width, "", "", "");
        draw_line(text, width, "", "", HELP);
        return lines + 5;
}

int select_one(const char *title, const GPtrArray *items) {
        g_autoptr(GString) filter = g_string_new(NULL);
        Menu menu = { .items = items, .filter = filter, .height = MIN(items->len, HEIGHT_MAX) };
        MenuState state = MENU_GOES_ON;
        size_t drawn = 0, length;
        char bytes[4];

        terminal_raw();
        while (state == MENU_GOES_ON) {
                GardenWindow size = { WIDTH_STANDARD, 0 };
                g_autoptr(GString) text = g_string_new(NULL);
                terminal_size(STDOUT_FILENO, &size);
                if (drawn > 0)
                        g_string_printf(text, "\033[%zuA\033[J", drawn);
                drawn = menu_draw(&menu, title, size.columns, text);
                fputs(text->str, stdout);
                fflush(stdout);
                length = read_key(bytes);
                state = length > 0 ? menu_press(&menu, bytes, length) : MENU_QUIT;
        }
        terminal_restore();
        return state == MENU_CHOSEN ? menu_chosen(&menu) : -1;
}
