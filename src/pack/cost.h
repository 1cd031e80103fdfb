/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cost: what a request may cost at most, and what it did cost.  Pure.
 *
 * Money is int64 nano-dollars, rounded up.
 */
#ifndef PACK_COST_H
#define PACK_COST_H

#include "pack/match.h"

enum cost_verdict {
    COST_UNKNOWN,   /* refuse: cost_unknown; the reason is in err */
    COST_AMBIGUOUS, /* refuse: bad_request */
    COST_FX_STALE,  /* refuse: fx_stale */
    COST_NOTHING,   /* moves no money */
    COST_AMOUNT
};

struct cost {
    int64_t nano; /* the upper bound to set aside */
    int64_t amount_minor;
    struct str currency; /* lower case; empty: dollars by a price of ours, or not known yet */
    /* Which price or exchange rate: "fx 2026-11-20 eur", "fx 2026-11-10 eur, 13 days old",
     * "sms_segment +1", "flat price"; empty for dollars. */
    struct str rate;
};

struct cost_question {
    const struct config *config;
    const struct pack *pack;
    const struct match *match;
    struct str method, query;
    const struct message_facts *facts; /* NULL: there was no body to read */
    int64_t flat_price;                /* of the key's policy, a request; -1: none named */
    bool capped;                       /* some level has a cap: an unknown price is refused */
    const struct pack_rate *prices;    /* the operator's own, before the pack's */
    size_t price_count;
    int64_t now_ms;
    struct arena *arena; /* the texts of the answer are in it, or in the config */
};

/* The reading rule that must be applied to the request's body before cost_reserve(); PACK_NONE
 * when no body is needed. */
uint32_t cost_request_read(const struct pack *pack, const struct match *match);
uint32_t cost_answer_read(const struct pack *pack, const struct match *match);

enum cost_verdict cost_reserve(const struct cost_question *question, struct cost *ret,
                               struct err *err);

struct settlement {
    enum hold_state state; /* POSTED, VOIDED, HELD, UNKNOWN */
    int64_t posted;        /* nano-dollars in all under this hold */
    int64_t held;          /* still set aside */
    struct str object;     /* the vendor's id, when the answer names one; borrowed from the facts */
    bool estimated;        /* no rule matched: the reserved amount stands */
    bool overrun;          /* above what was reserved */
};

/* `answer` is NULL when the answer was not read (no rule, cut, not JSON).  Not-sent is VOIDED, a
 * free status of a complete answer is VOIDED, an unknown outcome UNKNOWN. */
void cost_settle(const struct cost_question *question, const struct cost *reserved,
                 const struct message_outcome *outcome, const struct message_facts *answer,
                 struct settlement *ret);

/* An amount in minor units of a currency as nano-dollars, rounded up, with the margin; dollars
 * have no margin.  Also gives the rate's name. */
enum cost_verdict cost_convert(const struct config *config, const struct pack *pack, int64_t minor,
                               struct str currency, int64_t now_ms, struct arena *arena,
                               int64_t *ret_nano, struct str *ret_rate, struct err *err);

#endif
