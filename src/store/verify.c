/* SPDX-License-Identifier: Apache-2.0 */
#include "store/verify.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "ledger/chain.h"
#include "store/db.h"
#include "store/row.h"
#include "store/trail.h"

/*
 * Row n is right when  stored hash n = H(stored hash n-1, row n).  After a row that is not, the
 * walk goes on from its stored hash, so that one change is one report:
 *
 *     a field of row n changed      n does not fit; n+1 fits again, on the stored hash of n
 *     the hash of row n changed     n does not fit; n+1 fits on the hash computed for n
 *     rows taken out before n       n is not the next number: whether it fits cannot be told
 *     rows a and b exchanged        neither fits where it is; each fits where the other is
 */

enum { MOVED_MAX = 64 }; /* rows that do not fit, kept to see whether they fit elsewhere */

struct misfit {
    uint64_t sequence;
    struct digest hash; /* as stored */
};

struct walk {
    sqlite3 *db;
    struct trail *trail, *suspects; /* two, since each gives one row at a time */
    const struct verify_options *options;
    void (*problem)(void *ctx, const struct verify_problem *problem);
    void *ctx;
    struct verify_report report;
    uint64_t sequence;      /* of the row before; 0: none yet */
    struct digest stored;   /* its hash as stored */
    struct digest computed; /* and as computed, when it did not fit */
    bool fitted;
    bool lost; /* the row before could not be read */
    struct misfit misfits[MOVED_MAX];
    size_t misfit_count;
};

const char *verify_kind_text(enum verify_kind kind)
{
    static const char *const texts[VERIFY_KIND_COUNT] = {
        [VERIFY_CHANGED] = "changed",
        [VERIFY_MISSING] = "missing",
        [VERIFY_MOVED] = "moved",
        [VERIFY_UNREADABLE] = "unreadable",
        [VERIFY_PERSONAL] = "personal data changed",
        [VERIFY_SIGNATURE] = "bad signature",
        [VERIFY_HEAD] = "head differs",
        [VERIFY_CUT] = "cut off",
    };
    return kind < VERIFY_KIND_COUNT ? texts[kind] : "?";
}

static void report(struct walk *walk, enum verify_kind kind, uint64_t sequence, uint64_t last)
{
    struct verify_problem problem = {.kind = kind, .sequence = sequence, .last = last};

    if (walk->report.problems == 0 || sequence < walk->report.first_problem.sequence) {
        walk->report.first_problem = problem;
    }
    walk->report.problems++;
    if (walk->problem != NULL) {
        walk->problem(walk->ctx, &problem);
    }
}

/* ---- rows ---- */

/* A row that does not fit is reported at the end, when it is known whether it was moved. */
static void note_misfit(struct walk *walk, uint64_t sequence, const struct digest *stored)
{
    if (walk->misfit_count == MOVED_MAX) {
        report(walk, VERIFY_CHANGED, sequence, sequence);
        return;
    }
    walk->misfits[walk->misfit_count++] = (struct misfit){sequence, *stored};
}

static bool fits(struct walk *walk, const struct message_row_audit *row)
{
    struct digest hash = chain_next(&walk->stored, row);
    bool good = digest_equal(&hash, &row->hash);

    if (!good && !walk->fitted) {
        /* Perhaps only the hash of the row before was changed. */
        struct digest other = chain_next(&walk->computed, row);
        good = digest_equal(&other, &row->hash);
    }
    walk->computed = hash;
    return good;
}

static void check_personal(struct walk *walk, const struct message_row_audit *row)
{
    switch (chain_check_personal(row)) {
    case CHAIN_PERSONAL_WRONG:
        report(walk, VERIFY_PERSONAL, row->sequence, row->sequence);
        return;
    case CHAIN_PERSONAL_DELETED:
        walk->report.deleted++;
        return;
    case CHAIN_PERSONAL_RIGHT:
        return;
    }
}

