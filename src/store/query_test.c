/* SPDX-License-Identifier: Apache-2.0 */
#include "store/query.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/test.h"
#include "store/store.h"

enum { ROWS = 1000, START_MS = 1000000, STEP_MS = 10 };

static void put(struct store *store, enum message_type type, const void *row)
{
    struct err err = {""};
    CHECK_CASE(store_put(store, type, row, &err) == STORE_DONE, err.text);
}

static void put_key(struct store *store, uint64_t key, const char *id, const char *label,
                    const char *tenant, const char *run)
{
    struct message_row_key row = {.key = key,
                                  .id = str_from(id),
                                  .label = str_from(label),
                                  .tenant = str_from(tenant),
                                  .run_id = str_from(run)};
    put(store, MESSAGE_ROW_KEY, &row);
}

static struct store *make_store(const char *dir)
{
    struct message_row_meta meta = {STR("salt"), STR("abc")};
    struct store_seed seed = {.metas = &meta, .meta_count = 1};
    struct err err = {""};

    CHECK_CASE(store_create(dir, &seed, &err) == 0, err.text);
    struct store *store = store_open(dir, 0, &err);
    CHECK_CASE(store != NULL, err.text);
    return store;
}

/* Row s belongs to key s % 5 (0: none), of vendor stripe or, every third, twilio; every fourth was
 * denied, every tenth is a settlement of 100. */
static void put_rows(struct store *store, uint64_t from, uint64_t to)
{
    for (uint64_t s = from; s <= to; s++) {
        struct message_row_audit row = {.sequence = s,
                                        .hash = {{1}},
                                        .event = s % 10 == 0 ? AUDIT_SETTLED : AUDIT_REQUEST,
                                        .at_ms = START_MS + (int64_t)s * STEP_MS,
                                        .key = s % 5,
                                        .vendor = s % 3 == 0 ? STR("twilio") : STR("stripe"),
                                        .operation_class = s % 2 == 0 ? STR("pay") : STR("read"),
                                        .verdict = s % 4 == 0 ? STR("denied") : STR("allowed"),
                                        .settled = s % 10 == 0 ? 100 : 0};
        put(store, MESSAGE_ROW_AUDIT, &row);
    }
}

static char *make_log(void)
{
    char *dir = test_directory_new();
    struct store *store = make_store(dir);
    struct err err = {""};

    put_key(store, 1, "key_1", "agent/a", "acme", "run-1");
    put_key(store, 2, "key_2", "agent/b", "acme", "run-2");
    put_key(store, 3, "key_3", "agent", "", "run-1");
    put_key(store, 4, "key_4", "other", "bolt", "");
    put_rows(store, 1, ROWS);
    CHECK_CASE(store_commit(store, &err) == STORE_DONE, err.text);
    store_close(store);
    return dir;
}

struct found {
    size_t count;
    uint64_t newest, oldest;
    bool ordered, named;
};

static void on_row(void *ctx, const struct query_row *row)
{
    struct found *found = ctx;
    uint64_t sequence = row->audit->sequence;
    char id[16];

    if (found->count == 0) {
        found->newest = sequence;
        found->ordered = found->named = true;
    } else {
        found->ordered = found->ordered && sequence < found->oldest;
    }
    found->oldest = sequence;
    found->count++;
    (void)snprintf(id, sizeof(id), "key_%llu", (unsigned long long)row->audit->key);
    bool right = row->audit->key == 0 ? row->key_id.len == 0 && row->label.len == 0
                                      : str_equal(row->key_id, str_from(id)) && row->label.len > 0;
    found->named = found->named && right;
}

/* All pages of a filter. */
static struct found read_all(struct query *query, struct query_audit filter)
{
    struct found found = {0};
    struct err err = {""};
    uint64_t next = 0;
    unsigned pages = 0;

