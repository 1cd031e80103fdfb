/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every interleaving of three requests of two keys, one of them below the other, with a crash at
 * every point: the ledger's own windows and holds, driven by a small server that admits, commits,
 * sends and settles in steps, over a disk that keeps what was committed.
 *
 *     NEW -> admitted -> durable -> sent -> done by the vendor or not -> settled -> settled,
 * durable
 *
 * States that were seen are not gone into again; each is made anew from what it says, as a start
 * makes it from rows.  Checked in each:
 *
 *   I1  posted + held <= cap, in memory and on the disk, on every level
 *   I2  a hold resolves once: hold_move() asserts the edges, and here none leaves POSTED or VOIDED
 *   I3  nothing is sent before its hold is on the disk
 *   I4  what the vendor did is posted or held, and after a crash nothing is voided
 *   I6  what was admitted yesterday is settled yesterday
 *   I7  what was posted stays posted
 *
 * (I5 is about leases of several nodes, which there are none of.)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/test.h"
#include "ledger/hold.h"

enum { REQUESTS = 3, KEYS = 2, CAP = 4, LEVELS = 2, DAYS = 2, SEEN_SIZE = 1 << 21 };

enum step { NEW, REFUSED, ADMITTED, DURABLE, SENT, ANSWERED, SETTLED, OVER, STEP_COUNT };

/* One request: where it stands, what its hold is in memory and on the disk. */
struct one {
    unsigned char step, state, disk_state;
    unsigned char held, posted, disk_held, disk_posted, day;
    bool on_disk, sent, done; /* done: by the vendor */
};

struct model {
    struct one ones[REQUESTS];
    unsigned char today;
    bool crashed;
};

/* Of key 0, of key 1, which is below key 0, and of key 0 again; the last asks for what may not fit.
 */
static const struct {
    int key;
    int64_t amount;
} asks[REQUESTS] = {{0, 2}, {1, 2}, {1, 1}};

static size_t count_seen, crashes, refusals;
static unsigned char *seen;

static struct digest owner_of(int key)
{
    return window_owner(LEVEL_KEY, key == 0 ? STR("above") : STR("below"));
}

/* The key's own window, and that of the key above it. */
static size_t levels_of(int key, int day, struct level *levels)
{
    size_t count = 0;

    for (int k = key; k >= 0; k--) {
        levels[count++] = (struct level){.owner = owner_of(k),
                                         .level = LEVEL_KEY,
                                         .name = k == 0 ? STR("above") : STR("below"),
                                         .day = day,
                                         .cap = k == 0 ? CAP : CAP - 1};
    }
    return count;
}

/* ---- memory, made from a model and taken out of it ---- */

static void load_windows(const struct model *model, struct windows *windows)
{
    windows_init(windows);
    for (int key = 0; key < KEYS; key++) {
        for (int day = 0; day < DAYS; day++) {
            struct message_row_window row = {
                .level = LEVEL_KEY, .owner = key == 0 ? STR("above") : STR("below"), .day = day};
            for (int i = 0; i < REQUESTS; i++) {
                const struct one *one = &model->ones[i];
                if (asks[i].key >= key && one->day == day && one->step >= ADMITTED) {
                    row.posted += one->posted;
                    row.held += one->held;
                }
            }
            windows_load(windows, &row);
        }
    }
}

static bool fits_caps(const struct windows *windows)
{
    struct level levels[LEVELS];
    bool good = true;

    for (int day = 0; day < DAYS; day++) {
        size_t count = levels_of(1, day, levels);
        for (size_t i = 0; i < count; i++) {
            const struct window *window = windows_find(windows, &levels[i].owner, day);
            good = good && (window == NULL || window->posted + window->held <= levels[i].cap);
        }
    }
    return good;
}

/* The disk as it stands: its windows are written in the batch of their holds, so they are the sums
 * of what the holds on it say. */
static struct model of_disk(const struct model *model)
{
    struct model disk = *model;

