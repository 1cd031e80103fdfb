/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/window.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/integer.h"
#include "base/mem.h"

struct digest window_owner(enum budget_level level, struct str name)
{
    char kind = (char)level;
    struct str parts[] = {str_of(&kind, 1), name};

    return digest_of_parts(parts, 2);
}

void windows_init(struct windows *windows)
{
    windows->table = TABLE_OF(struct window, key);
    list_init(&windows->dirty);
    list_init(&windows->crossed);
}

void windows_clear(struct windows *windows)
{
    size_t at = 0;
    struct window *window;

    while ((window = table_next(&windows->table, &at)) != NULL) {
        free(window->name);
        free(window);
    }
    table_clear(&windows->table);
    list_init(&windows->dirty);
    list_init(&windows->crossed);
}

static struct window *find(const struct windows *windows, const struct digest *owner, int64_t day)
{
    struct window_key key;

    memset(&key, 0, sizeof(key));
    key.owner = *owner;
    key.day = day;
    return table_find(&windows->table, &key);
}

const struct window *windows_find(const struct windows *windows, const struct digest *owner,
                                  int64_t day)
{
    return find(windows, owner, day);
}

static struct window *find_or_add(struct windows *windows, const struct level *level)
{
    struct window *window = find(windows, &level->owner, level->day);

    if (window == NULL) {
        window = mem_zeroed(sizeof(*window));
        window->key.owner = level->owner;
        window->key.day = level->day;
        window->level = level->level;
        window->name = mem_copy_str(level->name);
        list_init(&window->dirty);
        list_init(&window->crossed);
        table_add(&windows->table, window);
    }
    return window;
}

static struct window *change(struct windows *windows, const struct level *level)
{
    struct window *window = find_or_add(windows, level);

    if (list_empty(&window->dirty)) {
        list_add(&windows->dirty, &window->dirty);
    }
    return window;
}

bool windows_take_changed(struct windows *windows, struct message_row_window *ret)
{
    if (list_empty(&windows->dirty)) {
        return false;
    }
    struct window *window = LIST_THING(windows->dirty.next, struct window, dirty);
    list_remove(&window->dirty);
    *ret = (struct message_row_window){.level = window->level,
                                       .owner = str_from(window->name),
                                       .day = window->key.day,
                                       .posted = window->posted,
                                       .held = window->held,
                                       .told = window->told,
                                       .overrun = window->overrun};
    return true;
}

/* ---- thresholds ---- */

static const unsigned thresholds[] = {50, 80, 100};
enum { THRESHOLDS = sizeof(thresholds) / sizeof(thresholds[0]) };

/* Is so much of the cap used? */
static bool reaches(const struct window *window, int64_t cap, unsigned percent)
{
    int64_t used, needed;

    if (cap < 0 || !int_mul_div_up(cap, percent, 100, &needed)) {
        return false;
    }
    return !int_add(window->posted, window->held, &used) || (used >= needed && used > 0);
}

static void look_at_thresholds(struct windows *windows, struct window *window, int64_t cap)
{
    unsigned reached = window->told;

    for (size_t i = 0; i < THRESHOLDS; i++) {
        if (thresholds[i] > reached && cap != MONEY_NONE && reaches(window, cap, thresholds[i])) {
            reached = thresholds[i];
        }
    }
    if (reached == window->told) {
        return;
    }
    if (list_empty(&window->crossed)) {
        window->to_tell = window->told;
        list_add(&windows->crossed, &window->crossed);
    }
    window->told = reached;
    window->cap = cap;
}

bool windows_take_crossed(struct windows *windows, struct crossing *ret)
{
    if (list_empty(&windows->crossed)) {
        return false;
    }
    struct window *window = LIST_THING(windows->crossed.next, struct window, crossed);
    for (size_t i = 0; i < THRESHOLDS && thresholds[i] <= window->told; i++) {
        if (thresholds[i] > window->to_tell) {
            window->to_tell = thresholds[i];
            break;
        }
    }
    if (window->to_tell == window->told) {
        list_remove(&window->crossed);
    }
    *ret = (struct crossing){.level = window->level,
                             .owner = str_from(window->name),
                             .day = window->key.day,
                             .cap = window->cap,
                             .posted = window->posted,
                             .held = window->held,
                             .percent = window->to_tell};
    return true;
}