    do {
        filter.before = next;
        size_t before = found.count;
        CHECK_CASE(query_audit(query, &filter, on_row, &found, &next, &err) == 0, err.text);
        CHECK(found.count - before <= LIMIT_DB_PAGE_ROWS);
        pages++;
    } while (next != 0 && pages < 10000);
    CHECK(next == 0);
    return found;
}

static size_t count_where(bool (*wanted)(uint64_t sequence))
{
    size_t count = 0;

    for (uint64_t s = 1; s <= ROWS; s++) {
        count += wanted(s);
    }
    return count;
}

static bool any(uint64_t s)
{
    return s > 0;
}
static bool of_key_2(uint64_t s)
{
    return s % 5 == 2;
}
static bool of_agents(uint64_t s)
{
    return s % 5 >= 1 && s % 5 <= 3;
}
static bool of_agents_below(uint64_t s)
{
    return s % 5 == 1 || s % 5 == 2;
}
static bool of_run_1(uint64_t s)
{
    return s % 5 == 1 || s % 5 == 3;
}
static bool of_bolt(uint64_t s)
{
    return s % 5 == 4;
}
static bool of_twilio(uint64_t s)
{
    return s % 3 == 0;
}
static bool denied(uint64_t s)
{
    return s % 4 == 0;
}
static bool settled(uint64_t s)
{
    return s % 10 == 0;
}
static bool key_2_twilio_denied(uint64_t s)
{
    return of_key_2(s) && of_twilio(s) && denied(s);
}
static bool acme_run_1(uint64_t s)
{
    return s % 5 == 1;
}
static bool from_500(uint64_t s)
{
    return s >= 500;
}
static bool below_500(uint64_t s)
{
    return s < 500;
}
static bool middle_of_key_2(uint64_t s)
{
    return s >= 300 && s < 500 && of_key_2(s);
}
static bool nothing(uint64_t s)
{
    return s == 0;
}

static void test_filters(void)
{
    const int64_t at_500 = START_MS + 500 * STEP_MS, at_300 = START_MS + 300 * STEP_MS;
    const struct {
        const char *name;
        struct query_audit filter;
        bool (*wanted)(uint64_t sequence);
    } cases[] = {
        {"all", {.limit = 500}, any},
        {"pages of one", {.limit = 1}, any},
        {"pages of seven", {.limit = 7}, any},
        {"pages too large", {.limit = 100000}, any},
        {"key", {.key_id = STR("key_2"), .limit = 30}, of_key_2},
        {"key, one page", {.key_id = STR("key_2"), .limit = 500}, of_key_2},
        {"label prefix", {.label_prefix = STR("agent"), .limit = 30}, of_agents},
        {"label prefix 2", {.label_prefix = STR("agent/"), .limit = 30}, of_agents_below},
        {"run", {.run_id = STR("run-1"), .limit = 30}, of_run_1},
        {"tenant", {.tenant = STR("bolt"), .limit = 30}, of_bolt},
        {"vendor", {.vendor = STR("twilio"), .limit = 30}, of_twilio},
        {"verdict", {.verdict = STR("denied"), .limit = 30}, denied},
        {"event", {.has_event = true, .event = AUDIT_SETTLED, .limit = 30}, settled},
        {"three",
         {.key_id = STR("key_2"), .vendor = STR("twilio"), .verdict = STR("denied"), .limit = 2},
         key_2_twilio_denied},
        {"run and tenant", {.run_id = STR("run-1"), .tenant = STR("acme"), .limit = 9}, acme_run_1},
        {"since", {.since_ms = at_500, .limit = 100}, from_500},
        {"since, between two", {.since_ms = at_500 - 3, .limit = 100}, from_500},
        {"until", {.until_ms = at_500, .limit = 100}, below_500},
        {"between",
         {.since_ms = at_300, .until_ms = at_500, .key_id = STR("key_2"), .limit = 7},
         middle_of_key_2},
        {"nobody's key", {.key_id = STR("key_9"), .limit = 9}, nothing},
        {"no such label", {.label_prefix = STR("agentx"), .limit = 9}, nothing},
        {"no such verdict", {.verdict = STR("x"), .limit = 9}, nothing},
        {"after the end", {.since_ms = START_MS * 10, .limit = 9}, nothing},
        {"before the start", {.until_ms = START_MS, .limit = 9}, nothing},
        {"upside down", {.since_ms = at_500, .until_ms = at_300, .limit = 9}, nothing},
        {"injection", {.key_id = STR("' OR 1=1 --"), .limit = 9}, nothing},
    };
    char *dir = make_log();
    struct err err = {""};
    struct query *query = query_open(dir, &err);

    CHECK_CASE(query != NULL, err.text);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct found found = read_all(query, cases[i].filter);
        CHECK_CASE(found.count == count_where(cases[i].wanted), cases[i].name);
        CHECK_CASE(found.count == 0 || (found.ordered && found.named), cases[i].name);
        CHECK_CASE(found.count == 0 ||
                       (cases[i].wanted(found.newest) && cases[i].wanted(found.oldest)),
                   cases[i].name);
    }
    query_close(query);
    test_directory_free(dir);
}

