#include "resources/time_resource.h"

#include "base/files.h"
#include "base/json.h"
#include "resources/time_text.h"

#include <string.h>

/* A case of check: what time it is, the source, the version ("": none), the answer or the failure's message. */
typedef struct {
        const char *now;
        const char *source;
        const char *version;
        const char *expect;
} Case;

#define NONE "null"

static const Case checks[] = {
        /* Intervals are measured from the version before. */
        { "2026-05-01T10:00:00Z", "\"interval\":\"1h\"", "", "10:00:00Z" },
        { "2026-05-01T10:00:00Z", "\"interval\":\"1h\"", "2026-05-01T09:00:01Z", "09:00:01Z" },
        { "2026-05-01T10:00:00Z", "\"interval\":\"1h\"", "2026-05-01T09:00:00Z",
          "09:00:00Z 10:00:00Z" },
        { "2026-05-01T10:00:00.5Z", "\"Interval\":\"1h\"", "2026-05-01T09:00:00.500000001Z",
          "09:00:00.500000001Z" },
        { "2026-05-01T10:00:00Z", "\"interval\":\"1h\"", "2026-05-01T11:00:00Z", "11:00:00Z" },
        /* Without an interval there is one version a window; without a window the day is it. */
        { "2026-05-01T10:00:00Z", "", "2026-05-01T00:00:00Z", "00:00:00Z" },
        { "2026-05-01T10:00:00Z", "", "2026-04-30T23:59:59Z", "23:59:59Z 10:00:00Z" },
        { "2026-05-01T10:00:00Z", "\"start\":\"10:00\",\"stop\":\"11:00\"", "", "10:00:00Z" },
        { "2026-05-01T09:59:59Z", "\"start\":\"10:00\",\"stop\":\"11:00\"", "", NONE },
        { "2026-05-01T11:00:00Z", "\"start\":\"10:00\",\"stop\":\"11:00\"", "", NONE },
        { "2026-05-01T01:00:00Z", "\"start\":\"8 PM\",\"stop\":\"8 AM\"", "", "01:00:00Z" },
        { "2026-05-01T01:00:00Z", "\"start\":\"8PM\",\"stop\":\"8AM\"", "2026-04-30T20:00:00Z",
          "20:00:00Z" },
        { "2026-05-01T01:00:00Z", "\"start\":\"2000\",\"stop\":\"0800\"", "2026-04-30T19:59:59Z",
          "19:59:59Z 01:00:00Z" },
        { "2026-05-01T09:00:00Z", "\"start\":\"3:04 PM\",\"stop\":\"3:04 PM\"", "", "09:00:00Z" },
        { "2026-05-01T12:30:00Z", "\"start\":\"10:00 -0200\",\"stop\":\"11:00 -0200\"", "",
          "12:30:00Z" },
        { "2026-05-01T12:30:00Z", "\"start\":\"10:00\",\"stop\":\"11:00\",\"interval\":\"1s\"",
          "2026-05-01T10:30:00Z", "10:30:00Z" },
        /* The weekday is that of now: 2026-05-01 is a Friday. */
        { "2026-05-01T10:00:00Z", "\"days\":[\"Friday\"]", "", "10:00:00Z" },
        { "2026-05-01T10:00:00Z", "\"days\":[\"mon\",\"FRI\"]", "", "10:00:00Z" },
        { "2026-05-01T10:00:00Z", "\"days\":[\"Saturday\"]", "", NONE },
        { "2026-05-01T10:00:00Z", "\"days\":[]", "", "10:00:00Z" },
        { "2026-05-02T01:00:00Z", "\"days\":[\"Fri\"],\"start\":\"8 PM\",\"stop\":\"8 AM\"", "",
          NONE },
        { "2026-05-02T01:00:00Z", "\"days\":[\"Fri\"],\"location\":\"America/New_York\"", "",
          "21:00:00-04:00" },
        /* Windows follow the switch to daylight saving: 2026-03-08 in New York has 23 hours. */
        { "2026-03-08T07:30:00Z",
          "\"location\":\"America/New_York\",\"start\":\"02:30\",\"stop\":\"04:00\"", "",
          "03:30:00-04:00" },
        { "2026-03-09T03:59:59Z", "\"location\":\"America/New_York\"", "2026-03-08T00:00:00-05:00",
          "00:00:00-05:00" },
        { "2026-03-09T04:00:00Z", "\"location\":\"America/New_York\"", "2026-03-08T00:00:00-05:00",
          "00:00:00-05:00 00:00:00-04:00" },
        { "2026-05-01T10:00:00Z", "\"location\":\"\"", "", "10:00:00Z" },
        /* Not before start_after, which is read in the location. */
        { "2026-05-01T10:00:00Z", "\"start_after\":\"2026-05-01T10:00\"", "", NONE },
        { "2026-05-01T10:00:01Z", "\"start_after\":\"2026-05-01 10:00:00\"", "", "10:00:01Z" },
        { "2026-05-01T10:00:00Z", "\"start_after\":\"2026-05-01T10\",\"location\":\"Asia/Tokyo\"",
          "", "19:00:00+09:00" },
        { "2026-05-01T10:00:00Z", "\"start_after\":\"2026-05-02\"", "2026-04-01T00:00:00Z",
          "00:00:00Z" },
        /* The first version on demand ignores all of them. */
        { "2026-05-01T10:00:00Z", "\"initial_version\":true,\"days\":[\"sun\"]", "", "10:00:00Z" },
        { "2026-05-01T10:00:00Z", "\"initial_version\":true,\"days\":[\"sun\"]",
          "2026-04-01T00:00:00Z", "00:00:00Z" },
        { "2026-05-01T10:00:00Z", "\"unknown\":1,\"interval\":null", "", "10:00:00Z" },
};

