#include "http/server/parser.h"

#include "http/token.h"
#include "http/url.h"

#include <string.h>

/* ---- lines ---- */

/* A finished line, CRLF included: nothing but text in it. */
static bool line_is_clean(const char *line, size_t length) {
        if (length < 2 || line[length - 2] != '\r')
                return false;
        for (size_t i = 0; i < length - 2; i++)
                if (!token_is_text((unsigned char) line[i]))
                        return false;
        return true;
}

static int head_limit(const HeadScanner *scanner) {
        size_t line = scanner->text->len - scanner->line;
        if (scanner->lines == 0)
                return line > HEAD_LINE_MAX ? 414 : 0;
        return scanner->text->len > HEAD_MAX || scanner->lines > HEAD_FIELDS_MAX + 1 ? 431 : 0;
}

/* Ends the line that now stands whole in text. */
static HeadState head_end_line(HeadScanner *scanner, int *ret_status) {
        const char *line = scanner->text->str + scanner->line;
        size_t length = scanner->text->len - scanner->line;
        *ret_status = 400;
        if (!line_is_clean(line, length))
                return HEAD_BAD;
        if (length == 2 && scanner->lines == 0) {
                if (scanner->skipped)
                        return HEAD_BAD;
                scanner->skipped = true;
                g_string_truncate(scanner->text, 0);
                return HEAD_MORE;
        }
        if (length == 2)
                return HEAD_WHOLE;
        if (line[0] == ' ' || line[0] == '\t')
                return HEAD_BAD;
        scanner->lines++;
        scanner->line = scanner->text->len;
        return HEAD_MORE;
}

HeadState head_scan(HeadScanner *scanner, const char *bytes, size_t length, size_t *ret_used,
                    int *ret_status) {
        size_t at = 0;
        HeadState state = HEAD_MORE;
        if (!scanner->text)
                scanner->text = g_string_sized_new(512);
        while (at < length && state == HEAD_MORE) {
                const char *end = memchr(bytes + at, '\n', length - at);
                size_t piece = end ? (size_t) (end - bytes) + 1 - at : length - at;
                g_string_append_len(scanner->text, bytes + at, (gssize) piece);
                at += piece;
                *ret_status = head_limit(scanner);
                if (*ret_status)
                        state = HEAD_BAD;
                else if (end)
                        state = head_end_line(scanner, ret_status);
        }
        *ret_used = at;
        return state;
}

void head_scanner_clear(HeadScanner *scanner) {
        if (scanner->text)
                g_string_free(scanner->text, true);
        *scanner = (HeadScanner){ 0 };
}

/* ---- the request line ---- */

static int parse_version(const char *text, int *ret_minor) {
        if (strlen(text) != 8 || strncmp(text, "HTTP/", 5) != 0 || !g_ascii_isdigit(text[5]) ||
            text[6] != '.' || !g_ascii_isdigit(text[7]))
                return 400;
        if (text[5] != '1' || text[7] > '1')
                return 505;
        *ret_minor = text[7] - '0';
        return 0;
}

/* "GET /path HTTP/1.1", single spaces, nothing else. */
static int parse_request_line(char *line, RequestHead *head, char **ret_target) {
        char *target = strchr(line, ' ');
        char *version = target ? strchr(target + 1, ' ') : NULL;
        if (!version || target == line || version == target + 1 || target - line > HEAD_METHOD_MAX)
                return 400;
        *target++ = '\0';
        *version++ = '\0';
        for (const char *byte = line; *byte; byte++)
                if (!token_is_char((unsigned char) *byte))
                        return 400;
        for (const char *byte = target; *byte; byte++)
                if (*byte <= 0x20 || (unsigned char) *byte >= 0x7f || *byte == '#')
                        return 400;
        head->method = line;
        *ret_target = target;
        return parse_version(version, &head->minor);
}

/* ---- header lines ---- */

static bool parse_field(char *line, HeadField *ret) {
        char *colon = strchr(line, ':');
        if (!colon || colon == line)
                return false;
        for (const char *byte = line; byte < colon; byte++)
                if (!token_is_char((unsigned char) *byte))
                        return false;
        *colon = '\0';
        char *value = colon + 1;
        while (*value == ' ' || *value == '\t')
                value++;
        char *end = value + strlen(value);
        while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
                end--;
        *end = '\0';
        *ret = (HeadField){ line, value };
        return true;
}

static size_t count_field(const RequestHead *head, const char *name) {
        size_t count = 0;
        for (size_t i = 0; i < head->fields_length; i++)
                count += g_ascii_strcasecmp(head->fields[i].name, name) == 0;
        return count;
}

const char *head_field(const RequestHead *head, const char *name) {
        for (size_t i = 0; i < head->fields_length; i++)
                if (g_ascii_strcasecmp(head->fields[i].name, name) == 0)
                        return head->fields[i].value;
        return NULL;
}

static bool any_connection_token(const RequestHead *head, const char *token) {
        for (size_t i = 0; i < head->fields_length; i++)
                if (g_ascii_strcasecmp(head->fields[i].name, "connection") == 0 &&
                    token_list_has(head->fields[i].value, token))
                        return true;
        return false;
}

