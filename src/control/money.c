/* SPDX-License-Identifier: Apache-2.0 */
/* What operators say of money: what became of a hold, and what currencies are worth. */
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "control/handlers.h"
#include "control/members.h"
#include "policy/policy_parse.h"

enum { DATE_BYTES = 10 };

int money_build_resolve(struct job *job, struct message_call *call, struct buf *body,
                        struct err *err)
{
    static const char *const known[] = {"state", "amount_usd", "note", NULL};
    struct str state = json_str(json_object_get(job->json, "state"));
    struct call_resolve resolve = {.posted = str_equal(state, STR("posted")),
                                   .note = json_str(json_object_get(job->json, "note"))};
    const json_t *amount = json_object_get(job->json, "amount_usd");
    uint64_t number;
    struct buf row;

    if (members_known(job->json, known, err) < 0) {
        return -1;
    }
    if (!resolve.posted && !str_equal(state, STR("voided"))) {
        return err_set(err, "state is posted (with amount_usd, in all under this hold) or voided");
    }
    if (resolve.posted != (amount != NULL)) {
        return err_set(err, resolve.posted ? "amount_usd is missing: what moved in all"
                                           : "what is voided has no amount_usd");
    }
    if (amount != NULL &&
        (policy_parse_usd(amount, "amount_usd", &resolve.amount, err) < 0 || resolve.amount < 0)) {
        return err->text[0] != '\0' ? -1 : err_set(err, "amount_usd is an amount of dollars");
    }
    if (!str_to_u64(job->id, &number)) {
        return err_set(err, "a hold is named by its number, as keybrake holds list shows it");
    }
    call->id = job->id;
    buf_init(&row, LIMIT_HEAD_BYTES);
    int rc = job->api->query == NULL ? 0 : query_hold(job->api->query, number, &row, err);
    if (rc == 0) {
        resolve.row = buf_str(&row);
        rc = job_encode(&call_resolve_schema, &resolve, body, err);
    }
    buf_clear(&row);
    return rc;
}

/* "2026-11-23", or a time of RFC 3339. */
static bool read_date(struct str text, int64_t *ret_ms)
{
    char whole[sizeof("2026-11-23T00:00:00Z")];

    if (text.len != DATE_BYTES) {
        return clock_parse_rfc3339(text, ret_ms);
    }
    (void)snprintf(whole, sizeof(whole), "%.*sT00:00:00Z", STR_FMT(text));
    return clock_parse_rfc3339(str_from(whole), ret_ms);
}

static int read_rates(struct job *job, struct call_fx *fx, struct err *err)
{
    json_t *rates = json_object_get(job->json, "usd_per_unit");
    const char *name;
    json_t *value;

    if (!json_is_object(rates) || json_object_size(rates) > CALL_FX_RATES_MAX) {
        return err_set(err, "usd_per_unit is an object of at most %d rates, by currency",
                       CALL_FX_RATES_MAX);
    }
    fx->rates = arena_zeroed(job->arena, json_object_size(rates), sizeof(fx->rates[0]));
    json_object_foreach(rates, name, value)
    {
        struct call_fx_rate *rate = &fx->rates[fx->rate_count++];
        rate->currency = str_from(name);
        if (policy_parse_usd(value, name, &rate->nano_per_unit, err) < 0) {
            return -1;
        }
        if (rate->currency.len != 3 || rate->nano_per_unit <= 0) {
            return err_set(err, "'%.64s' is no currency of three small letters with a rate above 0",
                           name);
        }
    }
    return 0;
}

int money_build_fx(struct job *job, struct message_call *call, struct buf *body, struct err *err)
{
    static const char *const known[] = {"fx",   "source",       "as_of", "margin_percent",
                                        "note", "usd_per_unit", NULL};
    struct call_fx fx = {.source = json_str(json_object_get(job->json, "source"))};
    const json_t *margin = json_object_get(job->json, "margin_percent");

    (void)call;
    if (members_known(job->json, known, err) < 0) {
        return -1;
    }
    if (!read_date(json_str(json_object_get(job->json, "as_of")), &fx.as_of_ms)) {
        return err_set(err, "as_of is a date, such as 2026-11-23");
    }
    if (fx.source.len == 0) {
        return err_set(err, "source is missing: where the rates are from");
    }
    if (!json_is_integer(margin) || json_integer_value(margin) < 0 ||
        json_integer_value(margin) > 1000) {
        return err_set(err, "margin_percent is a whole number from 0 to 1000");
    }
    fx.margin_percent = (uint32_t)json_integer_value(margin);
    return read_rates(job, &fx, err) < 0 ? -1 : job_encode(&call_fx_schema, &fx, body, err);
}