/* A tenant of more keys than are followed one by one. */
static void test_many_keys(void)
{
    char *dir = test_directory_new();
    struct store *store = make_store(dir);
    struct err err = {""};
    char id[16], label[16];

    for (uint64_t i = 1; i <= 300; i++) {
        (void)snprintf(id, sizeof(id), "key_%llu", (unsigned long long)i);
        (void)snprintf(label, sizeof(label), "l%llu", (unsigned long long)i % 2);
        put_key(store, i, id, label, "acme", "");
        struct message_row_audit row = {
            .sequence = i, .hash = {{1}}, .key = i, .at_ms = (int64_t)i};
        put(store, MESSAGE_ROW_AUDIT, &row);
    }
    CHECK(store_commit(store, &err) == STORE_DONE);
    struct query *query = query_open(dir, &err);
    CHECK_CASE(query != NULL, err.text);
    CHECK(read_all(query, (struct query_audit){.tenant = STR("acme"), .limit = 50}).count == 300);
    CHECK(read_all(query, (struct query_audit){.label_prefix = STR("l1"), .limit = 50}).count ==
          150);
    CHECK(read_all(query, (struct query_audit){.label_prefix = STR("l"), .limit = 500}).count ==
          300);
    query_close(query);
    store_close(store);
    test_directory_free(dir);
}

/* Rows that come in between two pages do not disturb; a reader does not hold up the writer. */
static void test_beside_writer(void)
{
    char *dir = test_directory_new();
    struct store *store = make_store(dir);
    struct err err = {""};
    struct query *query = query_open(dir, &err); /* before the first row */
    struct query_audit filter = {.limit = 10};
    struct found found = {0};
    uint64_t next;

    CHECK_CASE(query != NULL, err.text);
    CHECK(query_audit(query, &filter, on_row, &found, &next, &err) == 0);
    CHECK(found.count == 0 && next == 0);
    put_key(store, 1, "key_1", "a", "", "");
    put_key(store, 2, "key_2", "a", "", "");
    put_key(store, 3, "key_3", "a", "", "");
    put_key(store, 4, "key_4", "a", "", "");
    put_rows(store, 1, 20);
    CHECK(query_audit(query, &filter, on_row, &found, &next, &err) == 0 && found.count == 0);
    CHECK(store_commit(store, &err) == STORE_DONE);
    CHECK(query_audit(query, &filter, on_row, &found, &next, &err) == 0);
    CHECK(found.count == 10 && found.newest == 20 && next == 11);
    put_rows(store, 21, 40);
    CHECK(store_commit(store, &err) == STORE_DONE);
    CHECK(store_checkpoint(store, &err) == STORE_DONE && store_log_bytes(store) == 0);
    filter.before = next;
    found.count = 0;
    CHECK(query_audit(query, &filter, on_row, &found, &next, &err) == 0);
    CHECK(found.count == 10 && found.newest == 10 && found.oldest == 1);
    query_close(query);
    store_close(store);
    test_directory_free(dir);
}

