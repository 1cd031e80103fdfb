/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/test.h"
#include "ledger/chain.h"
#include "store/db.h"
#include "store/row.h"
#include "store/schema.h"

/* ---- a disk that fails: SQLite finds these before those of the C library ---- */

static int sync_error;
static unsigned syncs;

int fdatasync(int fd)
{
    static int (*real)(int);

    syncs++;
    if (sync_error != 0) {
        errno = sync_error;
        return -1;
    }
    if (real == NULL) {
        void *found = dlsym(RTLD_NEXT, "fdatasync");
        memcpy(&real, &found, sizeof(real));
    }
    return real(fd);
}

static int create(const char *dir, struct err *err)
{
    const struct message_row_meta metas[] = {
        {STR("signing_public_key"), STR("00ff")},
        {STR("idempotency_secret"), STR("abc")},
    };
    const struct message_row_operator admin = {
        .token = 1, .name = STR("admin"), .role = OPERATOR_ADMIN, .token_digest = {{1, 2, 3}}};
    const struct store_seed seed = {metas, 2, &admin, 1};

    return store_create(dir, &seed, err);
}

static struct store *open_new(const char *dir, uint32_t pages_max)
{
    struct err err = {""};

    CHECK_CASE(create(dir, &err) == 0, err.text);
    struct store *store = store_open(dir, pages_max, &err);
    CHECK_CASE(store != NULL, err.text);
    return store;
}

static struct store *reopen(struct store *store, const char *dir)
{
    struct err err = {""};

    store_close(store);
    store = store_open(dir, 0, &err);
    CHECK_CASE(store != NULL, err.text);
    return store;
}

static void put(struct store *store, enum message_type type, const void *row)
{
    struct err err = {""};
    CHECK_CASE(store_put(store, type, row, &err) == STORE_DONE, err.text);
}

static void commit(struct store *store)
{
    struct err err = {""};
    CHECK_CASE(store_commit(store, &err) == STORE_DONE, err.text);
}

/* ---- rows of every type, each field with something in it ---- */

struct any_row {
    union {
        struct message_row_audit audit; /* the largest */
        unsigned char bytes[sizeof(struct message_row_audit)];
    } u;
    char texts[64][40];
};

static void fill_field(const struct wire_field *field, unsigned char *at, size_t n, char *text,
                       size_t text_size)
{
    uint64_t number = 1000 + n;
    uint32_t u32 = (uint32_t)number;
    int small = field->max > 1 ? 1 : 0;
    bool flag = true;
    struct str str;

    switch (field->kind) {
    case WIRE_KIND_BOOL:
        memcpy(at, &flag, sizeof(flag));
        return;
    case WIRE_KIND_ENUM:
        memcpy(at, &small, sizeof(small));
        return;
    case WIRE_KIND_U32:
        memcpy(at, &u32, sizeof(u32));
        return;
    case WIRE_KIND_U64:
    case WIRE_KIND_I64:
        memcpy(at, &number, sizeof(number));
        return;
    case WIRE_KIND_DIGEST:
        memset(at, (int)(n + 1), DIGEST_SIZE);
        return;
    default:
        /* With a NUL and bytes that are not UTF-8 in it: they must come back as they are. */
        (void)snprintf(text, text_size, "%zu.\xff\xfe..", n);
        str = str_of(text, strlen(text) + 1);
        memcpy(at, &str, sizeof(str));
        return;
    }
}

static void fill_row(struct any_row *row, enum message_type type)
{
    const struct wire_schema *schema = message_schema(type);

    memset(row, 0, sizeof(*row));
    for (size_t i = 0; i < schema->count; i++) {
        fill_field(&schema->fields[i], row->u.bytes + schema->fields[i].offset, i, row->texts[i],
                   sizeof(row->texts[i]));
    }
}

static bool same(const struct wire_schema *schema, const void *a, const void *b)
{
    struct buf left, right;

    buf_init(&left, 1 << 20);
    buf_init(&right, 1 << 20);
    bool ok = wire_encode(schema, a, &left) && wire_encode(schema, b, &right) &&
              str_equal(buf_str(&left), buf_str(&right));
    buf_clear(&left);
    buf_clear(&right);
    return ok;
}

/* Loads everything; counts rows of `type`, and those that are the same as `wanted`. */
static int load_all(struct store *store, enum message_type type, const void *wanted, int *ret_same)
{
    struct err err = {""};
    enum message_type got;
    const void *row;
    int rc, count = 0;

    *ret_same = 0;
    while ((rc = store_load(store, &got, &row, &err)) == 1) {
        if (got == type) {
            count++;
            *ret_same += wanted != NULL && same(message_schema(type), row, wanted);
        }
    }
    CHECK_CASE(rc == 0, err.text);
    return rc == 0 ? count : -1;
}