static void check_row(struct walk *walk, const struct message_row_audit *row)
{
    bool follows = row->sequence == walk->sequence + 1;

    if (!follows) {
        report(walk, VERIFY_MISSING, walk->sequence + 1, row->sequence - 1);
    }
    /* After a gap, or a row that could not be read, there is nothing to compare with. */
    bool known = follows && !walk->lost;
    bool good = fits(walk, row);
    if (known && !good) {
        note_misfit(walk, row->sequence, &row->hash);
    }
    check_personal(walk, row);
    walk->fitted = good || !known;
    walk->lost = false;
    walk->stored = row->hash;
}

static int read_rows(struct walk *walk, struct err *err)
{
    struct trail_row row;
    int rc;

    while ((rc = trail_above(walk->trail, walk->sequence, &row, err)) == 1) {
        walk->report.rows++;
        if (walk->report.first == 0) {
            walk->report.first = row.sequence;
        }
        if (row.readable) {
            check_row(walk, &row.audit);
        } else {
            report(walk, VERIFY_UNREADABLE, row.sequence, row.sequence);
            walk->lost = true;
        }
        walk->sequence = row.sequence;
    }
    return rc;
}

/* ---- rows that stand where others stood ---- */

static int stored_hash(struct walk *walk, uint64_t sequence, struct digest *ret_hash,
                       struct err *err)
{
    struct trail_row row;

    *ret_hash = (struct digest){{0}};
    if (sequence == 0) {
        return 1;
    }
    int rc = trail_at(walk->trail, sequence, &row, err);
    if (rc == 1 && row.readable) {
        *ret_hash = row.audit.hash;
    }
    return rc;
}

/* The hash before place `to`, once the row now at `from` is thought to stand there: when it is the
 * one just before, what stood there is now somewhere among the misfits. */
static bool fits_at(struct walk *walk, struct message_row_audit *row, uint64_t to, struct err *err)
{
    struct digest previous, hash;

    row->sequence = to;
    if (stored_hash(walk, to - 1, &previous, err) == 1) {
        hash = chain_next(&previous, row);
        if (digest_equal(&hash, &row->hash)) {
            return true;
        }
    }
    for (size_t i = 0; i < walk->misfit_count; i++) {
        hash = chain_next(&walk->misfits[i].hash, row);
        if (digest_equal(&hash, &row->hash)) {
            return true;
        }
    }
    return false;
}

static uint64_t place_of(struct walk *walk, const struct misfit *misfit, struct err *err)
{
    struct trail_row row;
    uint64_t place = 0;

    if (trail_at(walk->suspects, misfit->sequence, &row, err) == 1 && row.readable) {
        for (size_t i = 0; i < walk->misfit_count && place == 0; i++) {
            uint64_t to = walk->misfits[i].sequence;
            if (to != misfit->sequence && fits_at(walk, &row.audit, to, err)) {
                place = to;
            }
        }
    }
    return place;
}

static void report_misfits(struct walk *walk, struct err *err)
{
    for (size_t i = 0; i < walk->misfit_count; i++) {
        const struct misfit *misfit = &walk->misfits[i];
        uint64_t place = place_of(walk, misfit, err);
        if (place != 0) {
            report(walk, VERIFY_MOVED, misfit->sequence, place);
        } else {
            report(walk, VERIFY_CHANGED, misfit->sequence, misfit->sequence);
        }
    }
}

/* ---- heads ---- */

/* -1: the database; else whether the row's hash is the head's. */
static int check_head(struct walk *walk, uint64_t sequence, const struct digest *head,
                      struct err *err)
{
    struct digest hash;

    if (sequence > walk->report.last) {
        report(walk, VERIFY_CUT, walk->report.last + 1, sequence);
        return 0;
    }
    int rc = stored_hash(walk, sequence, &hash, err);
    if (rc < 0) {
        return -1;
    }
    if (rc == 0) {
        return 0; /* its row is missing, as was reported */
    }
    if (!digest_equal(&hash, head)) {
        report(walk, VERIFY_HEAD, sequence, sequence);
        return 0;
    }
    return 1;
}