    for (int i = 0; i < REQUESTS; i++) {
        struct one *one = &disk.ones[i];
        one->step = one->on_disk ? ADMITTED : NEW;
        one->state = one->disk_state;
        one->held = one->disk_held;
        one->posted = one->disk_posted;
    }
    return disk;
}

static void check(const struct model *model)
{
    struct model disk = of_disk(model);
    struct windows windows;

    load_windows(model, &windows);
    CHECK(fits_caps(&windows)); /* I1 */
    windows_clear(&windows);
    load_windows(&disk, &windows);
    CHECK(fits_caps(&windows));
    windows_clear(&windows);
    for (int i = 0; i < REQUESTS; i++) {
        const struct one *one = &model->ones[i];
        CHECK(!one->sent || one->on_disk);                                        /* I3 */
        CHECK(!one->done || one->posted + one->held >= asks[i].amount);           /* I4 */
        CHECK(!one->done || one->disk_posted + one->disk_held >= asks[i].amount); /* I4 */
        CHECK(one->posted >= one->disk_posted);                                   /* I7 */
        CHECK(one->step != OVER || !one->on_disk || one->disk_state == one->state);
    }
}

/* Moves a request's hold by the real mover, with the real windows of this state. */
static void move(struct model *model, int i, enum hold_state state, int64_t posted, int64_t held)
{
    struct one *one = &model->ones[i];
    struct level levels[LEVELS];
    struct windows windows;
    struct message_row_hold row = {.hold = (uint64_t)i + 1,
                                   .day = one->day,
                                   .state = (enum hold_state)one->state,
                                   .held = one->held,
                                   .posted = one->posted};
    struct hold *hold = hold_new(&row);
    struct hold_change change = {.state = state, .posted = posted, .held = held};

    load_windows(model, &windows);
    size_t count = levels_of(asks[i].key, one->day, levels); /* I6: the day of its admission */
    const struct window *before = windows_find(&windows, &levels[0].owner, one->day);
    int64_t held_before = before->held, posted_before = before->posted;
    CHECK(hold_may_move(row.state, state));
    CHECK(!hold_move(hold, &windows, levels, count, &change));
    const struct window *after = windows_find(&windows, &levels[0].owner, one->day);
    CHECK(after->held - held_before == held - row.held);
    CHECK(after->posted - posted_before == posted - row.posted);
    one->state = (unsigned char)hold->row.state;
    one->posted = (unsigned char)hold->row.posted;
    one->held = (unsigned char)hold->row.held;
    hold_free(hold);
    windows_clear(&windows);
}

/* ---- what may happen ---- */

static void explore(const struct model *model);

static void admit(struct model next, int i)
{
    struct one *one = &next.ones[i];
    struct level levels[LEVELS];
    struct windows windows;

    load_windows(&next, &windows);
    size_t count = levels_of(asks[i].key, next.today, levels);
    bool fits = windows_reserve(&windows, levels, count, asks[i].amount) == count;
    one->step = fits ? ADMITTED : REFUSED;
    one->day = next.today;
    if (fits) {
        const struct window *own = windows_find(&windows, &levels[0].owner, next.today);
        CHECK(own->held >= asks[i].amount);
        one->state = HOLD_OPEN;
        one->held = (unsigned char)asks[i].amount;
    } else {
        refusals++;
    }
    windows_clear(&windows);
    explore(&next);
}

/* A group commit: all that is in memory is on the disk now. */
static void commit(struct model next)
{
    for (int i = 0; i < REQUESTS; i++) {
        struct one *one = &next.ones[i];
        if (one->step < ADMITTED) {
            continue;
        }
        one->on_disk = true;
        one->disk_state = one->state;
        one->disk_held = one->held;
        one->disk_posted = one->posted;
        one->step = one->step == ADMITTED ? DURABLE : one->step;
        one->step = one->step == SETTLED ? OVER : one->step;
    }
    explore(&next);
}