static void test_round_trip(void)
{
    static const enum message_type types[] = {
        MESSAGE_ROW_META, MESSAGE_ROW_OPERATOR,    MESSAGE_ROW_TENANT, MESSAGE_ROW_PRICE,
        MESSAGE_ROW_STOP, MESSAGE_ROW_CREDENTIAL,  MESSAGE_ROW_KEY,    MESSAGE_ROW_WINDOW,
        MESSAGE_ROW_HOLD, MESSAGE_ROW_IDEMPOTENCY, MESSAGE_ROW_HEAD,
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        char *dir = test_directory_new();
        struct store *store = open_new(dir, 0);
        struct any_row row;
        int equal;

        fill_row(&row, types[i]);
        int before = load_all(store, types[i], NULL, &equal);
        put(store, types[i], &row);
        put(store, types[i], &row); /* the same again changes nothing */
        commit(store);
        commit(store);
        store = reopen(store, dir);
        if (types[i] == MESSAGE_ROW_CREDENTIAL) {
            /* Its box does not come with it. */
            ((struct message_row_credential *)(void *)row.u.bytes)->sealed = STR_NONE;
        }
        CHECK_CASE(load_all(store, types[i], &row, &equal) == before + 1, message_name(types[i]));
        CHECK_CASE(equal == 1, message_name(types[i]));
        store_close(store);
        test_directory_free(dir);
    }
}

/* The columns of each table are the fields of its message. */
static void test_columns(void)
{
    char *dir = test_directory_new();
    struct err err = {""};
    char sql[96];

    store_close(open_new(dir, 0));
    char *path = db_path(dir, &err);
    sqlite3 *db = db_open(path, DB_READ, &err);
    CHECK_CASE(db != NULL, err.text);
    for (size_t i = 0; i < schema_row_count; i++) {
        const struct schema_row *row = &schema_rows[i];
        const struct wire_schema *schema = message_schema(row->type);
        sqlite3_stmt *put_row = db_prepare(db, row->put, &err);
        CHECK_CASE(put_row != NULL, err.text);
        CHECK_CASE(sqlite3_bind_parameter_count(put_row) == (int)schema->count + row->checksum,
                   row->table);
        (void)sqlite3_finalize(put_row);
        (void)snprintf(sql, sizeof(sql), "SELECT name FROM pragma_table_info('%s')", row->table);
        sqlite3_stmt *columns = db_prepare(db, sql, &err);
        for (size_t n = 0; n < schema->count; n++) {
            CHECK_CASE(db_step(db, columns, &err) == 1 &&
                           str_equal(row_text(columns, 0), str_from(schema->fields[n].name)),
                       schema->fields[n].name);
        }
        (void)sqlite3_finalize(columns);
    }
    db_close(db);
    free(path);
    test_directory_free(dir);
}

/* ---- audit rows ---- */

static struct message_row_audit audit_row(struct digest *head, uint64_t sequence)
{
    struct message_row_audit row = {
        .sequence = sequence,
        .event = AUDIT_REQUEST,
        .at_ms = 1795425650123 + (int64_t)sequence,
        .request_id = STR("req_0123456789abcdef"),
        .key = 1 + sequence % 3,
        .vendor = STR("stripe"),
        .operation = STR("charges.create"),
        .operation_class = STR("pay"),
        .credential = STR("stripe"),
        .credential_version = 1,
        .method = STR("POST"),
        .verdict = STR("allowed"),
        .rule = STR("POST /v1/charges"),
        .policy_version = 1,
        .status = 200,
        .vendor_request_id = STR("req_AbCdEfGhIjKlMn"),
        .amount_minor = 100,
        .currency = STR("usd"),
        .reserved = 1000000000,
        .levels = STR("key 50.00/20.00/30.00"),
        .door = STR("prefix"),
        .bytes_in = 120,
        .bytes_out = 800,
        .total_us = 2100,
        .upstream_us = 1900,
        .path = STR("/v1/charges"),
        .client_run_id = STR("run-17"),
        .source = STR("127.0.0.1"),
    };
    memset(row.salt.bytes, 7, DIGEST_SIZE);
    row.personal = chain_personal(&row);
    row.hash = chain_next(head, &row);
    *head = row.hash;
    return row;
}

