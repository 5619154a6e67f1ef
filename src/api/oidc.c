/* How others verify the id tokens of builds (reference 01 §21, 07 §16). */
#include "api/handlers.h"

#include "base/crypto.h"

#include <string.h>

static Value *texts(const char *const *list) {
        Value *value = value_list();

        for (; *list; list++)
                value_list_add(value, value_string(*list));
        return value;
}

void get_openid_configuration(ApiCall *call) {
        const char *issuer = call->api->spec.external_url;
        g_autofree char *jwks = g_strconcat(issuer, "/.well-known/jwks.json", NULL);
        Value *answer = value_map();

        value_map_set_string(answer, "issuer", issuer);
        value_map_set_string(answer, "jwks_uri", jwks);
        value_map_set(answer, "claims_supported",
                      texts((const char *const[]){ "aud", "iat", "iss", "sub", NULL }));
        value_map_set(answer, "response_types_supported",
                      texts((const char *const[]){ "idtoken", NULL }));
        value_map_set(answer, "id_token_signing_alg_values_supported",
                      texts((const char *const[]){ "RS256", "ES256", NULL }));
        value_map_set(answer, "subject_types_supported",
                      texts((const char *const[]){ "public", NULL }));
        call_answer(call, 200, answer);
}

void get_signing_keys(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        bool made = signing_keys_ensure(call->store, clock_now(), &error);
        g_autoptr(GPtrArray) keys = made ? signing_key_list(call->store, &error) : NULL;
        g_autoptr(Value) list = value_list();

        for (size_t i = 0; keys && i < keys->len; i++) {
                const SigningKey *stored = keys->pdata[i];
                g_autoptr(Key) key = key_parse(stored->pem, strlen(stored->pem), &error);
                if (!key)
                        break;
                value_list_add(list, key_to_jwk(key, stored->kid));
        }
        if (error) {
                call_failed(call, error);
                return;
        }
        Value *answer = value_map();
        value_map_set(answer, "keys", g_steal_pointer(&list));
        call_answer(call, 200, answer);
}
