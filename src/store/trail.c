/* SPDX-License-Identifier: Apache-2.0 */
#include "store/trail.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/block.h"
#include "store/db.h"
#include "store/row.h"

struct trail {
    sqlite3 *db;
    sqlite3_stmt *at_or_below, *above, *of_key, *time_of;
    struct buf bytes; /* of the block at hand */
    struct block block;
    bool at_hand;
    uint64_t end; /* the number of its last row, as the database says */
};

struct trail *trail_open(sqlite3 *db, struct err *err)
{
    struct trail *trail = mem_zeroed(sizeof(*trail));

    trail->db = db;
    buf_init(&trail->bytes, BLOCK_BYTES_MAX);
    trail->at_or_below = db_prepare(db,
                                    "SELECT first, last, rows FROM audit WHERE first <= ?1"
                                    " ORDER BY first DESC LIMIT 1",
                                    err);
    trail->above = db_prepare(db,
                              "SELECT first, last, rows FROM audit WHERE first > ?1"
                              " ORDER BY first LIMIT 1",
                              err);
    trail->of_key = db_prepare(db,
                               "SELECT first, last FROM audit_keys JOIN audit USING (first)"
                               " WHERE key = ?1 AND first < ?2 ORDER BY first DESC LIMIT 1",
                               err);
    trail->time_of = db_prepare(db,
                                "SELECT first, last, at_ms FROM audit WHERE first <= ?1"
                                " ORDER BY first DESC LIMIT 1",
                                err);
    if (trail->at_or_below == NULL || trail->above == NULL || trail->of_key == NULL ||
        trail->time_of == NULL) {
        trail_close(trail);
        return NULL;
    }
    return trail;
}

void trail_close(struct trail *trail)
{
    if (trail == NULL) {
        return;
    }
    (void)sqlite3_finalize(trail->at_or_below);
    (void)sqlite3_finalize(trail->above);
    (void)sqlite3_finalize(trail->of_key);
    (void)sqlite3_finalize(trail->time_of);
    buf_clear(&trail->bytes);
    free(trail);
}

/* ---- blocks ---- */

static int load(struct trail *trail, sqlite3_stmt *select, uint64_t number, struct err *err)
{
    (void)sqlite3_bind_int64(select, 1, number > INT64_MAX ? INT64_MAX : (int64_t)number);
    int rc = db_step(trail->db, select, err);
    trail->at_hand = false;
    if (rc == 1) {
        buf_cut(&trail->bytes, 0);
        if (buf_add_str(&trail->bytes, row_text(select, 2))) {
            trail->end = (uint64_t)sqlite3_column_int64(select, 1);
            block_open(&trail->block, (uint64_t)sqlite3_column_int64(select, 0),
                       buf_str(&trail->bytes));
            trail->at_hand = true;
        } else {
            rc = err_set(err, "block %lld of the audit is longer than any can be",
                         (long long)sqlite3_column_int64(select, 0));
        }
    }
    (void)sqlite3_reset(select);
    return rc;
}

/* The block that has row `sequence`, or would have it. */
static int load_at_or_below(struct trail *trail, uint64_t sequence, struct err *err)
{
    if (trail->at_hand && trail->block.first <= sequence && sequence <= trail->end) {
        return 1;
    }
    return load(trail, trail->at_or_below, sequence, err);
}

static void give(const struct trail *trail, size_t i, struct trail_row *ret_row)
{
    ret_row->sequence = trail->block.rows[i].sequence;
    ret_row->readable = block_read(&trail->block, i, &ret_row->audit);
}

/* ---- rows ---- */

int trail_below(struct trail *trail, uint64_t before, struct trail_row *ret_row, struct err *err)
{
    while (before > 0) {
        int rc = load_at_or_below(trail, before - 1, err);
        if (rc <= 0) {
            return rc;
        }
        size_t below = block_below(&trail->block, before);
        if (below > 0) {
            give(trail, below - 1, ret_row);
            return 1;
        }
        before = trail->block.first;
    }
    return 0;
}

int trail_above(struct trail *trail, uint64_t after, struct trail_row *ret_row, struct err *err)
{
    int rc = load_at_or_below(trail, after + 1, err);

    while (rc >= 0) {
        if (rc == 1) {
            size_t place = block_below(&trail->block, after + 1);
            if (place < trail->block.count) {
                give(trail, place, ret_row);
                return 1;
            }
        }
        uint64_t beyond = rc == 1 && trail->block.first > after ? trail->block.first : after;
        rc = load(trail, trail->above, beyond, err);
        if (rc == 0) {
            return 0;
        }
    }
    return rc;
}

int trail_at(struct trail *trail, uint64_t sequence, struct trail_row *ret_row, struct err *err)
{
    int rc = load_at_or_below(trail, sequence, err);

    if (rc <= 0) {
        return rc;
    }
    size_t place = block_below(&trail->block, sequence);
    if (place == trail->block.count || trail->block.rows[place].sequence != sequence) {
        return 0;
    }
    give(trail, place, ret_row);
    return 1;
}

/* ---- of a key ---- */

int trail_block_of_key(struct trail *trail, uint64_t key, uint64_t before, uint64_t *ret_first,
                       uint64_t *ret_last, struct err *err)
{
    (void)sqlite3_bind_int64(trail->of_key, 1, (int64_t)key);
    (void)sqlite3_bind_int64(trail->of_key, 2, before > INT64_MAX ? INT64_MAX : (int64_t)before);
    int rc = db_step(trail->db, trail->of_key, err);
    if (rc == 1) {
        *ret_first = (uint64_t)sqlite3_column_int64(trail->of_key, 0);
        *ret_last = (uint64_t)sqlite3_column_int64(trail->of_key, 1);
    }
    (void)sqlite3_reset(trail->of_key);
    return rc;
}

/* ---- times ---- */

/* The last block that begins before that time; 0: none does. */
static int find_block(struct trail *trail, int64_t at_ms, uint64_t *ret_first, struct err *err)
{
    struct trail_row last;
    uint64_t low = 1;

    *ret_first = 0;
    int rc = trail_below(trail, INT64_MAX, &last, err);
    uint64_t high = rc == 1 ? last.sequence + 1 : 0;
    while (rc == 1 && low < high) {
        (void)sqlite3_bind_int64(trail->time_of, 1, (int64_t)(low + (high - low) / 2));
        rc = db_step(trail->db, trail->time_of, err);
        uint64_t first = (uint64_t)sqlite3_column_int64(trail->time_of, 0);
        uint64_t end = (uint64_t)sqlite3_column_int64(trail->time_of, 1);
        int64_t found_ms = sqlite3_column_int64(trail->time_of, 2);
        (void)sqlite3_reset(trail->time_of);
        if (rc == 1 && found_ms < at_ms) {
            *ret_first = first;
            low = end + 1;
        } else if (rc == 1 && first >= low) {
            high = first;
        } else {
            low = low + (high - low) / 2 + 1; /* in a gap */
            rc = rc < 0 ? rc : 1;
        }
    }
    return rc < 0 ? -1 : 0;
}

int trail_find_time(struct trail *trail, int64_t at_ms, uint64_t *ret_sequence, struct err *err)
{
    struct trail_row row;
    uint64_t first;
    int rc;

    if (find_block(trail, at_ms, &first, err) < 0) {
        return -1;
    }
    *ret_sequence = first + (first == 0);
    while ((rc = trail_above(trail, *ret_sequence - 1, &row, err)) == 1 &&
           !(row.readable && row.audit.at_ms >= at_ms)) {
        *ret_sequence = row.sequence + 1;
    }
    return rc < 0 ? -1 : 0;
}
