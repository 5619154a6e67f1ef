#include "worker/network/dns.h"

#include <string.h>

#define HEADER_LENGTH 12
#define LABEL_MAX 63
#define NAME_MAX_LENGTH 255
#define SERVERS_MAX 8

/* In the third and fourth byte. */
#define FLAG_ANSWER 0x80
#define FLAG_RECURSION_AVAILABLE 0x80
#define CODE_SERVER_FAILED 2

/* Where the one question of a message ends; 0: there is not exactly one, or it is cut off. */
static size_t question_end(const unsigned char *message, size_t length) {
        size_t at = HEADER_LENGTH;
        if (length <= HEADER_LENGTH || message[4] != 0 || message[5] != 1)
                return 0;
        while (at < length && message[at] != 0) {
                if (message[at] > LABEL_MAX || at - HEADER_LENGTH > NAME_MAX_LENGTH)
                        return 0;
                at += (size_t) message[at] + 1;
        }
        at += 1 + 4; /* the root, type and class */
        return at <= length ? at : 0;
}

bool dns_is_query(const unsigned char *message, size_t length) {
        return question_end(message, length) > 0 && !(message[2] & FLAG_ANSWER);
}

bool dns_is_answer(const unsigned char *query, size_t query_length, const unsigned char *answer,
                   size_t answer_length) {
        return query_length >= HEADER_LENGTH && answer_length >= HEADER_LENGTH &&
               memcmp(query, answer, 2) == 0 && (answer[2] & FLAG_ANSWER);
}

size_t dns_failure(const unsigned char *query, size_t query_length, unsigned char *ret) {
        size_t end = question_end(query, query_length);
        if (end == 0)
                return 0;
        memcpy(ret, query, end);
        ret[2] |= FLAG_ANSWER;
        ret[3] = FLAG_RECURSION_AVAILABLE | CODE_SERVER_FAILED;
        memset(ret + 6, 0, 6); /* no answers, authorities, additions */
        return end;
}

GPtrArray *dns_servers_parse(const char *resolv_conf) {
        GPtrArray *servers = g_ptr_array_new_with_free_func(g_free);
        g_auto(GStrv) lines = g_strsplit(resolv_conf, "\n", -1);
        for (size_t i = 0; lines[i] && servers->len < SERVERS_MAX; i++) {
                char *line = g_strstrip(lines[i]);
                size_t word = strcspn(line, " \t");
                if (word != strlen("nameserver") || strncmp(line, "nameserver", word) != 0)
                        continue;
                char *server = g_strchug(line + word);
                server[strcspn(server, " \t")] = '\0';
                if (*server)
                        g_ptr_array_add(servers, g_strdup(server));
        }
        return servers;
}