static void settle(const struct model *model, int i)
{
    int64_t amount = asks[i].amount;
    struct model next;

    if (model->ones[i].done) { /* answered; or its answer was lost */
        next = *model;
        move(&next, i, HOLD_POSTED, amount, 0);
        next.ones[i].step = SETTLED;
        explore(&next);
    } else { /* refused by the vendor, which is proof */
        next = *model;
        move(&next, i, HOLD_VOIDED, 0, 0);
        next.ones[i].step = SETTLED;
        explore(&next);
    }
    if (model->ones[i].state == HOLD_OPEN) {
        next = *model;
        move(&next, i, HOLD_UNKNOWN, 0, amount);
        explore(&next);
    }
}

/* Memory is gone; what the disk says is loaded, and what was open is unknown. */
static void crash(const struct model *model)
{
    struct model next = of_disk(model);

    crashes++;
    next.crashed = true;
    for (int i = 0; i < REQUESTS; i++) {
        struct one *one = &next.ones[i];
        if (!one->on_disk) {
            CHECK(!one->done && !one->sent);
            *one = (struct one){.step = REFUSED}; /* its client was never answered */
            continue;
        }
        one->step = hold_is_over((enum hold_state)one->state) ? OVER : ANSWERED;
        if (one->state == HOLD_OPEN) {
            move(&next, i, HOLD_UNKNOWN, one->posted, one->held);
        }
    }
    explore(&next);
}

static void go_on(const struct model *model, int i)
{
    const struct one *one = &model->ones[i];
    struct model next = *model;

    switch ((enum step)one->step) {
    case NEW:
        admit(next, i);
        break;
    case DURABLE: /* sent; or proven not to be */
        next.ones[i].step = SENT;
        next.ones[i].sent = true;
        explore(&next);
        next = *model;
        move(&next, i, HOLD_VOIDED, 0, 0);
        next.ones[i].step = SETTLED;
        explore(&next);
        break;
    case SENT:
        next.ones[i].step = ANSWERED;
        explore(&next);
        next.ones[i].done = true;
        explore(&next);
        break;
    case ANSWERED:
        if (!hold_is_over((enum hold_state)one->state)) {
            settle(model, i);
        }
        break;
    case REFUSED:
    case ADMITTED:
    case SETTLED:
    case OVER:
    case STEP_COUNT:
    default:
        break;
    }
}

static bool is_new(const struct model *model)
{
    struct digest digest = digest_of(str_of((const char *)model, sizeof(*model)));
    uint64_t hash;

    /* Two that share one of 2^21 places of a filter by 8 bytes would hide one state: so the whole
     * table is kept exact, by 63 bits. */
    memcpy(&hash, digest.bytes, sizeof(hash));
    hash |= 1;
    for (size_t at = hash % SEEN_SIZE;; at = (at + 1) % SEEN_SIZE) {
        uint64_t there;
        memcpy(&there, seen + at * sizeof(there), sizeof(there));
        if (there == hash) {
            return false;
        }
        if (there == 0) {
            memcpy(seen + at * sizeof(hash), &hash, sizeof(hash));
            count_seen++;
            return true;
        }
    }
}

static void explore(const struct model *model)
{
    if (!is_new(model)) {
        return;
    }
    check(model);
    for (int i = 0; i < REQUESTS; i++) {
        go_on(model, i);
    }
    commit(*model);
    if (model->today + 1 < DAYS) {
        struct model next = *model;
        next.today++;
        explore(&next);
    }
    if (!model->crashed) {
        crash(model);
    }
}

int main(void)
{
    struct model begin;

    memset(&begin, 0, sizeof(begin));
    digest_setup();
    seen = mem_array(SEEN_SIZE, sizeof(uint64_t));
    memset(seen, 0, SEEN_SIZE * sizeof(uint64_t));
    explore(&begin);
    (void)printf("%zu states, %zu crashes, %zu refusals\n", count_seen, crashes, refusals);
    CHECK(count_seen > 10000 && count_seen < SEEN_SIZE / 2);
    CHECK(crashes > 1000 && refusals > 10);
    free(seen);
    return test_done();
}