static void test_audit(void)
{
    char *dir = test_directory_new();
    struct store *store = open_new(dir, 0);
    struct message_loaded loaded;
    struct digest head = {{0}};
    struct err err = {""};

    CHECK(store_loaded(store, &loaded, &err) == 0);
    CHECK(loaded.audit_sequence == 0 && digest_is_zero(&loaded.audit_head));
    CHECK(loaded.newest_at_ms == 0);
    for (uint64_t i = 1; i <= 10; i++) {
        struct message_row_audit row = audit_row(&head, i);
        put(store, MESSAGE_ROW_AUDIT, &row);
    }
    commit(store);

    /* Again, or leaving one out: refused, and what came with it is gone. */
    static const uint64_t wrong[] = {10, 12, 1, 0};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct digest other = head;
        struct message_row_tenant tenant = {.name = STR("acme")};
        struct message_row_audit row = audit_row(&other, wrong[i]);
        put(store, MESSAGE_ROW_TENANT, &tenant);
        CHECK(store_put(store, MESSAGE_ROW_AUDIT, &row, &err) == STORE_REFUSED);
        store_rollback(store);
    }
    struct message_row_audit lost = audit_row(&(struct digest){{0}}, 11);
    put(store, MESSAGE_ROW_AUDIT, &lost);
    store_rollback(store);
    struct message_row_audit row = audit_row(&head, 11);
    put(store, MESSAGE_ROW_AUDIT, &row);
    commit(store);

    store = reopen(store, dir);
    int equal;
    CHECK(load_all(store, MESSAGE_ROW_TENANT, NULL, &equal) == 0);
    CHECK(store_loaded(store, &loaded, &err) == 0);
    CHECK(loaded.audit_sequence == 11 && digest_equal(&loaded.audit_head, &head));
    CHECK(loaded.newest_at_ms == 1795425650134);
    store_close(store);
    test_directory_free(dir);
}

/* ---- what is loaded ---- */

static void put_key(struct store *store, uint64_t key, enum key_status status, uint64_t parent,
                    int64_t ended_at_ms)
{
    char id[24];

    (void)snprintf(id, sizeof(id), "key_%016llu", (unsigned long long)key);
    struct message_row_key row = {.key = key,
                                  .id = str_from(id),
                                  .status = status,
                                  .parent = parent,
                                  .created_at_ms = 1000,
                                  .ended_at_ms = ended_at_ms,
                                  .label = STR("l")};
    put(store, MESSAGE_ROW_KEY, &row);
}

static bool loads(struct store *store, enum message_type type, uint64_t number)
{
    struct err err = {""};
    enum message_type got;
    const void *row;
    uint64_t first;
    int rc;
    bool found = false;

    while ((rc = store_load(store, &got, &row, &err)) == 1) {
        memcpy(&first, row, sizeof(first)); /* every such row begins with its number */
        found = found || (got == type && first == number);
    }
    CHECK_CASE(rc == 0, err.text);
    return found;
}

static void test_keys_loaded(void)
{
    char *dir = test_directory_new();
    struct store *store = open_new(dir, 0);
    const int64_t day_ms = 24 * 3600 * 1000, now_ms = 400 * day_ms;
    struct message_row_hold open = {
        .hold = 1, .key = 5, .state = HOLD_UNKNOWN, .changed_at_ms = now_ms};
    struct message_row_hold done = {.hold = 2, .key = 6, .state = HOLD_POSTED};
    struct message_row_hold known = {.hold = 3, .key = 6, .state = HOLD_VOIDED};
    struct message_row_idempotency record = {.scope = {{1}}, .hold = 3};

    put_key(store, 1, KEY_REVOKED, 0, 1);
    put_key(store, 2, KEY_ACTIVE, 1, 0);
    put_key(store, 3, KEY_PAUSED, 0, 0);
    put_key(store, 4, KEY_EXPIRED, 0, now_ms - day_ms);
    put_key(store, 5, KEY_EXPIRED, 0, now_ms - 8 * day_ms);
    put_key(store, 6, KEY_REVOKED, 0, now_ms - 8 * day_ms);
    put(store, MESSAGE_ROW_HOLD, &open);
    put(store, MESSAGE_ROW_HOLD, &done);
    put(store, MESSAGE_ROW_HOLD, &known);
    put(store, MESSAGE_ROW_IDEMPOTENCY, &record);
    commit(store);

    CHECK(loads(store, MESSAGE_ROW_KEY, 1)); /* the parent of a live one */
    CHECK(loads(store, MESSAGE_ROW_KEY, 2));
    CHECK(loads(store, MESSAGE_ROW_KEY, 3));
    CHECK(loads(store, MESSAGE_ROW_KEY, 4));  /* ended yesterday */
    CHECK(loads(store, MESSAGE_ROW_KEY, 5));  /* has money in doubt */
    CHECK(!loads(store, MESSAGE_ROW_KEY, 6)); /* ended long ago */
    CHECK(loads(store, MESSAGE_ROW_HOLD, 1));
    CHECK(!loads(store, MESSAGE_ROW_HOLD, 2));
    CHECK(loads(store, MESSAGE_ROW_HOLD, 3)); /* a retry may still ask for it */

    struct message_row_hold_gone gone = {1};
    put(store, MESSAGE_ROW_HOLD_GONE, &gone);
    commit(store);
    CHECK(!loads(store, MESSAGE_ROW_HOLD, 1));
    CHECK(!loads(store, MESSAGE_ROW_KEY, 5));
    store_close(store);
    test_directory_free(dir);
}

