/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The prices of a pack: {"source": ..., "as_of": ..., "usd": {name: {prefix: price}}}.
 */
#include <string.h>

#include "base/integer.h"
#include "pack/load_parts.h"

enum { PRICE_DECIMALS = 9 };

static int load_price(struct json_in *in, const struct json_place *at, json_t *value,
                      struct pack_rate *rate)
{
    const struct load_context *context = load_context_of(in);
    struct str price;

    if (json_in_text(in, at, value, PACK_NAME_MAX, &price) != 0) {
        return -1;
    }
    if (!int_parse_decimal(price, PRICE_DECIMALS, &rate->price)) {
        return json_in_fail(in, at, "a price is dollars as a decimal text, such as \"0.0079\"");
    }
    rate->source = context->rate_source;
    rate->as_of_ms = context->rate_as_of_ms;
    return 0;
}

static int load_rate_source(struct json_in *in, const struct json_place *at, json_t *value,
                            void *target)
{
    (void)target;
    return json_in_text(in, at, value, PACK_TEXT_MAX, &load_context_of(in)->rate_source);
}

static int load_rate_date(struct json_in *in, const struct json_place *at, json_t *value,
                          void *target)
{
    (void)target;
    return json_in_date(in, at, value, &load_context_of(in)->rate_as_of_ms);
}

static int load_rate_rows(struct json_in *in, const struct json_place *at, const char *name,
                          json_t *rows)
{
    struct pack *pack = load_context_of(in)->pack;
    const char *match;
    json_t *price;

    if (!json_is_object(rows)) {
        return json_in_fail(in, at, "must be an object of prices by prefix, \"*\" for the rest");
    }
    json_object_foreach(rows, match, price)
    {
        struct json_place here = {.up = at, .name = match};
        if (strcmp(match, "note") == 0) {
            continue;
        }
        if (pack->rate_count == PACK_RATES_MAX || strlen(match) > PACK_NAME_MAX ||
            strlen(name) > PACK_NAME_MAX || *match == '\0' || *name == '\0') {
            return json_in_fail(in, &here, "too many rates, or a name of a wrong length");
        }
        struct pack_rate *rate = &pack->rates[pack->rate_count++];
        rate->name = arena_copy(in->arena, str_from(name));
        rate->match = arena_copy(in->arena, str_from(match));
        if (load_price(in, &here, price, rate) != 0) {
            return -1;
        }
    }
    return 0;
}

static int load_rate_table(struct json_in *in, const struct json_place *at, json_t *value,
                           void *target)
{
    struct pack *pack = load_context_of(in)->pack;
    const char *name;
    json_t *rows;

    (void)target;
    if (!json_is_object(value)) {
        return json_in_fail(in, at, "must be an object of rates by name");
    }
    pack->rates = arena_zeroed(in->arena, PACK_RATES_MAX, sizeof(struct pack_rate));
    json_object_foreach(value, name, rows)
    {
        struct json_place here = {.up = at, .name = name};
        if (strcmp(name, "note") != 0 && load_rate_rows(in, &here, name, rows) != 0) {
            return -1;
        }
    }
    return 0;
}

int load_rates(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    static const struct json_member members[] = {{"source", JSON_REQUIRED, load_rate_source},
                                                 {"as_of", JSON_REQUIRED, load_rate_date},
                                                 {"usd", JSON_REQUIRED, load_rate_table}};

    return json_in_object(in, at, value, members, sizeof(members) / sizeof(members[0]), target);
}