static const Case refused[] = {
        { .source = "\"start\":\"10:00\"",
          .expect = "running command: must configure 'stop' if 'start' is set" },
        { .source = "\"stop\":\"10:00\"",
          .expect = "running command: must configure 'start' if 'stop' is set" },
        { .source = "\"days\":[\"someday\"]", .expect = "parse error: unknown weekday: someday" },
        { .source = "\"days\":[\"mond\"]", .expect = "parse error: unknown weekday: mond" },
        { .source = "\"location\":\"Mars\"", .expect = "parse error: unknown time zone Mars" },
        { .source = "\"location\":\"+02:00\"", .expect = "parse error: unknown time zone +02:00" },
        { .source = "\"location\":\"../zoneinfo/UTC\"",
          .expect = "parse error: unknown time zone ../zoneinfo/UTC" },
        { .source = "\"interval\":5",
          .expect = "parse error: json: cannot unmarshal number into Go value of type string" },
        { .source = "\"interval\":\"5\"", .expect = "parse error: invalid duration '5'" },
        { .source = "\"start\":\"10 pm\"",
          .expect =
                  "parse error: invalid time format: 10 pm, must be one of: 3:04 PM -0700, 3PM -0700, 3 PM "
                  "-0700, 15:04 -0700, 1504 -0700, 3:04 PM, 3PM, 3 PM, 15:04, 1504" },
        { .source = "\"start\":\"24:00\",\"stop\":\"1:00\"",
          .expect =
                  "parse error: invalid time format: 24:00, must be one of: 3:04 PM -0700, 3PM -0700, 3 PM "
                  "-0700, 15:04 -0700, 1504 -0700, 3:04 PM, 3PM, 3 PM, 15:04, 1504" },
        { .source = "\"start_after\":\"2026-02-30\"",
          .expect =
                  "parse error: invalid date format: 2026-02-30, must be one of: 2006-01-02T15:04:05, "
                  "2006-01-02T15:04, 2006-01-02T15, 2006-01-02, 2006-01-02 15:04:05" },
        { .source = "\"initial_version\":\"yes\"",
          .expect = "parse error: json: cannot unmarshal string into Go struct field "
                    "Source.source.initial_version of type bool" },
        { .source = "",
          .version = "yesterday",
          .expect =
                  "parse error: parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse "
                  "\"yesterday\" as \"2006\"" },
};

