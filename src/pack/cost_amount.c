/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/cost_amount.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/integer.h"
#include "pack/facts.h"

enum { CURRENCY_LETTERS = 3, TEXT_BYTES = 160, PERCENT = 100 };

const struct pack_cost *cost_of(const struct pack *pack, const struct match *match)
{
    uint32_t cost = match->operation == NULL ? PACK_NONE : match->operation->cost;

    return cost < pack->cost_count ? &pack->costs[cost] : NULL;
}

static struct str text_of(struct buf *buf, struct arena *arena)
{
    struct str text = arena_copy(arena, buf_str(buf));

    buf_clear(buf);
    return text;
}

/* ---- currencies ---- */

static uint32_t digits_of(const struct pack *pack, struct str currency)
{
    for (size_t i = 0; i < pack->exponent_count; i++) {
        if (str_equal(pack->exponents[i].currency, currency)) {
            return pack->exponents[i].digits;
        }
    }
    return 2;
}

static const struct config_fx *fx_of(const struct config *config, struct str currency)
{
    for (size_t i = 0; i < config->fx_count; i++) {
        if (str_equal(config->fx[i].currency, currency)) {
            return &config->fx[i];
        }
    }
    return NULL;
}

/* Minor units at a rate for a hundredth of the major one.  False when it is too much to count. */
static bool multiply(int64_t minor, int64_t factor, uint32_t digits, int64_t *ret_nano)
{
    int64_t divisor = PERCENT;

    if (digits > 9) {
        return false;
    }
    for (uint32_t i = 0; i < digits; i++) {
        divisor *= 10;
    }
    /* One rounding, at the end. */
    return int_mul_div_up(minor, factor, divisor, ret_nano) && *ret_nano <= COST_NANO_MAX;
}

static bool dollars_of(const struct pack *pack, int64_t minor, int64_t *ret_nano)
{
    return multiply(minor, INT64_C(1000000000) * PERCENT, digits_of(pack, STR("usd")), ret_nano);
}

/* False: beyond what can be counted. */
static bool factor_of(const struct config *config, const struct config_fx *fx, int64_t *ret)
{
    uint32_t margin = config->fx_margin_percent;

    return margin <= 1000 && int_mul_div_up(fx->nano_per_unit, PERCENT + margin, 1, ret);
}

static int64_t fx_age_days(const struct config *config, int64_t now_ms)
{
    int64_t age = clock_day(now_ms) - clock_day(config->fx_as_of_ms);

    return age < 0 ? 0 : age;
}

static struct str fx_name(const struct config *config, struct str currency, int64_t now_ms,
                          struct arena *arena)
{
    int64_t age = fx_age_days(config, now_ms);
    struct buf text;

    buf_init(&text, TEXT_BYTES);
    (void)buf_addf(&text, "fx %s %.*s", clock_day_text(clock_day(config->fx_as_of_ms)).text,
                   STR_FMT(currency));
    if (age > COST_FX_WARN_DAYS) {
        (void)buf_addf(&text, ", %lld days old", (long long)age);
    }
    return text_of(&text, arena);
}

static bool is_fresh(const struct config *config, int64_t now_ms, struct err *err)
{
    int64_t age = fx_age_days(config, now_ms);

    if (age <= COST_FX_STALE_DAYS) {
        return true;
    }
    (void)err_set(err,
                  "the exchange rates are %lld days old (of %s; %d are allowed); the operator must "
                  "load newer ones",
                  (long long)age, clock_day_text(clock_day(config->fx_as_of_ms)).text,
                  COST_FX_STALE_DAYS);
    return false;
}

static enum cost_verdict too_much(struct err *err)
{
    (void)err_set(err, "the amount is beyond what can be counted");
    return COST_UNKNOWN;
}

static struct str lower_currency(struct str currency, struct arena *arena)
{
    char *lower = arena_zeroed(arena, CURRENCY_LETTERS + 1, 1);

    for (size_t i = 0; i < CURRENCY_LETTERS; i++) {
        lower[i] = ascii_lower(currency.data[i]);
    }
    return (struct str){lower, CURRENCY_LETTERS};
}

static bool is_currency(struct str currency)
{
    return currency.len == CURRENCY_LETTERS && ascii_is_alpha(currency.data[0]) &&
           ascii_is_alpha(currency.data[1]) && ascii_is_alpha(currency.data[2]);
}

