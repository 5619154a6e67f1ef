#include "http/token.h"

#include <string.h>

bool token_is_char(unsigned char byte) {
        return g_ascii_isalnum(byte) || (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

static bool is_blank(char byte) {
        return byte == ' ' || byte == '\t';
}

/* Moves *cursor to the next item of the list. Returns false at its end. */
static bool next_item(const char **cursor, const char **ret_item, size_t *ret_length) {
        const char *start = *cursor;
        while (is_blank(*start) || *start == ',')
                start++;
        if (*start == '\0')
                return false;
        const char *end = start + strcspn(start, ",");
        *cursor = end;
        while (is_blank(end[-1]))
                end--;
        *ret_item = start;
        *ret_length = (size_t) (end - start);
        return true;
}

bool token_list_has(const char *list, const char *token) {
        const char *item;
        size_t length;
        while (list && next_item(&list, &item, &length))
                if (length == strlen(token) && g_ascii_strncasecmp(item, token, length) == 0)
                        return true;
        return false;
}

/* Whether the parameters of an item say q=0, with up to three zeros behind a point. */
static bool weight_is_zero(const char *parameters, size_t length) {
        g_autofree char *text = g_strndup(parameters, length);
        const char *weight = strstr(text, "q=");
        if (!weight)
                weight = strstr(text, "Q=");
        return weight && g_ascii_strtod(weight + 2, NULL) <= 0;
}

bool token_accepts_coding(const char *accept_encoding, const char *coding) {
        const char *item;
        size_t length;
        while (accept_encoding && next_item(&accept_encoding, &item, &length)) {
                size_t name = 0;
                while (name < length && item[name] != ';' && !is_blank(item[name]))
                        name++;
                if (name == strlen(coding) && g_ascii_strncasecmp(item, coding, name) == 0)
                        return !weight_is_zero(item + name, length - name);
        }
        return false;
}

bool token_parse_length(const char *text, int64_t *ret) {
        int64_t value = 0;
        if (*text == '\0')
                return false;
        for (; *text; text++)
                if (!g_ascii_isdigit(*text) || __builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, *text - '0', &value))
                        return false;
        *ret = value;
        return true;
}