static Moment moment(const char *text) {
        g_autoptr(GError) error = NULL;
        Moment got = { 0 };
        int32_t offset;
        rfc3339_parse(text, &got, &offset, &error);
        g_assert_no_error(error);
        return got;
}

static Value *request_of(const Case *row) {
        g_autoptr(GError) error = NULL;
        g_autofree char *version = row->version && *row->version
                                           ? g_strdup_printf(",\"version\":{\"time\":\"%s\"}",
                                                             row->version)
                                           : g_strdup("");
        g_autofree char *text = g_strdup_printf("{\"source\":{%s}%s}", row->source, version);
        Value *request = json_parse(text, strlen(text), NULL, &error);
        g_assert_no_error(error);
        return request;
}

/* The times of day in an answer, joined by blanks. */
static char *clock_times(const Value *answer) {
        g_autoptr(GString) text = g_string_new(value_is_null(answer) ? "null" : NULL);
        for (size_t i = 0; i < value_length(answer); i++)
                g_string_append_printf(text, "%s%s", i > 0 ? " " : "",
                                       value_get_string(value_at(answer, i), "time", NULL) +
                                               strlen("2026-05-01T"));
        return g_string_free(g_steal_pointer(&text), FALSE);
}

static void checks_as_the_table_says(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(checks); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) request = request_of(&checks[i]), answer = NULL;
                Moment now = moment(checks[i].now);
                time_check(request, &now, &answer, &error);
                g_assert_no_error(error);
                g_autofree char *got = clock_times(answer);
                g_test_message("%s {%s}", checks[i].now, checks[i].source);
                g_assert_cmpstr(got, ==, checks[i].expect);
        }
}

static void refuses_with_upstreams_words(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) request = request_of(&refused[i]), answer = NULL;
                Moment now = moment("2026-05-01T10:00:00Z");
                g_assert_false(time_check(request, &now, &answer, &error));
                g_assert_cmpstr(error->message, ==, refused[i].expect);
                g_assert_null(answer);
        }
}

static void get_does_not_care_for_a_lone_start(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) request = request_of(&(Case){ .source = "\"start\":\"10:00\"" }),
                         answer = NULL;
        Moment now = moment("2026-05-01T10:00:00Z");
        g_assert_true(time_out(request, &now, &answer, &error));
        g_autofree char *got = json_write(answer, JSON_COMPACT, NULL);
        g_assert_cmpstr(got, ==,
                        "{\"version\":{\"time\":\"2026-05-01T10:00:00Z\"},\"metadata\":null}");
}

typedef struct {
        const char *source, *version;
        const char *input, *timestamp, *epoch, *answer;
} GetCase;

static const GetCase gets[] = {
        { .source = "",
          .version = "",
          .input =
                  "{\"source\":{\"initial_version\":false,\"interval\":null,\"start\":null,\"stop\":null,"
                  "\"days\":null,\"location\":null,\"start_after\":null},"
                  "\"version\":{\"time\":\"0001-01-01T00:00:00Z\"}}\n",
          .timestamp = "2026-05-01 10:00:00.25 +0000 UTC",
          .epoch = "1777629600",
          .answer = "{\"version\":{\"time\":\"2026-05-01T10:00:00.25Z\"},\"metadata\":null}" },
        { .source =
                  "\"interval\":\"90m\",\"start\":\"8 AM\",\"stop\":\"17:30\",\"days\":[\"fri\",\"mon\"],"
                  "\"location\":\"America/New_York\",\"start_after\":\"2026-01-02\"",
          .version = "2026-05-01T06:00:00.120-04:00",
          .input =
                  "{\"source\":{\"initial_version\":false,\"interval\":\"1h30m0s\",\"start\":\"8:00\","
                  "\"stop\":\"17:30\",\"days\":[\"Friday\",\"Monday\"],\"location\":\"America/New_York\","
                  "\"start_after\":\"2026-01-02T00:00:00\"},"
                  "\"version\":{\"time\":\"2026-05-01T06:00:00.12-04:00\"}}\n",
          .timestamp = "2026-05-01 06:00:00.12 -0400 -0400",
          .epoch = "1777629600",
          .answer = "{\"version\":{\"time\":\"2026-05-01T06:00:00.12-04:00\"},\"metadata\":null}" },
};

