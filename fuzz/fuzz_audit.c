/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of every type, from bytes, through their tables and back; audit rows through the chain and
 * a block; blocks; and a noted head.  The first byte chooses.
 */
#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

#include "ledger/chain.h"
#include "store/block.h"
#include "store/db.h"
#include "store/row.h"
#include "store/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const selects[] = {
    "SELECT * FROM meta",        "SELECT * FROM operators", "SELECT * FROM tenants",
    "SELECT * FROM prices",      "SELECT * FROM stops",     "SELECT * FROM credentials",
    "SELECT * FROM keys",        "SELECT * FROM windows",   "SELECT * FROM holds",
    "SELECT * FROM idempotency", "SELECT * FROM heads",
};
static const enum message_type types[] = {
    MESSAGE_ROW_META, MESSAGE_ROW_OPERATOR,    MESSAGE_ROW_TENANT, MESSAGE_ROW_PRICE,
    MESSAGE_ROW_STOP, MESSAGE_ROW_CREDENTIAL,  MESSAGE_ROW_KEY,    MESSAGE_ROW_WINDOW,
    MESSAGE_ROW_HOLD, MESSAGE_ROW_IDEMPOTENCY, MESSAGE_ROW_HEAD,
};
enum { TYPES = sizeof(types) / sizeof(types[0]) };

static sqlite3 *db;
static sqlite3_stmt *puts_of[TYPES], *selects_of[TYPES];

static void set_up(void)
{
    struct err err;

    if (sodium_init() < 0 || sqlite3_open(":memory:", &db) != SQLITE_OK ||
        db_make_schema(db, &err) < 0) {
        abort();
    }
    for (size_t i = 0; i < TYPES; i++) {
        const struct schema_row *row = schema_rows;
        while (row->type != types[i]) {
            row++;
        }
        puts_of[i] = db_prepare(db, row->put, &err);
        selects_of[i] = db_prepare(db, selects[i], &err);
        assert(puts_of[i] != NULL && selects_of[i] != NULL);
    }
}

static void check_head(struct str text)
{
    struct digest head, again;
    uint64_t sequence, sequence_again;

    if (chain_parse_head(text, &sequence, &head)) {
        struct chain_head_text written = chain_head_text(sequence, &head);
        assert(chain_parse_head(str_from(written.text), &sequence_again, &again));
        assert(sequence == sequence_again && digest_equal(&head, &again));
        assert(str_equal_nocase(text, str_from(written.text)));
    }
}

static void check_chain(const struct message_row_audit *row)
{
    struct message_row_audit other = *row;
    struct digest hash = chain_next(&row->hash, row);

    other.personal = chain_personal(row);
    assert(chain_check_personal(&other) == CHAIN_PERSONAL_RIGHT);
    other = *row;
    other.path = other.objects = other.client_run_id = other.source = STR_NONE;
    other.salt = (struct digest){{0}};
    struct digest redacted = chain_next(&row->hash, &other);
    assert(digest_equal(&hash, &redacted));
    other.sequence++;
    struct digest next = chain_next(&row->hash, &other);
    assert(!digest_equal(&hash, &next));
}

/* What a block gives can be put into a block again, and comes back the same. */
static void check_block(struct str bytes)
{
    static struct block block, again;
    struct message_row_audit row, back;
    struct buf copy;

    block_open(&block, 1, bytes);
    buf_init(&copy, BLOCK_BYTES_MAX);
    for (size_t i = 0; i < block.count; i++) {
        assert(block.rows[i].sequence > 0);
        assert(i == 0 || block.rows[i].sequence > block.rows[i - 1].sequence);
        assert(block_below(&block, block.rows[i].sequence) == i);
        if (block_read(&block, i, &row)) {
            assert(row.sequence == block.rows[i].sequence);
            check_chain(&row);
            buf_cut(&copy, 0);
            assert(block_add(&copy, &row, STR_NONE));
            block_open(&again, row.sequence, buf_str(&copy));
            assert(again.count == 1 && block_read(&again, 0, &back));
            assert(str_equal(block.rows[i].bytes, again.rows[0].bytes));
        }
    }
    buf_clear(&copy);
}

static void check_row(size_t i, struct str bytes, struct arena *arena)
{
    const struct wire_schema *schema = message_schema(types[i]);
    void *row = arena_zeroed(arena, 1, schema->size);
    void *back = arena_zeroed(arena, 1, schema->size);
    struct buf encoded;
    struct err err;

    if (!wire_decode(schema, bytes, arena, row)) {
        return;
    }
    assert(db_run(db, "BEGIN", &err) == 0);
    row_bind(puts_of[i], schema, row);
    if (sqlite3_bind_parameter_count(puts_of[i]) > (int)schema->count) {
        (void)sqlite3_bind_int64(puts_of[i], (int)schema->count + 1, row_checksum(schema, row));
    }
    /* Only what a table's key forbids is refused: the zero digest as a scope. */
    if (db_step(db, puts_of[i], &err) == 0) {
        buf_init(&encoded, 4 << 20);
        assert(db_step(db, selects_of[i], &err) == 1);
        assert(row_read(selects_of[i], schema, back));
        assert(wire_encode(schema, back, &encoded) && str_equal(buf_str(&encoded), bytes));
        assert(row_checksum(schema, back) == row_checksum(schema, row));
        buf_clear(&encoded);
    } else {
        assert(types[i] == MESSAGE_ROW_IDEMPOTENCY);
    }
    (void)sqlite3_reset(puts_of[i]);
    (void)sqlite3_reset(selects_of[i]);
    assert(db_run(db, "ROLLBACK", &err) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (db == NULL) {
        set_up();
    }
    if (size == 0) {
        return 0;
    }
    struct str rest = str_of(data + 1, size - 1);
    struct arena *arena = arena_new();
    if (data[0] < TYPES) {
        check_row(data[0], rest, arena);
    } else if (data[0] == TYPES) {
        check_block(rest);
    } else {
        check_head(rest);
    }
    arena_free(arena);
    return 0;
}