/* The rate for `currency`, which is in lower case and not the dollar. */
static enum cost_verdict rate_of(const struct cost_question *question, struct str currency,
                                 bool fresh, struct cost *ret, struct err *err)
{
    const struct config_fx *fx = fx_of(question->config, currency);

    if (question->frozen.factor > 0 && str_equal(question->frozen.currency, currency)) {
        ret->factor = question->frozen.factor;
        ret->rate = fx_name(question->config, currency, question->now_ms, question->arena);
        return COST_AMOUNT;
    }
    if (fx == NULL) {
        (void)err_set(err, "there is no exchange rate for the currency %.*s", STR_FMT(currency));
        return COST_UNKNOWN;
    }
    if (fresh && !is_fresh(question->config, question->now_ms, err)) {
        return COST_FX_STALE;
    }
    if (!factor_of(question->config, fx, &ret->factor)) {
        return too_much(err);
    }
    ret->rate = fx_name(question->config, currency, question->now_ms, question->arena);
    return COST_AMOUNT;
}

static enum cost_verdict convert(const struct cost_question *question, int64_t minor,
                                 struct str currency, bool fresh, struct cost *ret, struct err *err)
{
    if (minor < 0) {
        (void)err_set(err, "the amount is negative");
        return COST_AMBIGUOUS;
    }
    ret->amount_minor = minor;
    ret->currency = currency;
    ret->factor = 0;
    ret->rate = STR_NONE;
    if (str_equal(currency, STR("usd"))) {
        return dollars_of(question->pack, minor, &ret->nano) ? COST_AMOUNT : too_much(err);
    }
    enum cost_verdict verdict = rate_of(question, currency, fresh, ret, err);
    if (verdict != COST_AMOUNT) {
        return verdict;
    }
    return multiply(minor, ret->factor, digits_of(question->pack, currency), &ret->nano)
               ? COST_AMOUNT
               : too_much(err);
}

enum cost_verdict cost_convert(const struct cost_question *question, int64_t minor,
                               struct str currency, struct cost *ret, struct err *err)
{
    if (!is_currency(currency)) {
        (void)err_set(err, "the currency is not one of three letters");
        return COST_UNKNOWN;
    }
    return convert(question, minor, lower_currency(currency, question->arena), true, ret, err);
}

/* The request does not say in which currency: the dearest of all that are known. */
static enum cost_verdict convert_dearest(const struct cost_question *question, int64_t minor,
                                         struct cost *ret, struct err *err)
{
    const struct config *config = question->config;
    const struct config_fx *dearest = NULL;
    int64_t most, nano, factor;

    if (minor < 0 || !dollars_of(question->pack, minor, &most)) {
        return too_much(err);
    }
    for (size_t i = 0; i < config->fx_count; i++) {
        if (!factor_of(config, &config->fx[i], &factor) ||
            !multiply(minor, factor, digits_of(question->pack, config->fx[i].currency), &nano)) {
            return too_much(err);
        }
        if (nano > most) {
            most = nano;
            dearest = &config->fx[i];
        }
    }
    if (dearest != NULL && !is_fresh(config, question->now_ms, err)) {
        return COST_FX_STALE;
    }
    ret->nano = most;
    ret->amount_minor = minor;
    ret->rate = dearest == NULL
                    ? STR_NONE
                    : fx_name(config, dearest->currency, question->now_ms, question->arena);
    return COST_AMOUNT;
}

/* ---- an amount in minor units ---- */

static struct str selector_name(const struct cost_question *question, uint32_t read,
                                uint32_t selector)
{
    const struct config *config = question->config;

    if (read >= config->read_count || selector >= config->reads[read].selector_count) {
        return STR("the amount");
    }
    return config->reads[read].selectors[selector].name;
}

static struct str operation_name(const struct cost_question *question)
{
    return question->match->operation == NULL ? STR("this request")
                                              : question->match->operation->name;
}

static enum cost_verdict no_fact(const struct cost_question *question, uint32_t read,
                                 uint32_t selector, struct err *err)
{
    struct str name = operation_name(question);

    (void)err_set(err, "what %.*s would move is not known: the request has no %.*s; name it",
                  STR_FMT(name), STR_FMT(selector_name(question, read, selector)));
    return COST_UNKNOWN;
}

static enum cost_verdict bad_fact(const struct cost_question *question, uint32_t read,
                                  uint32_t selector, const char *what, struct err *err)
{
    (void)err_set(err, "%.*s is not %s", STR_FMT(selector_name(question, read, selector)), what);
    return COST_AMBIGUOUS;
}

static bool is_missing(const struct message_fact *fact)
{
    return fact->kind == FACT_ABSENT || fact->kind == FACT_NULL;
}