/* Where the body ends. Two ways to say it, or one said twice, is how requests are smuggled. */
static int parse_framing(RequestHead *head) {
        size_t lengths = count_field(head, "content-length");
        size_t codings = count_field(head, "transfer-encoding");
        head->content_length = -1;
        if (lengths + codings > 1)
                return 400;
        if (lengths == 1)
                return token_parse_length(head_field(head, "content-length"), &head->content_length)
                               ? 0
                               : 400;
        if (codings == 0)
                return 0;
        const char *coding = head_field(head, "transfer-encoding");
        if (head->minor == 0)
                return 400;
        head->chunked = g_ascii_strcasecmp(coding, "chunked") == 0;
        if (head->chunked)
                return 0;
        return *coding == '\0' || strpbrk(coding, ", \t;") ? 400 : 501;
}

static int parse_meaning(RequestHead *head) {
        int status = parse_framing(head);
        if (status)
                return status;
        head->keep_alive = head->minor == 1 ? !any_connection_token(head, "close")
                                            : any_connection_token(head, "keep-alive") &&
                                                      !any_connection_token(head, "close");
        const char *expect = head_field(head, "expect");
        if (expect && head->minor == 1) {
                if (g_ascii_strcasecmp(expect, "100-continue") != 0)
                        return 417;
                head->expects_continue = head->chunked || head->content_length > 0;
        }
        return 0;
}

/* ---- host and target ---- */

static bool host_is_valid(const char *host) {
        for (; *host; host++)
                if (*host <= 0x20 || (unsigned char) *host >= 0x7f ||
                    strchr("/?#@\\,<>\"{}|^`", *host))
                        return false;
        return true;
}

static bool parse_host(const RequestHead *head) {
        size_t hosts = count_field(head, "host");
        if (hosts > 1 || (hosts == 0 && head->minor == 1))
                return false;
        return hosts == 0 || host_is_valid(head_field(head, "host"));
}

/* "http://host/path" is taken when it names the same host as the Host header. */
static char *strip_authority(const RequestHead *head, char *target) {
        const char *host = head_field(head, "host");
        char *authority = g_ascii_strncasecmp(target, "http://", 7) == 0    ? target + 7
                          : g_ascii_strncasecmp(target, "https://", 8) == 0 ? target + 8
                                                                            : NULL;
        if (!authority || !host)
                return NULL;
        size_t length = strcspn(authority, "/?");
        if (length != strlen(host) || g_ascii_strncasecmp(authority, host, length) != 0 ||
            authority[length] != '/')
                return NULL;
        return authority + length;
}

static bool climbs(const char *segment) {
        for (const char *part = segment;; part++) {
                size_t length = strcspn(part, "/");
                if (length == 2 && part[0] == '.' && part[1] == '.')
                        return true;
                part += length;
                if (*part == '\0')
                        return false;
        }
}

/* Splits at '/', then decodes each piece as forms do ('+' is a space: reference 01 §1.2, 06 §3.1).
 */
static bool parse_segments(RequestHead *head) {
        g_auto(GStrv) raw = g_strsplit(head->path + 1, "/", -1);
        size_t length = g_strv_length(raw);
        if (length == 1 && raw[0][0] == '\0')
                length = 0;
        head->segments = g_new0(char *, length + 1);
        for (; head->segments_length < length; head->segments_length++) {
                const char *text = raw[head->segments_length];
                char *decoded = url_decode(text, strlen(text), true, NULL);
                if (!decoded)
                        return false;
                head->segments[head->segments_length] = decoded;
                if (climbs(decoded))
                        return false;
        }
        return true;
}

static bool parse_target(RequestHead *head, char *target) {
        head->query = "";
        if (strcmp(target, "*") == 0) {
                head->path = target;
                return strcmp(head->method, "OPTIONS") == 0;
        }
        if (*target != '/' && !(target = strip_authority(head, target)))
                return false;
        char *query = strchr(target, '?');
        if (query) {
                *query = '\0';
                head->query = query + 1;
        }
        head->path = target;
        return parse_segments(head);
}

/* ---- the whole ---- */

static int parse_lines(RequestHead *head, size_t fields, char **ret_target) {
        char *line = head->text;
        head->fields = g_new0(HeadField, fields + 1);
        for (bool first = true;; first = false) {
                char *end = strstr(line, "\r\n");
                if (end == line)
                        return 0;
                *end = '\0';
                if (first) {
                        int status = parse_request_line(line, head, ret_target);
                        if (status)
                                return status;
                } else if (!parse_field(line, &head->fields[head->fields_length++]))
                        return 400;
                line = end + 2;
        }
}

int head_parse(HeadScanner *scanner, RequestHead *ret) {
        RequestHead head = { .text = g_string_free(scanner->text, false) };
        size_t fields = scanner->lines - 1;
        char *target = NULL;
        *scanner = (HeadScanner){ 0 };
        int status = parse_lines(&head, fields, &target);
        if (status == 0 && !parse_host(&head))
                status = 400;
        if (status == 0)
                status = parse_meaning(&head);
        if (status == 0 && !parse_target(&head, target))
                status = 400;
        if (status)
                request_head_clear(&head);
        else
                *ret = head;
        return status;
}

void request_head_clear(RequestHead *head) {
        g_strfreev(head->segments);
        g_free(head->fields);
        g_free(head->text);
        *head = (RequestHead){ 0 };
}