static bool fits(const struct window *window, int64_t cap, int64_t asked)
{
    int64_t sum = 0;

    if (window != NULL && (window->overrun || !int_add(window->posted, window->held, &sum))) {
        return false;
    }
    /* Without a cap the sum must still fit the type. */
    return asked >= 0 && int_add(sum, asked, &sum) && (cap == MONEY_NONE || sum <= cap);
}

size_t windows_fits(const struct windows *windows, const struct level *levels, size_t count,
                    int64_t asked)
{
    for (size_t i = 0; i < count; i++) {
        if (!fits(find(windows, &levels[i].owner, levels[i].day), levels[i].cap, asked)) {
            return i;
        }
    }
    return count;
}

size_t windows_reserve(struct windows *windows, const struct level *levels, size_t count,
                       int64_t asked)
{
    size_t refused = windows_fits(windows, levels, count, asked);

    if (refused < count) {
        return refused;
    }
    for (size_t i = 0; i < count; i++) {
        struct window *window = change(windows, &levels[i]);
        window->held += asked;
        look_at_thresholds(windows, window, levels[i].cap);
        assert(levels[i].cap == MONEY_NONE || window->posted + window->held <= levels[i].cap);
    }
    return count;
}

static void add(int64_t *sum, int64_t delta)
{
    if (!int_add(*sum, delta, sum)) {
        *sum = INT64_MAX;
    }
}

void windows_move(struct windows *windows, const struct level *levels, size_t count, int64_t posted,
                  int64_t held)
{
    for (size_t i = 0; i < count; i++) {
        struct window *window = change(windows, &levels[i]);
        add(&window->posted, posted);
        add(&window->held, held);
        assert(window->posted >= 0 && window->held >= 0);
        look_at_thresholds(windows, window, levels[i].cap);
    }
}

void windows_set_overrun(struct windows *windows, const struct level *levels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        change(windows, &levels[i])->overrun = true;
    }
}

void windows_load(struct windows *windows, const struct message_row_window *row)
{
    struct level level = {.owner = window_owner(row->level, row->owner),
                          .level = row->level,
                          .name = row->owner,
                          .day = row->day};
    struct window *window = find_or_add(windows, &level);

    window->posted = row->posted;
    window->held = row->held;
    window->told = row->told;
    window->overrun = row->overrun;
}

static void forget(struct windows *windows, struct window *window)
{
    (void)table_remove(&windows->table, &window->key);
    list_remove(&window->dirty);
    list_remove(&window->crossed);
    free(window->name);
    free(window);
}

void windows_forget(struct windows *windows, int64_t day)
{
    size_t count = 0;
    size_t at = 0;
    struct window *window;
    struct window **old = mem_array(windows->table.count + 1, sizeof(struct window *));

    while ((window = table_next(&windows->table, &at)) != NULL) {
        if (window->key.day != WINDOW_LIFE && window->key.day < day && window->held == 0 &&
            list_empty(&window->dirty) && list_empty(&window->crossed)) {
            old[count++] = window;
        }
    }
    while (count > 0) {
        forget(windows, old[--count]);
    }
    free(old);
}

void windows_forget_owner(struct windows *windows, const struct digest *owner, int64_t day)
{
    int64_t days[] = {day, WINDOW_LIFE};

    for (size_t i = 0; i < 2; i++) {
        struct window *window = find(windows, owner, days[i]);
        if (window != NULL && window->held == 0 && list_empty(&window->dirty) &&
            list_empty(&window->crossed)) {
            forget(windows, window);
        }
    }
}
