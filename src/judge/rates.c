/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/rates.h"

#include "base/encode.h"
#include "base/log.h"
#include "judge/record.h"

static const char row_name[] = "fx";

void rates_apply(struct judge *judge)
{
    const struct call_fx *fx = &judge->fx;

    if (judge->rates == NULL) {
        return;
    }
    struct config_fx *rows = arena_zeroed(judge->rates, fx->rate_count, sizeof(*rows));
    for (size_t i = 0; i < fx->rate_count; i++) {
        rows[i] = (struct config_fx){.currency = fx->rates[i].currency,
                                     .nano_per_unit = fx->rates[i].nano_per_unit};
    }
    for (struct list *at = judge->generations.next; at != &judge->generations; at = at->next) {
        struct config *config = LIST_THING(at, struct generation, link)->config;
        if (config->fx_as_of_ms <= fx->as_of_ms) {
            config->fx = rows;
            config->fx_count = fx->rate_count;
            config->fx_as_of_ms = fx->as_of_ms;
            config->fx_source = fx->source;
            config->fx_margin_percent = fx->margin_percent;
        }
    }
}

/* Decodes into an arena of its own and puts it in place of the present one. */
static bool take(struct judge *judge, struct str bytes)
{
    struct arena *old = judge->rates, *fresh = arena_new();
    struct call_fx fx;

    if (!wire_decode(&call_fx_schema, arena_copy(fresh, bytes), fresh, &fx)) {
        arena_free(fresh);
        return false;
    }
    judge->rates = fresh;
    judge->fx = fx;
    rates_apply(judge); /* nothing points into the old ones afterwards, since none was newer */
    arena_free(old);
    return true;
}

bool rates_load(struct judge *judge, const struct message_row_meta *row)
{
    struct buf bytes;

    if (!str_equal(row->name, str_from(row_name))) {
        return false;
    }
    buf_init(&bytes, LIMIT_HEAD_BYTES);
    if (!base64_decode(&bytes, row->value) || !take(judge, buf_str(&bytes))) {
        log_error("rates", "why=\"the stored exchange rates cannot be read\"");
    }
    buf_clear(&bytes);
    return true;
}

void rates_put(struct judge *judge, const struct call_fx *fx)
{
    struct buf bytes, text;

    buf_init(&bytes, LIMIT_HEAD_BYTES);
    buf_init(&text, LIMIT_HEAD_BYTES);
    if (wire_encode(&call_fx_schema, fx, &bytes) && base64_encode(&text, buf_str(&bytes)) &&
        take(judge, buf_str(&bytes))) {
        struct message_row_meta row = {.name = str_from(row_name), .value = buf_str(&text)};
        record_row(judge, MESSAGE_ROW_META, &row);
    }
    buf_clear(&bytes);
    buf_clear(&text);
}
