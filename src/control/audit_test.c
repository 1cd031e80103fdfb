/* SPDX-License-Identifier: Apache-2.0 */
/* The audit and the spend from a real database, in each format. */
#include "base/clock.h"
#include "control/json_alloc.h"
#include "control/testing.h"
#include "control/times.h"
#include "store/store.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DAY INT64_C(1795132800000) /* 2026-11-20T00:00:00Z */
#define USD INT64_C(1000000000)
enum { ROWS = 1200 };

static void put(struct store *store, enum message_type type, const void *row)
{
    struct err err = {""};
    CHECK_CASE(store_put(store, type, row, &err) == STORE_DONE, err.text);
}

/* Row n is at DAY + n seconds; every tenth is denied; the last has a label's formula. */
static void fill(const char *directory)
{
    const struct store_seed seed = {0};
    struct err err = {""};

    CHECK_CASE(store_create(directory, &seed, &err) == 0, err.text);
    struct store *store = store_open(directory, 0, &err);
    CHECK_CASE(store != NULL, err.text);
    struct message_row_key keys[] = {{.key = 1,
                                      .id = STR("key_a"),
                                      .label = STR("=cmd(\"x\"),1"),
                                      .vendor = STR("shop"),
                                      .tenant = STR("acme"),
                                      .run_id = STR("run-9")},
                                     {.key = 2, .id = STR("key_b"), .label = STR("b/1")}};
    put(store, MESSAGE_ROW_KEY, &keys[0]);
    put(store, MESSAGE_ROW_KEY, &keys[1]);
    for (uint64_t n = 1; n <= ROWS; n++) {
        struct message_row_audit row = {.sequence = n,
                                        .event = AUDIT_REQUEST,
                                        .at_ms = DAY + (int64_t)n * 1000,
                                        .key = n % 2 + 1,
                                        .vendor = STR("shop"),
                                        .operation = STR("charges.create"),
                                        .operation_class = STR("write"),
                                        .method = STR("POST"),
                                        .path = STR("/v1/charges"),
                                        .verdict = n % 10 == 0 ? STR("denied") : STR("allowed"),
                                        .status = 200,
                                        .amount_minor = 250,
                                        .currency = STR("usd"),
                                        .reserved = 5 * USD / 2};
        put(store, MESSAGE_ROW_AUDIT, &row);
    }
    struct message_row_audit settled = {.sequence = ROWS + 1,
                                        .event = AUDIT_SETTLED,
                                        .at_ms = DAY + (ROWS + 1) * 1000,
                                        .key = 1,
                                        .vendor = STR("shop"),
                                        .operation_class = STR("write"),
                                        .settled = 5 * USD / 2};
    put(store, MESSAGE_ROW_AUDIT, &settled);
    CHECK(store_commit(store, &err) == STORE_DONE);
    store_close(store);
}

static void ask(struct testing *t, const char *directory, const char *target, const char *headers)
{
    char request[1000];
    struct err err = {""};
    struct query *query = query_open(directory, &err);

    CHECK_CASE(query != NULL, err.text);
    (void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", target,
                   headers);
    testing_ask(t, query, LISTEN_UNIX, str_from(request), 1, NULL, 0);
}

static size_t count(const struct testing *t, const char *part)
{
    struct str text = buf_str(&t->got);
    size_t found = 0;
    const char *at;

    while ((at = memmem(text.data, text.len, part, strlen(part))) != NULL) {
        found++;
        text = str_slice(text, (size_t)(at - text.data) + 1, text.len);
    }
    return found;
}

static void test_json(const char *directory)
{
    static const struct {
        const char *target;
        size_t rows;
        const char *next; /* NULL: none */
    } cases[] = {
        {"/v1/audit", 100, "\"a1102\""},
        {"/v1/audit?limit=1000", 1000, "\"a202\""},
        {"/v1/audit?limit=1000&cursor=a202", 201, NULL},
        {"/v1/audit?limit=3&cursor=a4", 3, NULL},
        {"/v1/audit?verdict=denied&limit=1000", 120, NULL},
        {"/v1/audit?key=key_b&verdict=denied&limit=1000", 0, NULL},
        {"/v1/audit?key=key_a&event=settled", 1, NULL},
        {"/v1/audit?run=run-9&limit=1000&until=2026-11-20T00:00:05Z", 2, NULL},
        {"/v1/audit?tenant=acme&since=2026-11-20T00:19:59Z", 2, NULL},
        {"/v1/audit?label=b/&limit=2", 2, "\"a1197\""},
        {"/v1/audit?vendor=other", 0, NULL},
        {"/v1/audit?since=2026-11-21", 0, NULL},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct testing t;
        ask(&t, directory, cases[i].target, "");
        CHECK_CASE(testing_status(&t) == 200, cases[i].target);
        CHECK_CASE(count(&t, "{\"sequence\":") == cases[i].rows, cases[i].target);
        CHECK_CASE(testing_says(&t, "\"next_cursor\":null}") == (cases[i].next == NULL),
                   cases[i].target);
        CHECK_CASE(cases[i].next == NULL || testing_says(&t, cases[i].next), cases[i].target);
        testing_end(&t);
    }
}

