/* The two pattern languages of pipelines: globs of group members, and Go's path.Match for `passed`. */
#include <string.h>

#include "config/pipeline.h"

/*
 * Patterns and texts are matched by backtracking; so that a hostile pattern cannot keep a thread busy, the steps are
 * counted and a match that needs more does not happen.
 */
#define STEPS_MAX 200000

/* ---- globs ---- */

/* Reads one rune at *cursor and moves past it; bytes that are not UTF-8 stand for themselves. */
static gunichar next_rune(const char **cursor) {
        gunichar rune = g_utf8_get_char_validated(*cursor, -1);
        if (rune == (gunichar) -1 || rune == (gunichar) -2)
                return (unsigned char) *(*cursor)++ | 0x40000000;
        *cursor = g_utf8_next_char(*cursor);
        return rune;
}

/*
 * Parses the class behind '[' at *cursor, moves past its ']' and says in *ret_match whether rune is in it. A class is
 * a list of characters or one range, "!" in front negates; false when it is neither.
 */
static bool glob_class(const char **cursor, gunichar rune, bool *ret_match) {
        const char *at = *cursor;
        bool negated = *at == '!';
        if (negated)
                at++;
        const char *start = at;
        bool found = false;
        gunichar low = 0;
        if (*at && *at != ']') {
                const char *after = at;
                low = next_rune(&after);
                if (*after == '-' && after[1] && after[1] != ']') {
                        after++;
                        gunichar high = next_rune(&after);
                        if (*after != ']' || high < low)
                                return false;
                        *ret_match = (rune >= low && rune <= high) != negated;
                        *cursor = after + 1;
                        return true;
                }
        }
        while (*at && *at != ']') {
                if (*at == '\\' && at[1])
                        at++;
                found |= next_rune(&at) == rune;
        }
        if (*at != ']' || at == start)
                return false;
        *ret_match = found != negated;
        *cursor = at + 1;
        return true;
}

bool glob_check(const char *pattern, GError **error) {
        for (const char *at = pattern; *at;) {
                bool match;
                if (*at == '\\' && at[1]) {
                        at += 2;
                } else if (*at == '[') {
                        at++;
                        if (!glob_class(&at, 0, &match)) {
                                g_set_error(error, ERROR, ERROR_INVALID, "invalid glob '%s'",
                                            pattern);
                                return false;
                        }
                } else {
                        at++;
                }
        }
        return true;
}

typedef struct {
        size_t steps;
} GlobState;

static bool glob_here(GlobState *state, const char *pattern, const char *text);

/* The end of the alternative that starts at pattern: its ',' or '}', or the end of the text. */
static const char *alternative_end(const char *pattern) {
        int depth = 0;
        for (; *pattern; pattern++) {
                if (*pattern == '\\' && pattern[1])
                        pattern++;
                else if (*pattern == '{')
                        depth++;
                else if (*pattern == '}' && depth-- == 0)
                        break;
                else if (*pattern == ',' && depth == 0)
                        break;
        }
        return pattern;
}

/* pattern stands behind '{'. Tries each alternative with what follows the group. */
static bool glob_alternatives(GlobState *state, const char *pattern, const char *text) {
        const char *close = pattern;
        for (close = alternative_end(close); *close == ','; close = alternative_end(close + 1))
                ;
        const char *rest = *close ? close + 1 : close;
        for (const char *start = pattern;;) {
                const char *end = alternative_end(start);
                g_autofree char *joined = g_strdup_printf("%.*s%s", (int) (end - start), start,
                                                          rest);
                if (glob_here(state, joined, text))
                        return true;
                if (*end != ',')
                        return false;
                start = end + 1;
        }
}

static bool glob_star(GlobState *state, const char *pattern, const char *text) {
        while (*pattern == '*')
                pattern++;
        for (;; next_rune(&text)) {
                if (glob_here(state, pattern, text))
                        return true;
                if (!*text || state->steps > STEPS_MAX)
                        return false;
        }
}

static bool glob_here(GlobState *state, const char *pattern, const char *text) {
        while (*pattern) {
                if (state->steps++ > STEPS_MAX)
                        return false;
                if (*pattern == '*')
                        return glob_star(state, pattern, text);
                if (*pattern == '{')
                        return glob_alternatives(state, pattern + 1, text);
                if (!*text)
                        return false;
                if (*pattern == '[') {
                        bool match;
                        pattern++;
                        if (!glob_class(&pattern, next_rune(&text), &match) || !match)
                                return false;
                        continue;
                }
                if (*pattern == '?') {
                        pattern++;
                        next_rune(&text);
                        continue;
                }
                if (*pattern == '\\' && pattern[1])
                        pattern++;
                if (next_rune(&pattern) != next_rune(&text))
                        return false;
        }
        return !*text;
}

bool glob_match(const char *pattern, const char *text) {
        GlobState state = {};
        return glob_check(pattern, NULL) && glob_here(&state, pattern, text);
}

/* ---- path.Match ---- */

/* Reads one end of a range in a class. */
static bool class_rune(const char **cursor, gunichar *ret) {
        if (!**cursor || **cursor == '-' || **cursor == ']')
                return false;
        if (**cursor == '\\' && !*++*cursor)
                return false;
        *ret = next_rune(cursor);
        return **cursor != '\0';
}

/* As glob_class(), in path.Match's language: any number of ranges, "^" negates. */
static bool path_class(const char **cursor, gunichar rune, bool *ret_match) {
        bool negated = **cursor == '^';
        bool match = false;
        if (negated)
                (*cursor)++;
        for (size_t ranges = 0;; ranges++) {
                gunichar low, high;
                if (**cursor == ']' && ranges > 0)
                        break;
                if (!class_rune(cursor, &low))
                        return false;
                high = low;
                if (**cursor == '-') {
                        (*cursor)++;
                        if (!class_rune(cursor, &high))
                                return false;
                }
                match |= low <= rune && rune <= high;
        }
        (*cursor)++;
        *ret_match = match != negated;
        return true;
}

static bool path_here(GlobState *state, const char *pattern, const char *text) {
        while (*pattern) {
                if (state->steps++ > STEPS_MAX)
                        return false;
                if (*pattern == '*') {
                        while (*pattern == '*')
                                pattern++;
                        for (;; text++) {
                                if (path_here(state, pattern, text))
                                        return true;
                                if (!*text || *text == '/' || state->steps > STEPS_MAX)
                                        return false;
                        }
                }
                if (!*text)
                        return false;
                if (*pattern == '[') {
                        bool match;
                        pattern++;
                        if (!path_class(&pattern, next_rune(&text), &match) || !match)
                                return false;
                        continue;
                }
                if (*pattern == '?') {
                        if (*text == '/')
                                return false;
                        pattern++;
                        next_rune(&text);
                        continue;
                }
                if (*pattern == '\\' && !*++pattern)
                        return false;
                if (next_rune(&pattern) != next_rune(&text))
                        return false;
        }
        return !*text;
}

bool path_match(const char *pattern, const char *text) {
        GlobState state = {};
        return path_here(&state, pattern, text);
}