static enum cost_verdict minor_amount(const struct cost_question *question,
                                      const struct pack_amount *amount, uint32_t read,
                                      const struct message_facts *facts, bool of_request,
                                      struct cost *ret, struct err *err)
{
    struct message_fact minor = facts_get(facts, amount->minor);
    struct message_fact currency = facts_get(facts, amount->currency);

    if (is_missing(&minor)) {
        return no_fact(question, read, amount->minor, err);
    }
    if (minor.kind != FACT_INTEGER || minor.number < 0) {
        return bad_fact(question, read, amount->minor, "a plain whole number", err);
    }
    if (is_missing(&currency)) {
        return of_request ? convert_dearest(question, minor.number, ret, err)
                          : no_fact(question, read, amount->currency, err);
    }
    if (currency.kind != FACT_TEXT || !is_currency(currency.text)) {
        return bad_fact(question, read, amount->currency, "a currency of three letters", err);
    }
    return convert(question, minor.number, lower_currency(currency.text, question->arena),
                   of_request, ret, err);
}

/* ---- an amount in major units: "-0.0075" ---- */

static enum cost_verdict major_amount(const struct cost_question *question,
                                      const struct pack_amount *amount, uint32_t read,
                                      const struct message_facts *facts, struct cost *ret,
                                      struct err *err)
{
    enum { NANO_DIGITS = 9 };
    struct message_fact fact = facts_get(facts, amount->minor);
    struct message_fact currency = facts_get(facts, amount->currency);
    struct str text = fact.text;
    int64_t nano;

    if (str_starts(text, STR("-"))) { /* what the vendor takes is a negative price */
        text = str_slice(text, 1, text.len);
    }
    if ((fact.kind != FACT_TEXT && fact.kind != FACT_INTEGER) ||
        !int_parse_decimal(text, NANO_DIGITS, &nano) || nano < 0) {
        return bad_fact(question, read, amount->minor, "a decimal number", err);
    }
    if (currency.kind != FACT_TEXT || !is_currency(currency.text)) {
        return bad_fact(question, read, amount->currency, "a currency of three letters", err);
    }
    ret->currency = lower_currency(currency.text, question->arena);
    if (str_equal(ret->currency, STR("usd"))) {
        ret->nano = nano;
        return nano <= COST_NANO_MAX ? COST_AMOUNT : too_much(err);
    }
    enum cost_verdict verdict = rate_of(question, ret->currency, false, ret, err);
    if (verdict != COST_AMOUNT) {
        return verdict;
    }
    return multiply(nano, ret->factor, NANO_DIGITS, &ret->nano) ? COST_AMOUNT : too_much(err);
}

/* ---- a price of a table ---- */

/* A telephone number without what people write between its digits: "+1 (876) 555" has a price by
 * +1876. */
static struct str plain_number(struct str text, struct arena *arena)
{
    char *out;
    size_t len = 0;

    if (!str_starts(text, STR("+"))) {
        return text;
    }
    out = arena_zeroed(arena, text.len + 1, 1);
    for (size_t i = 0; i < text.len; i++) {
        if (memchr(" -.()", text.data[i], 5) == NULL) {
            out[len++] = text.data[i];
        }
    }
    return (struct str){out, len};
}

static size_t prefix_length(const struct pack_rate *rate)
{
    return str_equal(rate->match, STR("*")) ? 0 : rate->match.len;
}

/* The row with the longest prefix of `by`; "*" is a prefix of no length. */
static const struct pack_rate *find_rate(const struct pack_rate *rates, size_t count,
                                         struct str name, struct str by)
{
    const struct pack_rate *best = NULL;
    size_t best_length = 0;

    for (size_t i = 0; i < count; i++) {
        const struct pack_rate *rate = &rates[i];
        bool any = str_equal(rate->match, STR("*"));
        size_t length = prefix_length(rate);
        if (!str_equal(rate->name, name) || (!any && !str_starts(by, rate->match))) {
            continue;
        }
        if (best == NULL || length > best_length) {
            best = rate;
            best_length = length;
        }
    }
    return best;
}

/* How many are paid for.  False when a fact is no number, or they do not add up. */
static bool count_times(const struct pack_amount *amount, const struct message_facts *facts,
                        int64_t *ret_times)
{
    int64_t times = 0;

    for (size_t i = 0; i < sizeof(amount->times) / sizeof(amount->times[0]); i++) {
        struct message_fact fact = facts_get(facts, amount->times[i]);
        if (amount->times[i] == PACK_NONE || is_missing(&fact)) {
            continue;
        }
        if ((fact.kind != FACT_COUNT && fact.kind != FACT_INTEGER) || fact.number < 0 ||
            !int_add(times, fact.number, &times)) {
            return false;
        }
    }
    return int_mul_div_up(times == 0 && amount->at_least_one ? 1 : times, 1,
                          amount->per == 0 ? 1 : amount->per, ret_times);
}

