/* The character classes of HTTP (RFC 9110 §5.6) and lists of tokens in header values. */
#pragma once

#include "base/error.h"

bool token_is_char(unsigned char byte); /* of a method or a header's name */
/* Of a header's value: no control character but tab. */
static inline bool token_is_text(unsigned char byte) {
        return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}
/* Whether the comma-separated list has the token, in any case. */
bool token_list_has(const char *list, const char *token);
/* Whether Accept-Encoding takes this coding (";q=0" refuses it; "*" is not looked at). */
bool token_accepts_coding(const char *accept_encoding, const char *coding);
/* Digits only, within an int64. */
bool token_parse_length(const char *text, int64_t *ret);
