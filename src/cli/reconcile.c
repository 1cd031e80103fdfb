/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile: compares what the vendor says happened with what keybrake wrote down.
 *
 * Both sides are summed by object: what the vendor calls the thing that moved the money (pi_1,
 * SM1), or its id of the request where there is none.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/digest.h"
#include "base/integer.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/table.h"
#include "cli/commands.h"
#include "policy/usd.h"
#include "store/query.h"

const struct option reconcile_options[] = {
    {"vendor-log", "FILE",
     "what the vendor says happened, one JSON object a line ('-': standard input)", false, true},
    {"json", NULL, "print JSON, one difference a line", false, false},
};
const size_t reconcile_options_count = sizeof(reconcile_options) / sizeof(reconcile_options[0]);

enum { LINE_BYTES_MAX = 64 * 1024, LINES_MAX = 1000000, USD_DECIMALS = 9, PAGE_ROWS = 500 };

/* One thing that moved money, as both sides know it. */
struct thing {
    struct digest name; /* for the table: of the first way it was named */
    struct str vendor, id;
    int64_t vendor_sum, our_sum;
    bool at_vendor, ours;
    uint64_t hold; /* the newest */
    struct str state, operation, key;
};

/* A name of a thing: its object, the vendor's id of the request. */
struct alias {
    struct digest name;
    struct thing *thing;
};

struct hold_seen {
    uint64_t hold;
    struct thing *thing;
};

struct books {
    struct arena *arena;
    struct table aliases, holds;
    struct thing **things;
    size_t count, size;
    struct str *vendors; /* named in the log */
    size_t vendor_count;
};

static struct digest name_of(struct str vendor, const char *kind, struct str id)
{
    const struct str parts[] = {vendor, STR("\n"), str_from(kind), STR("\n"), id};

    return digest_of_parts(parts, sizeof(parts) / sizeof(parts[0]));
}

static struct thing *find(const struct books *books, struct str vendor, const char *kind,
                          struct str id)
{
    struct digest name = name_of(vendor, kind, id);
    struct alias *alias = id.len == 0 ? NULL : table_find(&books->aliases, &name);

    return alias == NULL ? NULL : alias->thing;
}

static void call_it(struct books *books, struct thing *thing, const char *kind, struct str id)
{
    if (id.len == 0 || find(books, thing->vendor, kind, id) != NULL) {
        return;
    }
    struct alias *alias = arena_zeroed(books->arena, 1, sizeof(*alias));
    alias->name = name_of(thing->vendor, kind, id);
    alias->thing = thing;
    table_add(&books->aliases, alias);
    if (thing->id.len == 0) {
        thing->id = arena_copy(books->arena, id);
    }
}

static struct thing *add_thing(struct books *books, struct str vendor)
{
    struct thing *thing = arena_zeroed(books->arena, 1, sizeof(*thing));

    thing->vendor = arena_copy(books->arena, vendor);
    if (books->count == books->size) {
        books->size = books->size == 0 ? 256 : 2 * books->size;
        books->things = mem_grow(books->things, books->size, sizeof(struct thing *));
    }
    books->things[books->count++] = thing;
    return thing;
}

/* ---- the vendor's side ---- */

static struct str text_of(const json_t *line, const char *name)
{
    const json_t *value = json_object_get(line, name);

    return json_is_string(value) ? str_of(json_string_value(value), json_string_length(value))
                                 : STR_NONE;
}

static const char *const known_members[] = {"vendor",       "object",   "request_id", "amount_usd",
                                            "amount_minor", "currency", "at",         "note"};

static int check_members(json_t *line, struct err *err)
{
    const char *name;
    json_t *value;

    json_object_foreach(line, name, value)
    {
        bool known = false;
        for (size_t i = 0; i < sizeof(known_members) / sizeof(known_members[0]); i++) {
            known = known || strcmp(name, known_members[i]) == 0;
        }
        if (!known) {
            return err_set(err, "'%.64s' is not known here", name);
        }
    }
    return 0;
}

static int read_amount(const json_t *line, int64_t *ret, struct err *err)
{
    struct str usd = text_of(line, "amount_usd"), currency = text_of(line, "currency");
    const json_t *minor = json_object_get(line, "amount_minor");

    if (usd.len > 0 && minor == NULL) {
        return int_parse_decimal(usd, USD_DECIMALS, ret)
                   ? 0
                   : err_set(err, "amount_usd is dollars as a decimal text");
    }
    if (usd.len > 0 || !json_is_integer(minor) || !str_equal_nocase(currency, STR("usd"))) {
        return err_set(err,
                       "say amount_usd (a text), or amount_minor with currency usd: an amount in "
                       "another currency must be given in dollars");
    }
    if (json_integer_value(minor) < 0 ||
        !int_mul_div_up(json_integer_value(minor), NANO_PER_USD / 100, 1, ret)) {
        return err_set(err, "amount_minor is a whole number, and not negative");
    }
    return 0;
}

