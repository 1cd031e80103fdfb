/* SPDX-License-Identifier: Apache-2.0 */
#include "store/admissions.h"

#include "base/integer.h"
#include "store/query.h"

enum { USD_DECIMALS = 9, PAGE_ROWS = 500 };

/* ---- one row ---- */

/* Takes the last word off the end of *text. */
static struct str take_last(struct str *text)
{
    size_t from = text->len;

    while (from > 0 && text->data[from - 1] != ' ') {
        from--;
    }
    struct str word = str_slice(*text, from, text->len);
    *text = str_slice(*text, 0, from > 0 ? from - 1 : 0);
    return word;
}

/* " NAME AMOUNT" off the end. */
static bool take_amount(struct str *text, struct str name, bool *ret_none, int64_t *ret)
{
    struct str amount = take_last(text);

    *ret_none = str_equal(amount, STR("none"));
    return str_equal(take_last(text), name) &&
           (*ret_none || int_parse_decimal(amount, USD_DECIMALS, ret));
}

static enum admission look_at_level(struct str level)
{
    int64_t cap = 0, spent = 0, held = 0, used;
    bool no_cap, none;

    if (!take_amount(&level, STR("held"), &none, &held) || none ||
        !take_amount(&level, STR("spent"), &none, &spent) || none ||
        !take_amount(&level, STR("cap"), &no_cap, &cap) || !int_add(spent, held, &used)) {
        return ADMISSION_UNREADABLE;
    }
    return no_cap || used <= cap ? ADMISSION_WITHIN : ADMISSION_OVER;
}

enum admission admission_look(struct str levels)
{
    enum admission worst = levels.len > 0 ? ADMISSION_WITHIN : ADMISSION_UNREADABLE;

    while (levels.len > 0) {
        struct str one = str_take_until(&levels, ';');
        enum admission found = look_at_level(one);
        /* A tenant's name may have a semicolon: then the level goes on behind it. */
        while (found == ADMISSION_UNREADABLE && levels.len > 0) {
            struct str more = str_take_until(&levels, ';');
            one.len = (size_t)(more.data + more.len - one.data);
            found = look_at_level(one);
        }
        worst = found > worst ? found : worst;
    }
    return worst;
}

/* ---- all of them ---- */

struct looking {
    struct admissions_report *report;
    uint64_t left; /* rows */
};

static void look(void *ctx, const struct query_row *row)
{
    const struct message_row_audit *audit = row->audit;
    struct looking *looking = ctx;
    struct admissions_report *report = looking->report;

    looking->left -= looking->left > 0 ? 1 : 0;
    /* A repeat goes under what was admitted before, and asks for nothing. */
    if (audit->reserved <= 0 || str_equal(audit->reason, STR("repeat")) ||
        str_equal(audit->verdict, STR("denied"))) {
        return;
    }
    report->checked++;
    enum admission found = admission_look(audit->levels);
    if (found != ADMISSION_WITHIN) {
        report->over += found == ADMISSION_OVER;
        report->unreadable += found == ADMISSION_UNREADABLE;
        report->first = audit->sequence; /* the newest come first */
    }
}

int admissions_check(const char *data_dir, uint64_t rows_max, struct admissions_report *ret,
                     struct err *err)
{
    struct looking looking = {.report = ret, .left = rows_max};
    struct query_audit filter = {.has_event = true, .event = AUDIT_REQUEST, .limit = PAGE_ROWS};
    struct query *query = query_open(data_dir, err);
    uint64_t next = 0;
    int rc = query == NULL ? -1 : 0;

    *ret = (struct admissions_report){.complete = true};
    while (rc == 0) {
        rc = query_audit(query, &filter, look, &looking, &next, err);
        if (rc != 0 || next == 0) {
            break;
        }
        if (looking.left == 0) {
            ret->complete = false;
            break;
        }
        filter.before = next;
    }
    query_close(query);
    return rc;
}
