/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rows must say, whatever happened.  They are read by SQL of its own, through a second
 * connection, and compared with what the vendor did and what was promised to whom.
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sim.h"
#include "store/query.h"
#include "store/verify.h"

enum { HOLDS_MAX = 60000, DAYS_MAX = 64 };

struct row {
    uint64_t key;
    int owner; /* which of the world's keys; -1: of nobody's */
    int64_t day, held, posted;
    int state;
    bool presumed, estimated, there;
};

/* Sums of a key's subtree on one day; `day` -1 is the whole life. */
struct sum {
    int64_t day, held, posted;
};

static struct row *rows; /* by hold, less the first number of its step */
static sqlite3 *db;

static int each(const char *sql, void (*row)(sqlite3_stmt *))
{
    sqlite3_stmt *statement;
    int count = 0, rc;

    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        sim_fail("%s: %s", sql, sqlite3_errmsg(db));
    }
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        row(statement);
        count++;
    }
    if (rc != SQLITE_DONE) {
        sim_fail("%s: %s", sql, sqlite3_errmsg(db));
    }
    (void)sqlite3_finalize(statement);
    return count;
}

/* ---- holds ---- */

/* Numbers jump at each start, by what was set apart and not used. */
static struct {
    uint64_t number;
    int at;
} * places;
static int row_count;

static int compare_places(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : (x > y);
}

static void read_hold(sqlite3_stmt *statement)
{
    if (row_count == HOLDS_MAX) {
        sim_fail("more holds than the simulation has");
    }
    rows[row_count] = (struct row){.key = (uint64_t)sqlite3_column_int64(statement, 1),
                                   .day = sqlite3_column_int64(statement, 2),
                                   .state = sqlite3_column_int(statement, 3),
                                   .held = sqlite3_column_int64(statement, 4),
                                   .posted = sqlite3_column_int64(statement, 5),
                                   .presumed = sqlite3_column_int(statement, 6) != 0,
                                   .estimated = sqlite3_column_int(statement, 7) != 0,
                                   .there = true};
    places[row_count].number = (uint64_t)sqlite3_column_int64(statement, 0);
    places[row_count].at = row_count;
    row_count++;
}

static const struct row *hold_row(uint64_t number)
{
    const void *found =
        bsearch(&number, places, (size_t)row_count, sizeof(places[0]), compare_places);

    return found == NULL
               ? NULL
               : &rows[((const char *)found - (char *)places) / (ptrdiff_t)sizeof(places[0])];
}

static void check_holds(void)
{
    for (int i = 0; i < row_count; i++) {
        const struct row *row = &rows[i];
        if (row->held < 0 || row->posted < 0 ||
            (hold_is_over((enum hold_state)row->state) && row->held != 0) ||
            (row->state == HOLD_VOIDED && row->posted != 0)) {
            sim_fail("hold %" PRIu64 " in state %d holds %" PRId64 " and posted %" PRId64,
                     places[i].number, row->state, row->held, row->posted);
        }
    }
}

/* I4, and no lost spend: what the vendor did is posted or held, under the hold that it was sent
 * under. */
static void check_charges(void)
{
    int64_t *made = mem_array((size_t)row_count + 1, sizeof(int64_t));

    memset(made, 0, ((size_t)row_count + 1) * sizeof(int64_t));
    for (int i = 0; i < world->charge_count; i++) {
        const struct sim_charge *charge = &world->charges[i];
        const struct row *row = hold_row(charge->hold);
        if (row == NULL) {
            sim_fail("charge %d was made, and its hold %" PRIu64 " is not there", i, charge->hold);
        }
        if (row->held + row->posted < charge->amount) {
            sim_fail("charge %d of %" PRId64 ": its hold %" PRIu64 " (state %d) holds %" PRId64
                     " and posted %" PRId64,
                     i, charge->amount, charge->hold, row->state, row->held, row->posted);
        }
        /* A replay may come without facts; then what it is under stays as it is. */
        if (charge->acknowledged && !charge->by_replay && row->posted < charge->amount) {
            sim_fail("charge %d of life %u was acknowledged, and its hold %" PRIu64
                     " is in state %d",
                     i, charge->life, charge->hold, row->state);
        }
        made[row - rows] += charge->amount;
    }
    for (int i = 0; i < row_count; i++) {
        const struct row *row = &rows[i];
        if (row->posted != 0 && !row->presumed && !row->estimated && row->posted != made[i]) {
            sim_fail("hold %" PRIu64 " posted %" PRId64 ", the vendor took %" PRId64,
                     places[i].number, row->posted, made[i]);
        }
    }
    free(made);
}

/* ---- keys ---- */

static struct {
    uint64_t number;
    int status;
    bool there;
} stored[KEYS_MAX];

static int key_by_id(const char *id)
{
    for (int i = 0; i < world->key_count; i++) {
        if (strcmp(world->keys[i].id, id) == 0) {
            return i;
        }
    }
    return -1;
}

static void read_key(sqlite3_stmt *statement)
{
    int at = key_by_id((const char *)sqlite3_column_text(statement, 1));

    if (at >= 0) {
        stored[at].number = (uint64_t)sqlite3_column_int64(statement, 0);
        stored[at].status = sqlite3_column_int(statement, 2);
        stored[at].there = true;
    }
}

