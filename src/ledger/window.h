/* SPDX-License-Identifier: Apache-2.0 */
/*
 * window: budgets.  A window is one owner's money on one UTC day, or for its whole life.
 *
 * A request is charged to several levels (its key, that key's ancestors, the tenant; each by day
 * and for life) together or not at all.  At each admission, on every level:
 *
 *     posted + held + asked <= cap
 *
 * A settlement goes to the window stored in the hold, never to "today".
 */
#ifndef LEDGER_WINDOW_H
#define LEDGER_WINDOW_H

#include "base/digest.h"
#include "base/list.h"
#include "base/table.h"
#include "ipc/message.h"
#include "policy/policy.h"

#define WINDOW_LIFE INT64_C(-1) /* instead of a day */

/* A key, its three ancestors and the tenant, each with a day and a life. */
enum { WINDOW_LEVELS_MAX = 10 };

struct window_key {
    struct digest owner; /* window_owner() */
    int64_t day;
};

struct window {
    struct window_key key;
    enum budget_level level;
    int64_t posted, held;
    bool overrun;  /* a settlement went above its hold: nothing more is admitted */
    unsigned told; /* the highest threshold that was reached */
    char *name;
    struct list dirty;   /* in windows.dirty while its row is to be written */
    struct list crossed; /* in windows.crossed while thresholds are to be told */
    unsigned to_tell;    /* the highest that is told already */
    int64_t cap;         /* by which the last was reached */
};

struct windows {
    struct table table;
    struct list dirty, crossed;
};

/* One budget that a request counts against. */
struct level {
    struct digest owner;
    enum budget_level level;
    struct str name; /* key id or tenant, for rows and people; borrowed */
    int64_t day;     /* or WINDOW_LIFE */
    int64_t cap;     /* MONEY_NONE: none */
};

struct digest window_owner(enum budget_level level, struct str name);

void windows_init(struct windows *windows);
void windows_clear(struct windows *windows);

const struct window *windows_find(const struct windows *windows, const struct digest *owner,
                                  int64_t day); /* NULL: nothing was ever charged to it */

/* Sets `asked` aside on all levels and returns `count`; or changes nothing and returns the index
 * of the first level where it does not fit. */
size_t windows_reserve(struct windows *windows, const struct level *levels, size_t count,
                       int64_t asked);

/* Would windows_reserve() do it?  The same answer, and nothing changes. */
size_t windows_fits(const struct windows *windows, const struct level *levels, size_t count,
                    int64_t asked);

/* A hold's money moved: the deltas go to every level; none becomes negative (asserted).  A sum
 * that would not fit stays at the highest there is, where nothing is admitted any more: what a
 * vendor says it charged must not end this process. */
void windows_move(struct windows *windows, const struct level *levels, size_t count, int64_t posted,
                  int64_t held);
void windows_set_overrun(struct windows *windows, const struct level *levels, size_t count);

/* A window that changed since it was last taken, as a row to store; false: there is none.  The
 * row's text lives as long as the window. */
bool windows_take_changed(struct windows *windows, struct message_row_window *ret);

/* Half, four fifths or all of a cap is posted or held: once a window, across restarts too. */
struct crossing {
    enum budget_level level;
    struct str owner; /* lives as long as the window */
    int64_t day, cap, posted, held;
    unsigned percent;
};
/* One that was reached and not yet taken; false: there is none. */
bool windows_take_crossed(struct windows *windows, struct crossing *ret);

/* As stored. */
void windows_load(struct windows *windows, const struct message_row_window *row);

/* Forgets days before `day` on which nothing is held any more. */
void windows_forget(struct windows *windows, int64_t day);

/* Forgets an owner's windows on `day` and for life, when nothing is held in them. */
void windows_forget_owner(struct windows *windows, const struct digest *owner, int64_t day);

#endif
