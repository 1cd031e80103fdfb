/* SPDX-License-Identifier: Apache-2.0 */
#include "store/query.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "store/db.h"
#include "store/row.h"
#include "store/trail.h"

enum {
    KEYS_MAX = 64,       /* so many keys are looked up one by one, more by reading every row */
    CLOCK_EVERY = 32,    /* rows between two looks at the clock */
    PROGRESS_OPS = 4000, /* of SQLite's machine, between two looks */
};

struct query {
    sqlite3 *db;
    struct trail *trail;
    sqlite3_stmt *begin, *end;
    sqlite3_stmt *key_by_number, *keys_by_id, *keys_by_run, *keys_by_label, *keys_by_tenant;
    sqlite3_stmt *meta, *hold, *sums[QUERY_GROUP_COUNT];
    uint64_t deadline_us;
};

/* ---- opening ---- */

#define KEY_COLUMNS "SELECT key, id, label, tenant, run_id FROM keys WHERE "

#define SUMS(group, label, order)                                                                  \
    "SELECT " group ", " label ", sum(posted), sum(requests), sum(denied)"                         \
    " FROM spend LEFT JOIN keys USING (key)"                                                       \
    " WHERE day BETWEEN ?1 AND ?2 AND (?3 = '' OR keys.id = ?3)"                                   \
    " AND (?4 = '' OR substr(keys.label, 1, length(?4)) = ?4)"                                     \
    " AND (?5 = '' OR keys.run_id = ?5) AND (?6 = '' OR keys.tenant = ?6)"                         \
    " AND (?7 = '' OR spend.vendor = ?7)"                                                          \
    " GROUP BY " group " ORDER BY " order " LIMIT ?8 OFFSET ?9"
#define MOST_FIRST "sum(posted) DESC, sum(requests) DESC, 1"

static const char *const sum_texts[QUERY_GROUP_COUNT] = {
    [QUERY_BY_KEY] = SUMS("ifnull(keys.id, '')", "keys.label", MOST_FIRST),
    [QUERY_BY_LABEL] = SUMS("ifnull(keys.label, '')", "''", MOST_FIRST),
    [QUERY_BY_RUN] = SUMS("ifnull(keys.run_id, '')", "''", MOST_FIRST),
    [QUERY_BY_TENANT] = SUMS("ifnull(keys.tenant, '')", "''", MOST_FIRST),
    [QUERY_BY_VENDOR] = SUMS("spend.vendor", "''", MOST_FIRST),
    [QUERY_BY_DAY] = SUMS("day", "''", "day DESC"),
    [QUERY_BY_CLASS] = SUMS("operation_class", "''", MOST_FIRST),
};