static void test_exports(const char *directory)
{
    struct testing t;

    ask(&t, directory, "/v1/audit?format=jsonl", "");
    CHECK(testing_says(&t, "application/x-ndjson"));
    CHECK(count(&t, "{\"sequence\":") == ROWS + 1 && count(&t, "}\n") == ROWS + 1);
    CHECK(count(&t, "\"amount_minor\":250,\"currency\":\"usd\"") == ROWS);
    CHECK(count(&t, "\"amount_minor\":null") == 1);
    testing_end(&t);
    ask(&t, directory, "/v1/audit?format=csv&limit=4", "");
    CHECK(testing_says(&t, "text/csv") && count(&t, "sequence,at,event") == 1);
    CHECK(count(&t, ",\"'=cmd(\"\"x\"\"),1\",") == 3); /* all but row 1199 */
    CHECK(count(&t, "\r\n1") == 4 && testing_says(&t, ",0.00,2.50,"));
    testing_end(&t);
    /* 1.0: no chunks, and the connection ends. */
    char old[] = "GET /v1/audit?format=jsonl&limit=2 HTTP/1.0\r\nHost: localhost\r\n\r\n";
    struct err err;
    testing_ask(&t, query_open(directory, &err), LISTEN_UNIX, str_from(old), 9, NULL, 0);
    CHECK(t.closed && count(&t, "{\"sequence\":") == 2 && !testing_says(&t, "chunked"));
    testing_end(&t);
}

static void test_spend(const char *directory)
{
    static const struct {
        const char *target, *says;
    } cases[] = {
        {"/v1/spend", "{\"data\":[{\"vendor\":\"shop\",\"spent_usd\":\"2.50\",\"count\":1200,"
                      "\"denied\":120}],\"next_cursor\":null}"},
        {"/v1/spend?group_by=key", "{\"key\":\"key_a\",\"label\":\"=cmd(\\\"x\\\"),1\","
                                   "\"spent_usd\":\"2.50\",\"count\":600,\"denied\":120}"},
        {"/v1/spend?group_by=run", "{\"run\":\"run-9\",\"spent_usd\":\"2.50\""},
        {"/v1/spend?group_by=tenant", "{\"tenant\":\"acme\",\"spent_usd\":\"2.50\""},
        {"/v1/spend?group_by=day&since=2026-11-20&until=2026-11-20",
         "{\"day\":\"2026-11-20\",\"spent_usd\":\"2.50\""},
        {"/v1/spend?group_by=class", "{\"class\":\"write\",\"spent_usd\":\"2.50\""},
        {"/v1/spend?group_by=label&limit=1", "\"next_cursor\":\"s1\"}"},
        {"/v1/spend?since=2026-11-21", "{\"data\":[],\"next_cursor\":null}"},
        {"/v1/spend?group_by=key&format=csv", "key,label,spent_usd,count,denied\r\n"
                                              "key_a,\"'=cmd(\"\"x\"\"),1\",2.50,600,120\r\n"},
        {"/v1/spend?group_by=vendor&format=jsonl", "\"denied\":120}\n"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct testing t;
        ask(&t, directory, cases[i].target, "");
        CHECK_CASE(testing_status(&t) == 200, cases[i].target);
        CHECK_CASE(testing_says(&t, cases[i].says), cases[i].target);
        testing_end(&t);
    }
}

static void test_times(void)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } cases[] = {
        {"2026-11-20T00:00:00Z", DAY},
        {"2026-11-20", DAY},
        {"2h", DAY - 7200000},
        {"1d", DAY - 86400000},
        {"", -1},
        {"now", -1},
        {"2026-13-01", -1},
        {"-1h", -1},
        {"999999999d", -1},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t ms = -1;
        struct err err = {""};
        int rc = times_parse(str_from(cases[i].text), "since", DAY, &ms, &err);
        CHECK_CASE((rc == 0) == (cases[i].ms != -1) && ms == cases[i].ms, cases[i].text);
    }
}

int main(void)
{
    char *directory = test_directory_new();

    digest_setup();
    json_alloc_setup();
    fill(directory);
    test_json(directory);
    test_exports(directory);
    test_spend(directory);
    test_times();
    test_directory_free(directory);
    return test_done();
}