static void test_windows_loaded(void)
{
    char *dir = test_directory_new();
    struct store *store = open_new(dir, 0);
    const struct {
        struct message_row_window row;
        bool loaded;
    } cases[] = {
        {{LEVEL_KEY, STR("key_0000000000000001"), 100, 5, 0, 80, true}, true},
        {{LEVEL_KEY, STR("key_0000000000000001"), 98, 5, 0, 80, true}, true},
        {{LEVEL_KEY, STR("key_0000000000000001"), 97, 5, 0, 80, true}, false},
        {{LEVEL_KEY, STR("key_0000000000000002"), 3, 5, 1, 80, true}, true},
        {{LEVEL_TENANT, STR("acme"), 97, 5, 0, 80, true}, false},
        {{LEVEL_TENANT, STR("acme"), -1, 5, 0, 80, true}, true},
        {{LEVEL_KEY, STR("key_0000000000000001"), -1, 5, 0, 80, true}, true},
        {{LEVEL_KEY, STR("key_0000000000000002"), -1, 5, 0, 80, true}, false},
        {{LEVEL_KEY, STR("key_0000000000000001"), 0, 5, 0, 80, true}, false},
    };
    size_t count = sizeof(cases) / sizeof(cases[0]);

    put_key(store, 1, KEY_ACTIVE, 0, 0);
    put_key(store, 2, KEY_EXPIRED, 0, 1);
    for (size_t i = 0; i < count; i++) {
        put(store, MESSAGE_ROW_WINDOW, &cases[i].row);
    }
    commit(store);
    for (size_t i = 0; i < count; i++) {
        int equal;
        CHECK(load_all(store, MESSAGE_ROW_WINDOW, &cases[i].row, &equal) == 5);
        CHECK(equal == cases[i].loaded);
    }
    store_close(store);
    test_directory_free(dir);
}

/* ---- credentials ---- */

static void test_blob(void)
{
    char *dir = test_directory_new();
    struct store *store = open_new(dir, 0);
    struct message_row_credential row = {.credential = 4,
                                         .name = STR("stripe"),
                                         .vendor = STR("stripe"),
                                         .version = 1,
                                         .sealed = STR("box\0one")};
    struct message_blob blob;
    struct err err = {""};
    int equal;

    CHECK(store_blob(store, 4, &blob, &err) == 0 && !blob.found);
    put(store, MESSAGE_ROW_CREDENTIAL, &row);
    commit(store);
    CHECK(store_blob(store, 4, &blob, &err) == 0 && blob.found && blob.version == 1);
    CHECK(str_equal(blob.sealed, STR("box\0one")));

    /* Whoever knows the rest only does not lose the box. */
    row.sealed = STR_NONE;
    row.secret_hint = STR("sk_live...7x2q");
    put(store, MESSAGE_ROW_CREDENTIAL, &row);
    commit(store);
    CHECK(load_all(store, MESSAGE_ROW_CREDENTIAL, &row, &equal) == 1 && equal == 1);
    CHECK(store_blob(store, 4, &blob, &err) == 0 && str_equal(blob.sealed, STR("box\0one")));

    row.sealed = STR("box two");
    row.version = 2;
    put(store, MESSAGE_ROW_CREDENTIAL, &row);
    commit(store);
    CHECK(store_blob(store, 4, &blob, &err) == 0 && blob.version == 2);
    CHECK(str_equal(blob.sealed, STR("box two")));

    struct message_row_credential_gone gone = {4};
    put(store, MESSAGE_ROW_CREDENTIAL_GONE, &gone);
    commit(store);
    CHECK(store_blob(store, 4, &blob, &err) == 0 && !blob.found);
    store_close(store);
    test_directory_free(dir);
}

/* ---- sums ---- */