static void check_keys(void)
{
    for (int i = 0; i < world->key_count; i++) {
        const struct sim_key *key = &world->keys[i];
        if (key->issued && !stored[i].there) {
            sim_fail("%s was issued and is not there", key->id);
        }
        if (key->revoked && stored[i].status < KEY_REVOKED) {
            int up = i;
            while (up >= 0 && stored[up].status < KEY_REVOKED) {
                up = world->keys[up].parent;
            }
            if (up < 0) {
                sim_fail("%s was revoked and lives", key->id);
            }
        }
    }
}

/* ---- windows ---- */

static bool is_below(int key, int ancestor)
{
    while (key >= 0 && key != ancestor) {
        key = world->keys[key].parent;
    }
    return key == ancestor;
}

static void find_owners(void)
{
    for (int i = 0; i < row_count; i++) {
        rows[i].owner = -1;
        for (int k = 0; k < world->key_count; k++) {
            if (stored[k].there && stored[k].number == rows[i].key) {
                rows[i].owner = k;
                break;
            }
        }
    }
}

static void check_window(sqlite3_stmt *statement)
{
    const char *owner = (const char *)sqlite3_column_text(statement, 0);
    int64_t day = sqlite3_column_int64(statement, 1);
    int64_t posted = sqlite3_column_int64(statement, 2);
    int64_t held = sqlite3_column_int64(statement, 3);
    int at = key_by_id(owner);
    int64_t sum_held = 0, sum_posted = 0;

    if (at < 0) {
        return; /* of a key that was never promised to anybody */
    }
    if (posted + held > world->keys[at].cap) {
        sim_fail("I1: %s on day %" PRId64 ": %" PRId64 " + %" PRId64 " of %" PRId64, owner, day,
                 posted, held, world->keys[at].cap);
    }
    for (int i = 0; i < row_count; i++) {
        if (rows[i].owner >= 0 && is_below(rows[i].owner, at) &&
            (day == -1 || rows[i].day == day)) {
            sum_held += rows[i].held;
            sum_posted += rows[i].posted;
        }
    }
    if (sum_held != held || sum_posted != posted) {
        sim_fail("%s on day %" PRId64 ": its window has posted %" PRId64 " held %" PRId64
                 ", its holds %" PRId64 " and %" PRId64,
                 owner, day, posted, held, sum_posted, sum_held);
    }
}

/* ---- intents ---- */

static uint64_t newest;

static void see_intent(void *ctx, const struct query_row *row)
{
    const struct message_row_audit *audit = row->audit;

    (void)ctx;
    newest = audit->sequence > newest ? audit->sequence : newest;
    if (audit->event != AUDIT_REQUEST || audit->sequence <= world->audit_seen) {
        return;
    }
    for (int i = world->charge_count - 1; i >= 0; i--) {
        struct sim_charge *charge = &world->charges[i];
        charge->has_intent = charge->has_intent || charge->grant == audit->attempt;
    }
}

static void check_intents(void)
{
    struct err err = {""};
    struct query *query = query_open(sim_dir, &err);
    struct query_audit filter = {.limit = 500};
    uint64_t more = 0;

    do {
        if (query == NULL || query_audit(query, &filter, see_intent, NULL, &more, &err) < 0) {
            sim_fail("the audit cannot be read: %s", err.text);
        }
        filter.before = more;
    } while (more > world->audit_seen);
    query_close(query);
    world->audit_seen = newest > world->audit_seen ? newest : world->audit_seen;
    for (int i = 0; i < world->charge_count; i++) {
        if (!world->charges[i].has_intent) {
            sim_fail("charge %d (grant %" PRIu64 ") has no intent row", i, world->charges[i].grant);
        }
    }
}

static void check_chain(void)
{
    struct err err = {""};
    struct verify_options options = {.has_head = false};
    struct verify_report report = {0};

    if (verify_audit(sim_dir, &options, NULL, NULL, &report, &err) < 0 || report.problems > 0) {
        sim_fail("the audit's chain: %" PRIu64 " problems, the first at %" PRIu64 ": %s %s",
                 report.problems, report.first_problem.sequence,
                 verify_kind_text(report.first_problem.kind), err.text);
    }
}

void oracle_check(bool whole)
{
    if (rows == NULL) {
        rows = mem_array(HOLDS_MAX, sizeof(*rows));
        places = mem_array(HOLDS_MAX, sizeof(*places));
    }
    if (sqlite3_open_v2("/keybrake.db", &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        sim_fail("the database cannot be opened");
    }
    row_count = 0;
    (void)each("SELECT hold, key, day, state, held, posted, presumed, estimated FROM holds"
               " ORDER BY hold",
               read_hold);
    (void)each("SELECT key, id, status FROM keys", read_key);
    find_owners();
    check_holds();
    check_keys();
    (void)each("SELECT owner, day, posted, held FROM windows WHERE level = 0", check_window);
    check_charges();
    (void)sqlite3_close(db);
    check_intents();
    if (whole) {
        check_chain();
    }
}

void oracle_check_quiet(void)
{
    size_t at = 0;
    const struct hold *hold;

    while ((hold = table_next(&sim_judge_state->holds, &at)) != NULL) {
        if (hold->row.state == HOLD_OPEN) {
            sim_fail("hold %" PRIu64 " is open, and nothing is under way", hold->number);
        }
    }
}