static int prepare(struct query *query, struct err *err)
{
    const struct {
        sqlite3_stmt **statement;
        const char *text;
    } wanted[] = {
        {&query->begin, "BEGIN"},
        {&query->end, "COMMIT"},
        {&query->key_by_number, KEY_COLUMNS "key = ?1"},
        {&query->keys_by_id, KEY_COLUMNS "id = ?1"},
        {&query->keys_by_run, KEY_COLUMNS "run_id = ?1 AND run_id != '' ORDER BY key DESC"},
        {&query->keys_by_label, KEY_COLUMNS "label >= ?1 AND label != '' ORDER BY label"},
        {&query->keys_by_tenant, KEY_COLUMNS "tenant = ?1 AND tenant != '' ORDER BY key DESC"},
        {&query->meta, "SELECT value FROM meta WHERE name = ?1"},
        {&query->hold, "SELECT * FROM holds WHERE hold = ?1"},
    };

    query->trail = trail_open(query->db, err);
    if (query->trail == NULL) {
        return -1;
    }
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        *wanted[i].statement = db_prepare(query->db, wanted[i].text, err);
        if (*wanted[i].statement == NULL) {
            return -1;
        }
    }
    for (size_t i = 0; i < QUERY_GROUP_COUNT; i++) {
        query->sums[i] = db_prepare(query->db, sum_texts[i], err);
        if (query->sums[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

static int give_up_when_late(void *ctx)
{
    const struct query *query = ctx;
    return clock_boot_us() > query->deadline_us;
}

struct query *query_open(const char *data_dir, struct err *err)
{
    struct query *query = mem_zeroed(sizeof(*query));
    char *path = db_path(data_dir, err);
    uint64_t sequence;
    struct digest head;

    query->deadline_us = UINT64_MAX;
    if (path == NULL || (query->db = db_open(path, DB_READ, err)) == NULL ||
        prepare(query, err) < 0 || query_head(query, &sequence, &head, err) < 0) {
        query_close(query);
        query = NULL;
    }
    free(path);
    return query;
}

void query_close(struct query *query)
{
    if (query == NULL) {
        return;
    }
    trail_close(query->trail);
    sqlite3_stmt *statement;
    while (query->db != NULL && (statement = sqlite3_next_stmt(query->db, NULL)) != NULL) {
        (void)sqlite3_finalize(statement);
    }
    db_close(query->db);
    free(query);
}

/* ---- read transactions ---- */

static int begin(struct query *query, uint64_t ms, struct err *err)
{
    int rc = db_step(query->db, query->begin, err);

    (void)sqlite3_reset(query->begin);
    query->deadline_us = clock_boot_us() + ms * 1000;
    return rc;
}

static void end(struct query *query)
{
    /* What a statement left open would keep the log from being folded. */
    for (sqlite3_stmt *statement = sqlite3_next_stmt(query->db, NULL); statement != NULL;
         statement = sqlite3_next_stmt(query->db, statement)) {
        (void)sqlite3_reset(statement);
    }
    query->deadline_us = UINT64_MAX;
    (void)sqlite3_step(query->end);
    (void)sqlite3_reset(query->end);
}

static bool is_late(const struct query *query)
{
    return clock_boot_us() > query->deadline_us;
}

static void bind_text(sqlite3_stmt *statement, int at, struct str text)
{
    (void)sqlite3_bind_text(statement, at, text.len == 0 ? "" : text.data, (int)text.len,
                            SQLITE_STATIC);
}

/* ---- the audit ---- */

/* One page on its way. */
struct page {
    struct query *query;
    const struct query_audit *filter;
    void (*row)(void *ctx, const struct query_row *row);
    void *ctx;
    uint64_t low, high; /* sequences: low <= s < high */
    size_t count, limit;
    uint64_t next; /* the last one looked at: a next page goes on below it */
    bool full;     /* enough rows, or time is up */
    bool by_key;   /* keys[] are all that match, and the filter asks for keys */
    struct {
        uint64_t key, first, last; /* the newest block with rows of it; 0: none any more */
    } keys[KEYS_MAX];
    size_t key_count;
    uint64_t named; /* the key that key_by_number stands at; 0: none */
    bool is_named;  /* and it was found */
};

static bool wants_keys(const struct query_audit *filter)
{
    return filter->key_id.len > 0 || filter->label_prefix.len > 0 || filter->run_id.len > 0 ||
           filter->tenant.len > 0;
}

/* Of a statement with KEY_COLUMNS. */
static bool key_matches(const struct query_audit *filter, sqlite3_stmt *key)
{
    return (filter->key_id.len == 0 || str_equal(filter->key_id, row_text(key, 1))) &&
           str_starts(row_text(key, 2), filter->label_prefix) &&
           (filter->tenant.len == 0 || str_equal(filter->tenant, row_text(key, 3))) &&
           (filter->run_id.len == 0 || str_equal(filter->run_id, row_text(key, 4)));
}

/* Sets page->by_key when the keys asked for are few. */
static int gather_keys(struct page *page, struct err *err)
{
    const struct query_audit *filter = page->filter;
    struct query *query = page->query;
    bool by_label = false;
    sqlite3_stmt *keys;
    int rc;

    if (filter->key_id.len > 0) {
        keys = query->keys_by_id;
        bind_text(keys, 1, filter->key_id);
    } else if (filter->run_id.len > 0) {
        keys = query->keys_by_run;
        bind_text(keys, 1, filter->run_id);
    } else if (filter->label_prefix.len > 0) {
        by_label = true;
        keys = query->keys_by_label;
        bind_text(keys, 1, filter->label_prefix);
    } else {
        keys = query->keys_by_tenant;
        bind_text(keys, 1, filter->tenant);
    }
    page->by_key = true;
    while ((rc = db_step(query->db, keys, err)) == 1) {
        if (by_label && !str_starts(row_text(keys, 2), filter->label_prefix)) {
            rc = 0; /* in the order of labels: all others are beyond it */
            break;
        }
        if (!key_matches(filter, keys)) {
            continue;
        }
        if (page->key_count == KEYS_MAX || is_late(query)) {
            page->by_key = false;
            rc = 0;
            break;
        }
        page->keys[page->key_count++].key = (uint64_t)sqlite3_column_int64(keys, 0);
    }
    (void)sqlite3_reset(keys);
    return rc;
}

static int set_range(struct page *page, struct err *err)
{
    const struct query_audit *filter = page->filter;
    uint64_t until;

    page->low = 1;
    page->high = filter->before == 0 ? INT64_MAX : filter->before;
    if (filter->since_ms > 0 &&
        trail_find_time(page->query->trail, filter->since_ms, &page->low, err) < 0) {
        return -1;
    }
    if (filter->until_ms > 0) {
        if (trail_find_time(page->query->trail, filter->until_ms, &until, err) < 0) {
            return -1;
        }
        page->high = until < page->high ? until : page->high;
    }
    return 0;
}

/* Brings key_by_number to the key of a row. */
static int name_key(struct page *page, uint64_t key, struct err *err)
{
    sqlite3_stmt *names = page->query->key_by_number;

    if (key == page->named) {
        return 0;
    }
    page->named = key;
    page->is_named = false;
    (void)sqlite3_reset(names);
    if (key == 0) {
        return 0;
    }
    (void)sqlite3_bind_int64(names, 1, (int64_t)key);
    int rc = db_step(page->query->db, names, err);
    page->is_named = rc == 1;
    return rc < 0 ? -1 : 0;
}

static bool row_matches(const struct query_audit *filter, const struct message_row_audit *row)
{
    return (filter->vendor.len == 0 || str_equal(filter->vendor, row->vendor)) &&
           (filter->verdict.len == 0 || str_equal(filter->verdict, row->verdict)) &&
           (!filter->has_event || row->event == filter->event);
}

/* Gives the row out if it is asked for. */
static int take_row(struct page *page, const struct trail_row *row, struct err *err)
{
    sqlite3_stmt *names = page->query->key_by_number;

    if (!row->readable) {
        return err_set(err, "row %llu of the audit is damaged: run keybrake audit verify",
                       (unsigned long long)row->sequence);
    }
    if (!row_matches(page->filter, &row->audit)) {
        return 0;
    }
    if (name_key(page, row->audit.key, err) < 0) {
        return -1;
    }
    if (wants_keys(page->filter) && (!page->is_named || !key_matches(page->filter, names))) {
        return 0;
    }
    struct query_row out = {.audit = &row->audit};
    if (page->is_named) {
        out.key_id = row_text(names, 1);
        out.label = row_text(names, 2);
        out.tenant = row_text(names, 3);
        out.run_id = row_text(names, 4);
    }
    page->row(page->ctx, &out);
    page->count++;
    page->full = page->count == page->limit;
    return 0;
}

static int read_all_keys(struct page *page, struct err *err)
{
    uint64_t before = page->high;
    struct trail_row row;
    unsigned looked = 0;
    int rc = 0;

    while (!page->full && (rc = trail_below(page->query->trail, before, &row, err)) == 1 &&
           row.sequence >= page->low) {
        page->next = before = row.sequence;
        if (take_row(page, &row, err) < 0) {
            return -1;
        }
        if (++looked % CLOCK_EVERY == 0 && is_late(page->query)) {
            page->full = true;
        }
    }
    return rc < 0 ? -1 : 0;
}

static int find_block_of(struct page *page, size_t i, uint64_t below, struct err *err)
{
    int rc = trail_block_of_key(page->query->trail, page->keys[i].key, below, &page->keys[i].first,
                                &page->keys[i].last, err);

    if (rc == 0 || (rc == 1 && page->keys[i].last < page->low)) {
        page->keys[i].first = 0;
    }
    return rc < 0 ? -1 : 0;
}

static bool is_of_page(const struct page *page, uint64_t key)
{
    size_t i = 0;

    while (i < page->key_count && page->keys[i].key != key) {
        i++;
    }
    return i < page->key_count;
}

/* The rows of one block below *before, down to its first. */
static int read_block(struct page *page, uint64_t first, uint64_t *before, struct err *err)
{
    uint64_t least = first > page->low ? first : page->low;
    struct trail_row row;
    int rc = 0;

    while (!page->full && (rc = trail_below(page->query->trail, *before, &row, err)) == 1 &&
           row.sequence >= least) {
        page->next = *before = row.sequence;
        if ((!row.readable || is_of_page(page, row.audit.key)) && take_row(page, &row, err) < 0) {
            return -1;
        }
    }
    return rc < 0 ? -1 : 0;
}

/* Only the blocks that have rows of these keys, the newest first. */
static int read_few_keys(struct page *page, struct err *err)
{
    uint64_t before = page->high;

    for (size_t i = 0; i < page->key_count; i++) {
        if (find_block_of(page, i, page->high, err) < 0) {
            return -1;
        }
    }
    while (!page->full) {
        size_t newest = 0;
        for (size_t i = 1; i < page->key_count; i++) {
            newest = page->keys[i].first > page->keys[newest].first ? i : newest;
        }
        uint64_t first = page->key_count == 0 ? 0 : page->keys[newest].first;
        if (first == 0) {
            return 0;
        }
        before = before > page->keys[newest].last ? page->keys[newest].last + 1 : before;
        if (read_block(page, first, &before, err) < 0) {
            return -1;
        }
        for (size_t i = 0; i < page->key_count; i++) {
            if (page->keys[i].first == first && find_block_of(page, i, first, err) < 0) {
                return -1;
            }
        }
        page->full = page->full || is_late(page->query);
    }
    return 0;
}

static int read_page(struct page *page, struct err *err)
{
    if (set_range(page, err) < 0) {
        return -1;
    }
    if (wants_keys(page->filter) && gather_keys(page, err) < 0) {
        return -1;
    }
    return page->by_key ? read_few_keys(page, err) : read_all_keys(page, err);
}

int query_audit(struct query *query, const struct query_audit *filter,
                void (*row)(void *ctx, const struct query_row *row), void *ctx, uint64_t *ret_next,
                struct err *err)
{
    struct page page = {.query = query, .filter = filter, .row = row, .ctx = ctx};

    page.limit = filter->limit < LIMIT_DB_PAGE_ROWS ? filter->limit : LIMIT_DB_PAGE_ROWS;
    page.full = page.limit == 0;
    if (begin(query, LIMIT_DB_READ_MS, err) < 0) {
        return -1;
    }
    int rc = read_page(&page, err);
    end(query);
    if (rc == 0) {
        *ret_next = page.full && page.next > page.low ? page.next : 0;
    }
    return rc;
}

/* ---- the spend ---- */

static void bind_spend(sqlite3_stmt *sums, const struct query_spend *filter)
{
    (void)sqlite3_bind_int64(sums, 1, filter->since_day);
    (void)sqlite3_bind_int64(sums, 2, filter->until_day);
    bind_text(sums, 3, filter->key_id);
    bind_text(sums, 4, filter->label_prefix);
    bind_text(sums, 5, filter->run_id);
    bind_text(sums, 6, filter->tenant);
    bind_text(sums, 7, filter->vendor);
    (void)sqlite3_bind_int64(sums, 8, (int64_t)filter->limit + 1); /* one to see whether more */
    (void)sqlite3_bind_int64(sums, 9, (int64_t)filter->skip);
}

int query_spend(struct query *query, const struct query_spend *filter,
                void (*row)(void *ctx, const struct query_sum *sum), void *ctx, bool *ret_more,
                struct err *err)
{
    sqlite3_stmt *sums = query->sums[filter->group];
    struct clock_text day;
    size_t count = 0;
    int rc;

    if (begin(query, QUERY_SPEND_MS, err) < 0) {
        return -1;
    }
    bind_spend(sums, filter);
    sqlite3_progress_handler(query->db, PROGRESS_OPS, give_up_when_late, query);
    while ((rc = db_step(query->db, sums, err)) == 1 && count < filter->limit) {
        struct query_sum sum = {.group = row_text(sums, 0),
                                .label = row_text(sums, 1),
                                .posted = sqlite3_column_int64(sums, 2),
                                .requests = sqlite3_column_int64(sums, 3),
                                .denied = sqlite3_column_int64(sums, 4)};
        if (filter->group == QUERY_BY_DAY) {
            day = clock_day_text(sqlite3_column_int64(sums, 0));
            sum.group = str_from(day.text);
        }
        row(ctx, &sum);
        count++;
    }
    if (rc < 0 && sqlite3_errcode(query->db) == SQLITE_INTERRUPT) {
        err_set(err, "that is more than can be added up in one answer: ask for fewer days");
    }
    sqlite3_progress_handler(query->db, 0, NULL, NULL);
    end(query);
    if (rc < 0) {
        return -1;
    }
    *ret_more = rc == 1;
    return 0;
}

/* ---- the rest ---- */

int query_meta(struct query *query, struct str name, struct buf *out, bool *ret_found,
               struct err *err)
{
    bind_text(query->meta, 1, name);
    int rc = db_step(query->db, query->meta, err);
    if (rc == 1 && !buf_add_str(out, row_text(query->meta, 0))) {
        rc = err_set(err, "the value of %.*s is longer than expected", STR_FMT(name));
    }
    (void)sqlite3_reset(query->meta);
    if (rc < 0) {
        return -1;
    }
    *ret_found = rc == 1;
    return 0;
}

int query_hold(struct query *query, uint64_t number, struct buf *out, struct err *err)
{
    const struct wire_schema *schema = message_schema(MESSAGE_ROW_HOLD);
    struct message_row_hold row;
    int rc;

    (void)sqlite3_bind_int64(query->hold, 1, (int64_t)number);
    rc = db_step(query->db, query->hold, err);
    if (rc == 1 && (!row_read(query->hold, schema, &row) || !wire_encode(schema, &row, out))) {
        rc = err_set(err, "the row of the hold cannot be read");
    }
    (void)sqlite3_reset(query->hold);
    return rc < 0 ? -1 : 0;
}

int query_head(struct query *query, uint64_t *ret_sequence, struct digest *ret_head,
               struct err *err)
{
    struct trail_row last;
    int rc = trail_below(query->trail, INT64_MAX, &last, err);

    if (rc < 0) {
        return -1;
    }
    *ret_sequence = rc == 1 ? last.sequence : 0;
    *ret_head = rc == 1 && last.readable ? last.audit.hash : (struct digest){{0}};
    return 0;
}