static int64_t ask(const char *dir, const char *sql)
{
    struct err err = {""};
    char *path = db_path(dir, &err);
    sqlite3 *db = db_open(path, DB_READ, &err);
    CHECK_CASE(db != NULL, err.text);
    sqlite3_stmt *statement = db_prepare(db, sql, &err);
    CHECK_CASE(statement != NULL && db_step(db, statement, &err) == 1, sql);
    int64_t number = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    db_close(db);
    free(path);
    return number;
}

static void test_spend(void)
{
    char *dir = test_directory_new();
    struct store *store = open_new(dir, 0);
    const int64_t day_ms = 24 * 3600 * 1000;
    struct digest head = {{0}};
    struct message_row_hold hold = {.hold = 9, .key = 1, .day = 100, .state = HOLD_OPEN};
    uint64_t sequence = 0;

    put(store, MESSAGE_ROW_HOLD, &hold);
    for (int i = 0; i < 300; i++) { /* more keys than one round of sums holds */
        struct message_row_audit row = audit_row(&head, ++sequence);
        row.key = 1 + (uint64_t)i % 150;
        row.at_ms = 101 * day_ms;
        row.verdict = i % 3 == 0 ? STR("denied") : STR("allowed");
        put(store, MESSAGE_ROW_AUDIT, &row);
    }
    for (int i = 0; i < 3; i++) {
        struct message_row_audit row = audit_row(&head, ++sequence);
        row.event = i < 2 ? AUDIT_SETTLED : AUDIT_CORRECTED;
        row.key = 1;
        row.hold = 9;
        row.at_ms = 101 * day_ms; /* posted after midnight: still the hold's day */
        row.settled = i < 2 ? 7 : -4;
        put(store, MESSAGE_ROW_AUDIT, &row);
        commit(store);
    }
    CHECK(ask(dir, "SELECT posted FROM spend WHERE key = 1 AND day = 100") == 10);
    CHECK(ask(dir, "SELECT requests FROM spend WHERE key = 1 AND day = 100") == 0);
    CHECK(ask(dir, "SELECT sum(requests) FROM spend") == 300);
    CHECK(ask(dir, "SELECT sum(denied) FROM spend") == 100);
    CHECK(ask(dir, "SELECT count(*) FROM spend WHERE day = 101") == 150);

    struct message_row_audit row = audit_row(&head, ++sequence);
    row.settled = 5;
    put(store, MESSAGE_ROW_AUDIT, &row);
    store_rollback(store); /* takes the sums along */
    row = audit_row(&head, sequence);
    row.event = AUDIT_CONTROL;
    put(store, MESSAGE_ROW_AUDIT, &row);
    commit(store);
    CHECK(ask(dir, "SELECT sum(posted) FROM spend") == 10);
    CHECK(ask(dir, "SELECT segment FROM audit WHERE first = 1") == 197004);
    store_close(store);
    test_directory_free(dir);
}

/* ---- a full disk ---- */

static void put_until_refused(struct store *store, struct digest *head, uint64_t *sequence)
{
    struct err err = {""};
    enum store_result result = STORE_DONE;

    for (int i = 0; i < 100000 && result == STORE_DONE; i++) {
        struct digest before = *head;
        struct message_row_audit row = audit_row(head, *sequence + 1);
        row.detail = STR("a long text, so that pages fill quickly ................................"
                         "..........................................................");
        result = store_put(store, MESSAGE_ROW_AUDIT, &row, &err);
        if (result == STORE_DONE) {
            result = store_commit(store, &err);
        }
        if (result == STORE_DONE) {
            ++*sequence;
        } else {
            *head = before;
        }
    }
    CHECK_CASE(result == STORE_REFUSED, err.text);
    store_rollback(store);
}

static void test_full(void)
{
    char *dir = test_directory_new();
    struct store *store = open_new(dir, 60);
    struct digest head = {{0}};
    uint64_t sequence = 0;
    struct message_loaded loaded;
    struct err err = {""};

    put_until_refused(store, &head, &sequence);
    put_until_refused(store, &head, &sequence);
    CHECK(sequence > 50);
    CHECK(store_checkpoint(store, &err) == STORE_DONE);
    store = reopen(store, dir); /* with room again */
    CHECK(store_loaded(store, &loaded, &err) == 0 && loaded.audit_sequence == sequence);
    struct message_row_audit row = audit_row(&head, sequence + 1);
    put(store, MESSAGE_ROW_AUDIT, &row);
    commit(store);
    store_close(store);
    test_directory_free(dir);
}