/* ---- the spend ---- */

struct sums {
    char text[512];
};

static void on_sum(void *ctx, const struct query_sum *sum)
{
    struct sums *sums = ctx;
    size_t len = strlen(sums->text);

    (void)snprintf(sums->text + len, sizeof(sums->text) - len, "%.*s=%lld/%lld/%lld ",
                   STR_FMT(sum->group), (long long)sum->posted, (long long)sum->requests,
                   (long long)sum->denied);
}

static void test_spend(void)
{
    const struct {
        struct query_spend filter;
        const char *sums;
        bool more;
    } cases[] = {
        {{.group = QUERY_BY_VENDOR, .limit = 10}, "stripe=6700/600/133 twilio=3300/300/67 ", false},
        {{.group = QUERY_BY_CLASS, .limit = 10}, "pay=10000/400/200 read=0/500/0 ", false},
        {{.group = QUERY_BY_DAY, .limit = 10}, "1970-01-01=10000/900/200 ", false},
        {{.group = QUERY_BY_KEY, .limit = 10, .tenant = STR("acme")},
         "key_1=0/200/50 key_2=0/200/50 ",
         false},
        {{.group = QUERY_BY_LABEL, .limit = 10, .label_prefix = STR("agent/")},
         "agent/a=0/200/50 agent/b=0/200/50 ",
         false},
        {{.group = QUERY_BY_RUN, .limit = 1}, "=10000/300/50 ", true},
        {{.group = QUERY_BY_RUN, .limit = 2, .skip = 1}, "run-1=0/400/100 run-2=0/200/50 ", false},
        {{.group = QUERY_BY_TENANT, .limit = 10, .run_id = STR("run-1")},
         "=0/200/50 acme=0/200/50 ",
         false},
        {{.group = QUERY_BY_VENDOR, .limit = 10, .vendor = STR("twilio")},
         "twilio=3300/300/67 ",
         false},
        {{.group = QUERY_BY_VENDOR, .limit = 10, .key_id = STR("key_9")}, "", false},
        {{.group = QUERY_BY_VENDOR, .limit = 10, .since_day = 1}, "", false},
    };
    char *dir = make_log();
    struct err err = {""};
    struct query *query = query_open(dir, &err);

    CHECK_CASE(query != NULL, err.text);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct query_spend filter = cases[i].filter;
        struct sums sums = {""};
        bool more = !cases[i].more;
        filter.until_day = 20000;
        CHECK_CASE(query_spend(query, &filter, on_sum, &sums, &more, &err) == 0, err.text);
        CHECK_CASE(strcmp(sums.text, cases[i].sums) == 0, sums.text);
        CHECK_CASE(more == cases[i].more, cases[i].sums);
    }
    query_close(query);
    test_directory_free(dir);
}

static void test_rest(void)
{
    char *dir = make_log();
    struct err err = {""};
    struct query *query = query_open(dir, &err);
    struct digest head;
    struct buf value;
    uint64_t sequence;
    bool found;

    CHECK_CASE(query != NULL, err.text);
    buf_init(&value, 64);
    CHECK(query_meta(query, STR("salt"), &value, &found, &err) == 0 && found);
    CHECK(str_equal(buf_str(&value), STR("abc")));
    CHECK(query_meta(query, STR("pepper"), &value, &found, &err) == 0 && !found);
    CHECK(query_head(query, &sequence, &head, &err) == 0);
    CHECK(sequence == ROWS && head.bytes[0] == 1);
    buf_clear(&value);
    query_close(query);
    CHECK(query_open("/nowhere", &err) == NULL);
    test_directory_free(dir);
}

int main(void)
{
    test_filters();
    test_many_keys();
    test_beside_writer();
    test_spend();
    test_rest();
    return test_done();
}
