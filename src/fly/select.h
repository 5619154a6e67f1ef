/* A menu to choose from (reference 02 §6.4). */
#pragma once

#include "fly/fly.h"

/* Shows the items (text) and lets one be chosen, with arrows or j and k, Enter, and / to filter. Returns its index; -1: quit,
 * or the end of input. */
int select_one(const char *title, const GPtrArray *items);

/* ---- its parts, for tests ---- */

typedef struct {
        const GPtrArray *items;
        GString *filter;
        bool filtering; /* the filter is being typed */
        size_t cursor;  /* among those that match */
        size_t height;  /* rows of the list that are shown at once */
} Menu;

typedef enum { KEY_NONE, KEY_UP, KEY_DOWN, KEY_ENTER, KEY_ESCAPE, KEY_QUIT, KEY_ERASE } Key;
/* What the bytes of one key press mean. */
Key key_of(const char *bytes, size_t length);

typedef enum { MENU_GOES_ON, MENU_CHOSEN, MENU_QUIT } MenuState;
MenuState menu_press(Menu *menu, const char *bytes, size_t length);
/* Of the item under the cursor; -1: none matches. */
int menu_chosen(const Menu *menu);
/* Appends the lines, none longer than `width` columns. Returns how many. */
size_t menu_draw(const Menu *menu, const char *title, size_t width, GString *text);