/* The same where the system says so: a bound on the size of files, which the log meets first. */
static void test_no_room(void)
{
    char *dir = test_directory_new();
    struct store *store = open_new(dir, 0);
    struct digest head = {{0}};
    uint64_t sequence = 0;
    struct rlimit before, small;

    (void)getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 1024 * 1024;
    (void)setrlimit(RLIMIT_FSIZE, &small);
    put_until_refused(store, &head, &sequence);
    (void)setrlimit(RLIMIT_FSIZE, &before);
    struct message_row_audit row = audit_row(&head, sequence + 1);
    put(store, MESSAGE_ROW_AUDIT, &row);
    commit(store);
    store = reopen(store, dir);
    struct message_loaded loaded;
    struct err err = {""};
    CHECK(store_loaded(store, &loaded, &err) == 0 && loaded.audit_sequence == sequence + 1);
    CHECK(digest_equal(&loaded.audit_head, &head));
    store_close(store);
    test_directory_free(dir);
}

static void test_sync_fails(void)
{
    static const int errors[] = {EIO, ENOSPC, EDQUOT};

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        char *dir = test_directory_new();
        struct store *store = open_new(dir, 0);
        struct message_row_tenant row = {.name = STR("acme")};
        struct err err = {""};

        put(store, MESSAGE_ROW_TENANT, &row);
        commit(store);
        row.name = STR("other");
        put(store, MESSAGE_ROW_TENANT, &row);
        sync_error = errors[i];
        CHECK(store_commit(store, &err) == STORE_BROKEN);
        sync_error = 0;
        unsigned before = syncs; /* for good: nothing is tried again */
        CHECK(store_commit(store, &err) == STORE_BROKEN);
        CHECK(store_put(store, MESSAGE_ROW_TENANT, &row, &err) == STORE_BROKEN);
        CHECK(store_checkpoint(store, &err) == STORE_BROKEN);
        CHECK(syncs == before);
        store = reopen(store, dir);
        int equal;
        CHECK(load_all(store, MESSAGE_ROW_TENANT, NULL, &equal) >= 1);
        store_close(store);
        test_directory_free(dir);
    }
}

/* Each commit is on the disk before it returns. */
static void test_syncs(void)
{
    char *dir = test_directory_new();
    struct store *store = open_new(dir, 0);
    struct message_row_tenant row = {.name = STR("acme")};

    for (int i = 0; i < 3; i++) {
        unsigned before = syncs;
        put(store, MESSAGE_ROW_TENANT, &row);
        CHECK(syncs == before);
        commit(store);
        CHECK(syncs == before + 1 || i == 0);
        CHECK(syncs > before);
    }
    struct err err = {""};
    CHECK(store_log_bytes(store) > 0);
    CHECK(store_checkpoint(store, &err) == STORE_DONE);
    CHECK(store_log_bytes(store) == 0);
    store_close(store);
    test_directory_free(dir);
}

/* ---- killed at any time ---- */

/* Commits batches of three rows that belong together, and says so through `out`. */
static void write_until_killed(const char *dir, int out)
{
    struct err err = {""};
    struct store *store = store_open(dir, 0, &err);
    struct message_loaded loaded;

    if (store == NULL || store_loaded(store, &loaded, &err) < 0) {
        _exit(1);
    }
    for (uint64_t n = loaded.audit_sequence + 1;; n++) {
        struct message_row_audit row = audit_row(&loaded.audit_head, n);
        struct message_row_hold hold = {.hold = n, .state = HOLD_OPEN, .held = (int64_t)n};
        struct message_row_window window = {
            .owner = STR("key_1"), .day = 5, .held = (int64_t)n, .posted = (int64_t)n};
        if (store_put(store, MESSAGE_ROW_HOLD, &hold, &err) != STORE_DONE ||
            store_put(store, MESSAGE_ROW_WINDOW, &window, &err) != STORE_DONE ||
            store_put(store, MESSAGE_ROW_AUDIT, &row, &err) != STORE_DONE ||
            store_commit(store, &err) != STORE_DONE ||
            (n % 64 == 0 && store_checkpoint(store, &err) != STORE_DONE) ||
            write(out, &n, sizeof(n)) != sizeof(n)) {
            _exit(1);
        }
    }
}

