/* What the DNS proxy must know of a message (RFC 1035); the rest passes as it is. Pure; bytes are foreign. */
#pragma once

#include "base/error.h"

#define DNS_MESSAGE_MAX 65535 /* over TCP, and of EDNS */

/* Whether it is a query with one whole question. */
bool dns_is_query(const unsigned char *message, size_t length);
/* Whether an answer belongs to the query: its id, and that it is one. */
bool dns_is_answer(const unsigned char *query, size_t query_length, const unsigned char *answer,
                   size_t answer_length);
/* Makes of a query the answer "the server failed". ret holds query_length bytes; returns how many are used. */
size_t dns_failure(const unsigned char *query, size_t query_length, unsigned char *ret);

/* The servers of a resolv.conf: "9.9.9.9", "fe80::1%eth0". Returns new, of char*. */
GPtrArray *dns_servers_parse(const char *resolv_conf);