static void note_vendor(struct books *books, struct str vendor)
{
    for (size_t i = 0; i < books->vendor_count; i++) {
        if (str_equal(books->vendors[i], vendor)) {
            return;
        }
    }
    books->vendors = mem_grow(books->vendors, books->vendor_count + 1, sizeof(struct str));
    books->vendors[books->vendor_count++] = arena_copy(books->arena, vendor);
}

static int take_line(struct books *books, json_t *line, struct err *err)
{
    struct str vendor = text_of(line, "vendor"), object = text_of(line, "object");
    struct str request = text_of(line, "request_id");
    int64_t amount;

    if (check_members(line, err) < 0 || read_amount(line, &amount, err) < 0) {
        return -1;
    }
    if (vendor.len == 0 || object.len + request.len == 0) {
        return err_set(err, "a line has a vendor, and an object or a request_id");
    }
    note_vendor(books, vendor);
    struct thing *thing = find(books, vendor, "object", object);
    if (thing == NULL) {
        thing = find(books, vendor, "request", request);
    }
    if (thing == NULL) {
        thing = add_thing(books, vendor);
    }
    call_it(books, thing, "object", object);
    call_it(books, thing, "request", request);
    thing->at_vendor = true;
    return int_add(thing->vendor_sum, amount, &thing->vendor_sum)
               ? 0
               : err_set(err, "more than can be counted");
}

static int read_log(struct books *books, FILE *file, struct err *err)
{
    char *text = NULL;
    size_t size = 0, number = 0;
    ssize_t length;
    int rc = 0;

    while (rc == 0 && (length = getline(&text, &size, file)) >= 0) {
        json_error_t why;
        struct err problem = {""};
        if (++number > LINES_MAX || length > LINE_BYTES_MAX) {
            rc = err_set(err, "line %zu: too long, or more than %d lines", number, LINES_MAX);
            break;
        }
        if (str_trim(str_of(text, strcspn(text, "\r\n"))).len == 0) {
            continue;
        }
        json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, &why);
        if (!json_is_object(line)) {
            rc = err_set(err, "line %zu: not a JSON object", number);
        } else if (take_line(books, line, &problem) < 0) {
            rc = err_set(err, "line %zu: %s", number, problem.text);
        }
        json_decref(line);
    }
    free(text);
    return rc;
}

/* ---- our side ---- */

static struct thing *thing_of(struct books *books, const struct message_row_audit *row)
{
    struct hold_seen *seen = table_find(&books->holds, &row->hold);
    struct thing *thing;
    char number[32];

    if (seen == NULL) {
        thing = find(books, row->vendor, "object", row->objects);
        if (thing == NULL) {
            thing = find(books, row->vendor, "request", row->vendor_request_id);
        }
        if (thing == NULL) {
            thing = add_thing(books, row->vendor);
        }
        seen = arena_zeroed(books->arena, 1, sizeof(*seen));
        *seen = (struct hold_seen){.hold = row->hold, .thing = thing};
        table_add(&books->holds, seen);
        (void)snprintf(number, sizeof(number), "hold %" PRIu64, row->hold);
        call_it(books, thing, "object", row->objects);
        call_it(books, thing, "request", row->vendor_request_id);
        call_it(books, thing, "hold", str_from(number));
    }
    return seen->thing;
}

static void take_row(void *ctx, const struct query_row *row)
{
    const struct message_row_audit *audit = row->audit;
    struct books *books = ctx;

    if (audit->hold == 0 || str_equal(audit->verdict, STR("denied"))) {
        return;
    }
    struct thing *thing = thing_of(books, audit);
    if (thing->hold < audit->hold || thing->state.len == 0) {
        thing->hold = audit->hold;
        thing->state = arena_copy(books->arena, audit->hold_state);
        thing->operation = arena_copy(books->arena, audit->operation);
        thing->key = arena_copy(books->arena, row->key_id);
    }
    thing->ours = true;
    (void)int_add(thing->our_sum, audit->settled, &thing->our_sum);
}

static int read_rows(struct books *books, const char *dir, struct err *err)
{
    struct query *query = query_open(dir, err);
    struct query_audit filter = {.limit = PAGE_ROWS};
    uint64_t next = 0;
    int rc = query == NULL ? -1 : 0;

    while (rc == 0) {
        rc = query_audit(query, &filter, take_row, books, &next, err);
        if (rc != 0 || next == 0) {
            break;
        }
        filter.before = next;
    }
    query_close(query);
    return rc;
}

/* ---- differences ---- */