static void test_killed(void)
{
    char *dir = test_directory_new();
    uint64_t promised = 0, got;

    store_close(open_new(dir, 0));
    for (int round = 0; round < 12; round++) {
        int ends[2];
        if (pipe(ends) < 0) {
            abort();
        }
        pid_t child = fork();
        if (child == 0) {
            (void)close(ends[0]);
            write_until_killed(dir, ends[1]);
        }
        (void)close(ends[1]);
        (void)usleep(20000 + (useconds_t)round * 7000);
        (void)kill(child, SIGKILL);
        while (read(ends[0], &got, sizeof(got)) == sizeof(got)) {
            promised = got;
        }
        (void)close(ends[0]);
        (void)waitpid(child, NULL, 0);

        struct err err = {""};
        struct message_loaded loaded;
        struct store *store = store_open(dir, 0, &err);
        CHECK_CASE(store != NULL, err.text);
        CHECK(store_loaded(store, &loaded, &err) == 0);
        CHECK(loaded.audit_sequence >= promised && loaded.audit_sequence <= promised + 1);
        promised = loaded.audit_sequence;
        store_close(store);
        CHECK(ask(dir, "SELECT total(last - first + 1) FROM audit") == (int64_t)promised);
        CHECK(ask(dir, "SELECT count(*) FROM holds") == (int64_t)promised);
        CHECK(promised == 0 || ask(dir, "SELECT held FROM windows") == (int64_t)promised);
        CHECK(ask(dir,
                  "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'") == 1);
    }
    CHECK(promised > 10);
    test_directory_free(dir);
}

/* ---- files that are not right ---- */

static void spoil(const char *dir, const char *sql)
{
    struct err err = {""};
    sqlite3 *db = NULL;
    char *path = db_path(dir, &err);

    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    CHECK_CASE(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, sql);
    (void)sqlite3_close(db);
    free(path);
}

static void test_refused_files(void)
{
    static const char spoil_table[] = "PRAGMA writable_schema = ON; UPDATE sqlite_schema"
                                      " SET sql = replace(sql, 'STRICT', '') WHERE name = 'audit'";
    static const char *const spoilings[] = {
        "PRAGMA application_id = 1",
        "PRAGMA user_version = 1",
        "PRAGMA user_version = 0",
        "CREATE TRIGGER t AFTER INSERT ON audit BEGIN DELETE FROM audit; END",
        "CREATE TABLE more(a)",
        "CREATE VIEW v AS SELECT 1",
        "DROP INDEX keys_label",
        "ALTER TABLE meta ADD COLUMN x INTEGER",
        "DROP TABLE holds",
        spoil_table,
    };
    for (size_t i = 0; i < sizeof(spoilings) / sizeof(spoilings[0]); i++) {
        char *dir = test_directory_new();
        struct err err = {""};
        store_close(open_new(dir, 0));
        spoil(dir, spoilings[i]);
        struct store *store = store_open(dir, 0, &err);
        CHECK_CASE(store == NULL && err.text[0] != '\0', spoilings[i]);
        store_close(store);
        test_directory_free(dir);
    }
}

/* A row that changed by itself is not taken for what it was. */
static void test_damaged_rows(void)
{
    static const char *const damages[] = {
        "UPDATE windows SET posted = 0",
        "UPDATE windows SET checksum = checksum + 1",
        "UPDATE meta SET value = 'x' WHERE name = 'signing_public_key'",
        "UPDATE keys SET policy = x'00'",
        "UPDATE keys SET status = 9",
        "UPDATE keys SET token_digest = x'0102'",
        "UPDATE operators SET role = 2",
        "UPDATE credentials SET allow_private = 2",
        "UPDATE credentials SET upstream = 'http://localhost'",
    };
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        char *dir = test_directory_new();
        struct store *store = open_new(dir, 0);
        struct message_row_window window = {.owner = STR("a"), .day = 1, .posted = 5};
        struct message_row_credential credential = {.credential = 1};
        struct err err = {""};
        enum message_type type;
        const void *row;
        int rc;

        put(store, MESSAGE_ROW_WINDOW, &window);
        put(store, MESSAGE_ROW_CREDENTIAL, &credential);
        put_key(store, 1, KEY_ACTIVE, 0, 0);
        commit(store);
        store_close(store);
        spoil(dir, damages[i]);
        store = store_open(dir, 0, &err);
        CHECK_CASE(store != NULL, err.text);
        while ((rc = store_load(store, &type, &row, &err)) == 1) {
        }
        CHECK_CASE(rc < 0 && str_has(str_from(err.text), STR("damaged")), damages[i]);
        store_close(store);
        test_directory_free(dir);
    }
}

static int load_bytes(struct store *store, struct buf *out)
{
    struct err err;
    enum message_type type;
    const void *row;
    int rc;

    buf_cut(out, 0);
    while ((rc = store_load(store, &type, &row, &err)) == 1) {
        (void)buf_add_char(out, (char)type);
        (void)wire_encode(message_schema(type), row, out);
    }
    return rc;
}

