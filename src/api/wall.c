/* The message that everybody sees (reference 01 §20). */
#include "api/handlers.h"

/* DURATION_NEVER, and what would overflow, is no end. */
static Time expiry(int64_t ttl, Time now) {
        Time end;

        return ttl > 0 && !__builtin_add_overflow(now, ttl / 1000, &end) ? end : 0;
}

void get_wall(ApiCall *call) {
        const Time now = clock_now();
        g_auto(Wall) wall = { 0 };
        g_autoptr(GError) error = NULL;

        if (!wall_get(call->store, now, &wall, &error)) {
                call_failed(call, error);
                return;
        }
        Value *answer = value_map();
        value_map_set_string_opt(answer, "message", wall.message);
        value_map_set_int_opt(answer, "TTL", wall.expires ? (wall.expires - now) * 1000 : 0);
        call_answer(call, 200, answer);
}

/* Keys in either case, as Go reads them. */
static const Value *member(const Value *map, const char *name) {
        for (size_t i = 0; i < value_length(map); i++)
                if (value_is(map, VALUE_MAP) && !g_ascii_strcasecmp(value_key_at(map, i), name))
                        return value_at(map, i);
        return NULL;
}

void set_wall(ApiCall *call) {
        g_autofree char *text = NULL;
        g_autoptr(GError) error = NULL;
        size_t length = 0, used;
        int64_t ttl = 0;

        text = http_body(call->request, 0, &length, &error);
        g_autoptr(Value) body = text ? json_parse_first(text, length, NULL, &used, &error) : NULL;
        const Value *message = member(body, "message"), *given = member(body, "TTL");
        if (!body || (!value_is_null(message) && !value_is(message, VALUE_STRING)) ||
            (!value_is_null(given) && !value_as_int(given, &ttl))) {
                call_empty(call, 500);
                return;
        }
        if (value_is_null(message) || value_text_length(message) == 0) {
                call_text(call, 400, "Wall message cannot be empty");
                return;
        }
        bool done = wall_set(call->store, value_text(message), expiry(ttl, clock_now()), &error);
        call_done(call, done, error);
}

void clear_wall(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        bool done = wall_clear(call->store, &error);

        call_done(call, done, error);
}
