#include "resources/registry_challenge.h"

#include <string.h>

void challenge_clear(Challenge *challenge) {
        g_free(challenge->realm);
        g_free(challenge->service);
        g_free(challenge->scope);
        *challenge = (Challenge){ 0 };
}

static size_t token_length(const char *text) {
        return strcspn(text, " \t,=\"");
}

/* Reads a quoted string, or a token, at *cursor and moves past it. Returns new. */
static char *read_value(const char **cursor) {
        GString *value = g_string_new(NULL);
        if (**cursor != '"') {
                size_t length = strcspn(*cursor, " \t,");
                g_string_append_len(value, *cursor, (gssize) length);
                *cursor += length;
                return g_string_free(value, false);
        }
        for ((*cursor)++; **cursor && **cursor != '"'; (*cursor)++) {
                if (**cursor == '\\' && (*cursor)[1])
                        (*cursor)++;
                g_string_append_c(value, **cursor);
        }
        if (**cursor == '"')
                (*cursor)++;
        return g_string_free(value, false);
}

static void set_parameter(Challenge *challenge, const char *name, size_t length, char *value) {
        const struct {
                const char *name;
                char **place;
        } parameters[] = {
                { "realm", &challenge->realm },
                { "service", &challenge->service },
                { "scope", &challenge->scope },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(parameters); i++)
                if (strlen(parameters[i].name) == length &&
                    g_ascii_strncasecmp(parameters[i].name, name, length) == 0) {
                        g_free(*parameters[i].place);
                        *parameters[i].place = value;
                        return;
                }
        g_free(value);
}

/* Reads a scheme and its parameters, up to the next scheme: a word that no "=" follows. */
static void read_challenge(const char **cursor, Challenge *ret) {
        size_t length = token_length(*cursor);
        if (length == strlen("Bearer") && g_ascii_strncasecmp(*cursor, "Bearer", length) == 0)
                ret->kind = CHALLENGE_BEARER;
        else if (length == strlen("Basic") && g_ascii_strncasecmp(*cursor, "Basic", length) == 0)
                ret->kind = CHALLENGE_BASIC;
        *cursor += length;
        for (;;) {
                const char *name = *cursor + strspn(*cursor, " \t,");
                size_t name_length = token_length(name);
                const char *equals = name + name_length + strspn(name + name_length, " \t");
                if (name_length == 0 || *equals != '=') {
                        *cursor = name;
                        return;
                }
                equals += 1 + strspn(equals + 1, " \t");
                char *value = read_value(&equals);
                set_parameter(ret, name, name_length, value);
                *cursor = equals;
        }
}

static void complete(Challenge *challenge) {
        char **texts[] = { &challenge->realm, &challenge->service, &challenge->scope };
        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                if (!*texts[i])
                        *texts[i] = g_strdup("");
        if (challenge->kind == CHALLENGE_BEARER && !*challenge->realm)
                challenge->kind = CHALLENGE_NONE;
}

void challenge_parse(const char *value, Challenge *ret) {
        g_auto(Challenge) best = { 0 };
        for (const char *cursor = value + strspn(value, " \t,"); *cursor;) {
                const char *start = cursor;
                g_auto(Challenge) challenge = { 0 };
                read_challenge(&cursor, &challenge);
                complete(&challenge);
                if (challenge.kind > best.kind) {
                        challenge_clear(&best);
                        best = challenge;
                        challenge = (Challenge){ 0 };
                }
                if (cursor == start) /* neither word nor parameter: skip what stands there */
                        cursor++;
        }
        complete(&best);
        *ret = best;
        best = (Challenge){ 0 };
}