static struct str rate_name(const struct pack_rate *rate, bool own, struct arena *arena)
{
    struct buf text;

    buf_init(&text, TEXT_BYTES);
    if (!buf_addf(&text, "%.*s %.*s%s", STR_FMT(rate->name), STR_FMT(rate->match),
                  own ? ", operator's price" : "")) {
        (void)buf_add_str(&text, str_slice(rate->name, 0, TEXT_BYTES));
    }
    return text_of(&text, arena);
}

static enum cost_verdict rate_amount(const struct cost_question *question,
                                     const struct pack_amount *amount,
                                     const struct message_facts *facts, struct cost *ret,
                                     struct err *err)
{
    struct str by = plain_number(facts_get(facts, amount->rate_by).text, question->arena);
    const struct pack_rate *own =
        find_rate(question->prices, question->price_count, amount->rate, by);
    const struct pack_rate *rate =
        find_rate(question->pack->rates, question->pack->rate_count, amount->rate, by);
    int64_t times;

    /* What somebody said of +1 is not what +1876 costs. */
    if (own != NULL && (rate == NULL || prefix_length(own) >= prefix_length(rate))) {
        rate = own;
    }

    if (rate == NULL) {
        (void)err_set(err, "there is no price %.*s for %.*s; the operator can name one",
                      STR_FMT(amount->rate), STR_FMT(operation_name(question)));
        return COST_UNKNOWN;
    }
    if (!count_times(amount, facts, &times)) {
        (void)err_set(err, "how many times %.*s is to be paid cannot be counted",
                      STR_FMT(amount->rate));
        return COST_AMBIGUOUS;
    }
    if (!int_mul_div_up(rate->price, times, 1, &ret->nano) || ret->nano > COST_NANO_MAX) {
        return too_much(err);
    }
    ret->rate = rate_name(rate, rate == own, question->arena);
    return COST_AMOUNT;
}

enum cost_verdict cost_amount(const struct cost_question *question,
                              const struct pack_amount *amount, uint32_t read,
                              const struct message_facts *facts, bool of_request, struct cost *ret,
                              struct err *err)
{
    *ret = (struct cost){.nano = 0};
    if (amount->kind == AMOUNT_RATE) {
        return rate_amount(question, amount, facts, ret, err);
    }
    if (amount->kind == AMOUNT_MAJOR) {
        return major_amount(question, amount, read, facts, ret, err);
    }
    return minor_amount(question, amount, read, facts, of_request, ret, err);
}

/* ---- conditions ---- */

static bool status_is(struct str pattern, uint32_t status)
{
    uint64_t number;

    if (pattern.len == 3 && str_ends(pattern, STR("xx"))) {
        return status / 100 == (uint32_t)(pattern.data[0] - '0');
    }
    return str_to_u64(pattern, &number) && number == status;
}

static bool is_truth_word(struct str text)
{
    return str_equal(text, STR("true")) || str_equal(text, STR("false"));
}

/* Neither equal nor not when it cannot be told: "True" or "1" where true or false is asked. */
static bool fact_equals(const struct pack_condition *condition, const struct message_fact *fact)
{
    struct str text = fact->text;

    if (fact->kind == FACT_NESTED) {
        return false;
    }
    if (fact->kind == FACT_BOOL) {
        text = fact->number == 1 ? STR("true") : STR("false");
    }
    if (is_missing(fact)) {
        return condition->negated;
    }
    if (is_truth_word(condition->value) && !is_truth_word(text)) {
        return false;
    }
    return str_equal(text, condition->value) != condition->negated;
}

bool cost_condition_holds(const struct pack_condition *condition, uint32_t status,
                          const struct message_facts *facts)
{
    struct message_fact fact = facts_get(facts, condition->selector);

    switch (condition->kind) {
    case CONDITION_STATUS:
        return status != 0 && status_is(condition->value, status) != condition->negated;
    case CONDITION_EQUALS:
        return fact_equals(condition, &fact);
    case CONDITION_ABSENT:
        return is_missing(&fact) != condition->negated;
    case CONDITION_KIND_COUNT:
        break;
    }
    return false;
}