static bool is_of_log(const struct books *books, const struct thing *thing)
{
    for (size_t i = 0; i < books->vendor_count; i++) {
        if (str_equal(books->vendors[i], thing->vendor)) {
            return true;
        }
    }
    return false;
}

static const char *difference(const struct thing *thing)
{
    if (thing->vendor_sum == thing->our_sum) {
        return NULL;
    }
    if (!thing->ours) {
        return "only_at_vendor";
    }
    return thing->at_vendor ? "amount" : "not_at_vendor";
}

static void write_remedy(const struct thing *thing, struct buf *out)
{
    if (!thing->ours) {
        (void)buf_add_str(out, STR("it did not pass through keybrake: find out who holds the real "
                                   "key, and rotate it (keybrake credential put)"));
    } else if (!thing->at_vendor) {
        (void)buf_addf(out,
                       "if the vendor's log is complete: keybrake holds resolve %" PRIu64 " voided",
                       thing->hold);
    } else {
        (void)buf_addf(out, "keybrake holds resolve %" PRIu64 " posted %s", thing->hold,
                       usd_text(thing->vendor_sum).text);
    }
}

static void show_text(const struct thing *thing, const char *kind, struct str remedy)
{
    (void)printf("%.*s %.*s: the vendor says $%s, keybrake has $%s", STR_FMT(thing->vendor),
                 STR_FMT(thing->id), usd_text(thing->vendor_sum).text,
                 usd_text(thing->our_sum).text);
    if (thing->ours) {
        (void)printf(" (hold %" PRIu64 ", %.*s, %.*s, %.*s)", thing->hold, STR_FMT(thing->state),
                     STR_FMT(thing->operation), STR_FMT(thing->key));
    }
    (void)printf("\n    %s: %.*s\n", kind, STR_FMT(remedy));
}

static void show_json(const struct thing *thing, const char *kind, struct str remedy)
{
    struct buf text;

    buf_init(&text, 16 * 1024);
    struct json_out out = json_begin(&text);
    const struct {
        const char *name;
        struct str value;
    } members[] = {{"difference", str_from(kind)},
                   {"vendor", thing->vendor},
                   {"object", thing->id},
                   {"state", thing->state},
                   {"operation", thing->operation},
                   {"key", thing->key},
                   {"remedy", remedy}};
    json_open(&out, '{');
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        json_name(&out, members[i].name);
        json_text(&out, members[i].value);
    }
    json_name(&out, "hold");
    json_i64(&out, (int64_t)thing->hold);
    json_name(&out, "vendor_usd");
    json_text(&out, str_from(usd_text(thing->vendor_sum).text));
    json_name(&out, "keybrake_usd");
    json_text(&out, str_from(usd_text(thing->our_sum).text));
    json_close(&out, '}');
    (void)printf("%.*s\n", STR_FMT(buf_str(&text)));
    buf_clear(&text);
}

static size_t show_all(const struct books *books, bool json)
{
    size_t differences = 0;

    for (size_t i = 0; i < books->count; i++) {
        const struct thing *thing = books->things[i];
        const char *kind = is_of_log(books, thing) ? difference(thing) : NULL;
        struct buf remedy;
        if (kind == NULL) {
            continue;
        }
        differences++;
        buf_init(&remedy, 1024);
        write_remedy(thing, &remedy);
        (json ? show_json : show_text)(thing, kind, buf_str(&remedy));
        buf_clear(&remedy);
    }
    return differences;
}

int run_reconcile(const struct invocation *invocation)
{
    const char *path = option_value(invocation, "vendor-log");
    bool standard = strcmp(path, "-") == 0;
    struct books books = {.arena = arena_new(),
                          .aliases = TABLE_OF(struct alias, name),
                          .holds = TABLE_OF(struct hold_seen, hold)};
    FILE *file = standard ? stdin : fopen(path, "re");
    struct err err = {""};
    int rc;

    digest_setup();
    if (file == NULL) {
        rc = say_refused("%s cannot be opened: %s", path, strerror(errno));
    } else if (read_log(&books, file, &err) < 0) {
        rc = say_refused("%s: %s", path, err.text);
    } else if (read_rows(&books, data_directory(invocation), &err) < 0) {
        rc = say_refused("%s", err.text);
    } else {
        size_t differences = show_all(&books, option_given(invocation, "json"));
        rc = differences == 0 ? EXIT_DONE
                              : say_refused("%zu differences between the vendor's log and "
                                            "keybrake's",
                                            differences);
        if (differences == 0 && !option_given(invocation, "json")) {
            (void)printf("no differences: %zu objects\n", books.count);
        }
    }
    if (file != NULL && !standard) {
        (void)fclose(file);
    }
    table_clear(&books.aliases);
    table_clear(&books.holds);
    free(books.things);
    free(books.vendors);
    arena_free(books.arena);
    return rc;
}