/* A bit that flips anywhere in the file is either noticed or changes nothing that is loaded. */
static void test_flipped_bits(void)
{
    char *dir = test_directory_new();
    struct store *store = open_new(dir, 0);
    struct buf good, now;
    struct err err = {""};
    int refused = 0, other = 0;

    buf_init(&good, 1 << 24);
    buf_init(&now, 1 << 24);
    for (uint64_t i = 1; i <= 60; i++) {
        struct message_row_window window = {.owner = str_of(&i, sizeof(i)), .day = 9, .posted = 5};
        struct message_row_hold hold = {.hold = i, .key = i, .held = 5};
        struct message_row_idempotency record = {.hold = i};
        memcpy(record.scope.bytes, &i, sizeof(i));
        put_key(store, i, KEY_ACTIVE, 0, 0);
        put(store, MESSAGE_ROW_WINDOW, &window);
        put(store, MESSAGE_ROW_HOLD, &hold);
        put(store, MESSAGE_ROW_IDEMPOTENCY, &record);
    }
    commit(store);
    CHECK(load_bytes(store, &good) == 0);
    store_close(store); /* the log is in the file now */
    char *path = db_path(dir, &err);
    FILE *file = fopen(path, "r+");
    CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0);
    long size = ftell(file);
    unsigned char *kept = mem_zeroed((size_t)size);
    rewind(file);
    CHECK(fread(kept, 1, (size_t)size, file) == (size_t)size);
    for (long at = 1; at < size; at += 397) {
        unsigned char flipped = kept[at] ^ (unsigned char)(1 << at % 8);
        CHECK(fseek(file, at, SEEK_SET) == 0 && fputc(flipped, file) != EOF && fflush(file) == 0);
        store = store_open(dir, 0, &err);
        if (store == NULL || load_bytes(store, &now) < 0) {
            refused++;
        } else if (!str_equal(buf_str(&now), buf_str(&good))) {
            other++;
        }
        store_close(store);
        rewind(file);
        CHECK(fwrite(kept, 1, (size_t)size, file) == (size_t)size && fflush(file) == 0);
    }
    CHECK(refused > 20);
    CHECK(other == 0);
    free(kept);
    free(path);
    (void)fclose(file);
    buf_clear(&good);
    buf_clear(&now);
    test_directory_free(dir);
}

static void test_places(void)
{
    char *dir = test_directory_new();
    struct err err = {""};
    char path[64], link[64];
    struct stat status;

    CHECK(store_open(dir, 0, &err) == NULL);
    CHECK(create("/nowhere/at/all", &err) < 0);
    struct store *store = open_new(dir, 0);
    CHECK(store_open(dir, 0, &err) == NULL); /* one server at a time */
    CHECK(str_has(str_from(err.text), STR("another keybrake")));
    CHECK(create(dir, &err) < 0); /* never over one that is there */
    store_close(store);
    (void)snprintf(path, sizeof(path), "%s/db/keybrake.db", dir);
    CHECK(stat(path, &status) == 0 && (status.st_mode & 07777) == 0600);
    (void)snprintf(link, sizeof(link), "%s/db", dir);
    CHECK(stat(link, &status) == 0 && (status.st_mode & 07777) == 0700);

    /* A link in place of the file is not followed; one above the directory is. */
    (void)snprintf(link, sizeof(link), "%s/elsewhere", dir);
    CHECK(rename(path, link) == 0 && symlink(link, path) == 0);
    CHECK(store_open(dir, 0, &err) == NULL);
    CHECK(unlink(path) == 0 && rename(link, path) == 0);
    CHECK(symlink(dir, link) == 0);
    store = store_open(link, 0, &err);
    CHECK_CASE(store != NULL, err.text);
    store_close(store);
    test_directory_free(dir);
}

/* An init that was cut short leaves nothing in the way. */
static void test_create_again(void)
{
    char *dir = test_directory_new();
    struct err err = {""};
    char path[64];

    (void)snprintf(path, sizeof(path), "%s/db", dir);
    CHECK(mkdir(path, 0700) == 0);
    (void)snprintf(path, sizeof(path), "%s/db/keybrake.db.new", dir);
    FILE *left = fopen(path, "w");
    CHECK(left != NULL && fputs("half", left) >= 0 && fclose(left) == 0);
    CHECK_CASE(create(dir, &err) == 0, err.text);
    CHECK(access(path, F_OK) < 0);
    test_directory_free(dir);
}

int main(void)
{
    (void)signal(SIGXFSZ, SIG_IGN);
    test_columns();
    test_round_trip();
    test_audit();
    test_keys_loaded();
    test_windows_loaded();
    test_blob();
    test_spend();
    test_full();
    test_no_room();
    test_sync_fails();
    test_syncs();
    test_killed();
    test_refused_files();
    test_damaged_rows();
    test_flipped_bits();
    test_places();
    test_create_again();
    return test_done();
}