static void assert_file(const char *directory, const char *name, const char *expect) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        g_autofree char *text = file_read(path, 4096, NULL, NULL);
        g_assert_cmpstr(text, ==, expect);
}

static void get_writes_its_three_files(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(gets); i++) {
                g_autoptr(GError) error = NULL;
                g_autofree char *folder = g_dir_make_tmp("weir-time-XXXXXX", NULL);
                g_autofree char *destination = g_build_filename(folder, "missing", "deep", NULL);
                g_autoptr(Value) answer = NULL;
                g_autoptr(Value) request = request_of(
                        &(Case){ .source = gets[i].source, .version = gets[i].version });
                Moment now = moment("2026-05-01T10:00:00.25Z");
                time_in(request, &now, destination, &answer, &error);
                g_assert_no_error(error);
                assert_file(destination, "input", gets[i].input);
                assert_file(destination, "timestamp", gets[i].timestamp);
                assert_file(destination, "epoch", gets[i].epoch);
                g_autofree char *got = json_write(answer, JSON_COMPACT, NULL);
                g_assert_cmpstr(got, ==, gets[i].answer);
                g_assert_true(directory_remove(folder, NULL));
        }
}

static const struct {
        const char *text, *written; /* NULL: refused */
} times[] = {
        { "2026-05-01T10:00:00Z", "2026-05-01T10:00:00Z" },
        { "2026-05-01T10:00:00.100Z", "2026-05-01T10:00:00.1Z" },
        { "2026-05-01T10:00:00.1234567891Z", "2026-05-01T10:00:00.123456789Z" },
        { "2026-05-01T10:00:00+00:00", "2026-05-01T10:00:00Z" },
        { "2026-05-01T10:00:00-03:30", "2026-05-01T10:00:00-03:30" },
        { "1969-12-31T23:59:59.5+14:00", "1969-12-31T23:59:59.5+14:00" },
        { "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z" },
        { "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z" },
        { "2026-02-29T00:00:00Z", NULL },
        { "2026-13-01T00:00:00Z", NULL },
        { "2026-05-01T24:00:00Z", NULL },
        { "2026-05-01 10:00:00Z", NULL },
        { "2026-05-01T10:00:00", NULL },
        { "2026-05-01T10:00:00.Z", NULL },
        { "2026-05-01T10:00:00z", NULL },
        { "2026-05-01T1:00:00.5Z", NULL },
        { "2026-05-01T10:00:00+0100", NULL },
        { "2026-05-01T10:00:00Z ", NULL },
        { "", NULL },
};

static void times_survive_a_round_trip_or_are_refused(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(times); i++) {
                g_autoptr(GError) error = NULL;
                Moment got = { 0 };
                int32_t offset = 0;
                g_test_message("%s", times[i].text);
                g_assert_true(rfc3339_parse(times[i].text, &got, &offset, &error) ==
                              !!times[i].written);
                if (!times[i].written)
                        continue;
                g_autofree char *written = rfc3339_format(&got, offset);
                g_assert_cmpstr(written, ==, times[i].written);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/resources/time/check", checks_as_the_table_says);
        g_test_add_func("/resources/time/refuses", refuses_with_upstreams_words);
        g_test_add_func("/resources/time/out", get_does_not_care_for_a_lone_start);
        g_test_add_func("/resources/time/in", get_writes_its_three_files);
        g_test_add_func("/resources/time/rfc3339", times_survive_a_round_trip_or_are_refused);
        return g_test_run();
}
