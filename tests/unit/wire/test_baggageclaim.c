#include "base/json.h"
#include "wire/baggageclaim.h"

#include <string.h>

static Value *parse(const char *text) {
        g_autoptr(GError) error = NULL;
        Value *value = json_parse(text, strlen(text), NULL, &error);
        g_assert_no_error(error);
        return value;
}

/* What upstream's web node was seen to send, and what its worker answers. */
static const char *const requests[] = {
        "{\"handle\":\"h\",\"strategy\":{\"type\":\"import\",\"path\":\"/r/rootfs.tgz\",\"follow_"
        "symlinks\":false},\"properties\":null}",
        "{\"handle\":\"h\",\"strategy\":{\"type\":\"cow\",\"volume\":\"p\"},\"properties\":null,"
        "\"uid\":-1,\"gid\":-1}",
        "{\"handle\":\"h\",\"strategy\":{\"type\":\"empty\"},\"properties\":{\"a\":\"b\"},"
        "\"privileged\":true,\"uid\":0,\"gid\":1000}",
        "{\"handle\":\"\",\"strategy\":null,\"properties\":null}",
};

static const char *const responses[] = {
        "{\"handle\":\"h\",\"path\":\"/w/volumes/live/h/volume\",\"properties\":null,"
        "\"privileged\":false}",
        "{\"handle\":\"h\",\"path\":\"/p\",\"properties\":{\"a\":\"b\"},\"privileged\":true,"
        "\"uid\":-1,\"gid\":-1}",
};

static void requests_go_both_ways(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
                g_autoptr(Value) value = parse(requests[i]);
                g_auto(VolumeRequest) request = { 0 };
                g_assert_true(volume_request_from_value(value, &request, NULL));
                g_autoptr(Value) back = volume_request_to_value(&request);
                g_autofree char *text = json_write(back, JSON_COMPACT, NULL);
                g_assert_cmpstr(text, ==, requests[i]);
        }
}

static void responses_go_both_ways(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(responses); i++) {
                g_autoptr(Value) value = parse(responses[i]);
                g_auto(VolumeResponse) response = { 0 };
                g_assert_true(volume_response_from_value(value, &response, NULL));
                g_autoptr(Value) back = volume_response_to_value(&response);
                g_autofree char *text = json_write(back, JSON_COMPACT, NULL);
                g_assert_cmpstr(text, ==, responses[i]);
        }
}

static void names_come_in_any_case(void) {
        g_autoptr(Value) value = parse("{\"Handle\":\"h\",\"STRATEGY\":{\"Type\":\"cow\","
                                       "\"Volume\":\"p\"},\"Privileged\":true,\"other\":1}");
        g_auto(VolumeRequest) request = { 0 };
        g_assert_true(volume_request_from_value(value, &request, NULL));
        g_assert_cmpstr(request.handle, ==, "h");
        g_assert_cmpint(request.strategy.kind, ==, VOLUME_STRATEGY_COW);
        g_assert_cmpstr(request.strategy.volume, ==, "p");
        g_assert_true(request.privileged);
        g_assert_false(request.has_uid);
}

static void wrong_kinds_are_refused(void) {
        static const char *const wrong[] = {
                "null",
                "[]",
                "\"x\"",
                "{\"handle\":1}",
                "{\"handle\":\"a\\u0000b\"}",
                "{\"strategy\":[]}",
                "{\"strategy\":{\"type\":1}}",
                "{\"strategy\":{\"type\":\"import\",\"path\":{}}}",
                "{\"properties\":[]}",
                "{\"properties\":{\"a\":1}}",
                "{\"privileged\":\"yes\"}",
                "{\"uid\":\"0\"}",
                "{\"gid\":1.5}",
                "{\"uid\":4294967296}",
        };
        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) value = parse(wrong[i]);
                VolumeRequest request = { 0 };
                g_assert_false(volume_request_from_value(value, &request, &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
        }
}

static void encodings_are_exact(void) {
        static const char *const wrong[] = { NULL, "", "GZIP", "gzip, deflate", "identity", "br" };
        VolumeEncoding encoding;
        for (VolumeEncoding i = VOLUME_ENCODING_RAW; i <= VOLUME_ENCODING_S2; i++) {
                g_assert_true(volume_encoding_parse(volume_encoding_name(i), &encoding, NULL));
                g_assert_cmpint(encoding, ==, i);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
                g_assert_false(volume_encoding_parse(wrong[i], &encoding, NULL));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/baggageclaim/request", requests_go_both_ways);
        g_test_add_func("/baggageclaim/response", responses_go_both_ways);
        g_test_add_func("/baggageclaim/case", names_come_in_any_case);
        g_test_add_func("/baggageclaim/wrong", wrong_kinds_are_refused);
        g_test_add_func("/baggageclaim/encoding", encodings_are_exact);
        return g_test_run();
}