static int check_signed(struct walk *walk, const struct message_row_head *head,
                        struct str public_key, struct err *err)
{
    if (!chain_signature_is_good(head->sequence, &head->head, head->at_ms, head->signature,
                                 public_key)) {
        report(walk, VERIFY_SIGNATURE, head->sequence, head->sequence);
        return 0;
    }
    int rc = check_head(walk, head->sequence, &head->head, err);
    if (rc == 1) {
        walk->report.heads++;
        walk->report.last_signed = head->sequence;
        walk->report.last_signed_at_ms = head->at_ms;
    }
    return rc < 0 ? -1 : 0;
}

static int own_public_key(struct walk *walk, struct buf *out, struct err *err)
{
    sqlite3_stmt *meta =
        db_prepare(walk->db, "SELECT value FROM meta WHERE name = 'signing_public_key'", err);

    if (meta == NULL) {
        return -1;
    }
    int rc = db_step(walk->db, meta, err);
    if (rc == 1) {
        (void)buf_add_str(out, row_text(meta, 0));
    }
    (void)sqlite3_finalize(meta);
    return rc < 0 ? -1 : 0;
}

static int check_heads(struct walk *walk, struct err *err)
{
    const struct wire_schema *schema = message_schema(MESSAGE_ROW_HEAD);
    sqlite3_stmt *heads = db_prepare(walk->db, "SELECT * FROM heads ORDER BY sequence", err);
    struct message_row_head head;
    struct buf public_key;
    int rc = -1;

    buf_init(&public_key, 4096);
    (void)buf_add_str(&public_key, walk->options->public_key);
    if (heads == NULL ||
        (buf_len(&public_key) == 0 && own_public_key(walk, &public_key, err) < 0)) {
        goto out;
    }
    while ((rc = db_step(walk->db, heads, err)) == 1) {
        uint64_t sequence = (uint64_t)sqlite3_column_int64(heads, 0);
        if (!row_read(heads, schema, &head)) {
            report(walk, VERIFY_SIGNATURE, sequence, sequence);
        } else if (check_signed(walk, &head, buf_str(&public_key), err) < 0) {
            rc = -1;
            break;
        }
    }
out:
    (void)sqlite3_finalize(heads);
    buf_clear(&public_key);
    return rc;
}

/* ---- all of it ---- */

static int walk_all(struct walk *walk, struct err *err)
{
    walk->fitted = true;
    if (read_rows(walk, err) < 0) {
        return -1;
    }
    walk->report.last = walk->sequence;
    walk->report.head = walk->stored;
    report_misfits(walk, err);
    if (check_heads(walk, err) < 0) {
        return -1;
    }
    if (walk->options->has_head &&
        check_head(walk, walk->options->head_sequence, &walk->options->head, err) < 0) {
        return -1;
    }
    return 0;
}

int verify_audit(const char *data_dir, const struct verify_options *options,
                 void (*problem)(void *ctx, const struct verify_problem *problem), void *ctx,
                 struct verify_report *ret_report, struct err *err)
{
    struct walk *walk = mem_zeroed(sizeof(*walk));
    char *path = db_path(data_dir, err);
    int rc = -1;

    walk->options = options;
    walk->problem = problem;
    walk->ctx = ctx;
    if (path == NULL || (walk->db = db_open(path, DB_READ, err)) == NULL) {
        goto out;
    }
    walk->trail = trail_open(walk->db, err);
    walk->suspects = trail_open(walk->db, err);
    if (walk->trail == NULL || walk->suspects == NULL || walk_all(walk, err) < 0) {
        goto out;
    }
    *ret_report = walk->report;
    rc = 0;
out:
    trail_close(walk->trail);
    trail_close(walk->suspects);
    db_close(walk->db);
    free(path);
    free(walk);
    return rc;
}
