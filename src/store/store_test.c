/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes in comes out: rows of every type, what is loaded of them, sums.
 */
#include "store/testing.h"

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

int main(void)
{
    test_columns();
    test_round_trip();
    test_audit();
    test_keys_loaded();
    test_windows_loaded();
    test_blob();
    test_spend();
    return test_done();
}
