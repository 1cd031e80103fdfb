/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cost: what a request may cost at most, and what it did cost.  Pure.
 *
 * Money is int64 nano-dollars, rounded up.
 *
 * An operation's price is the pack's.  The key's flat price, a request, stands in where the pack
 * has none: for an operation outside the catalogue, for one of the generic pack, for usage that
 * is not priced here.  It never stands in for an amount of the vendor's customers' money.
 *
 * A request that names an amount and no currency (a refund) is taken in the dearest currency of the
 * rate table; its answer says which it was.
 */
#ifndef PACK_COST_H
#define PACK_COST_H

#include "pack/match.h"
#include "pack/splice.h"

/* A request above a thousand million dollars is refused: sums of many still fit an int64. */
#define COST_NANO_MAX INT64_C(1000000000000000000)

enum {
    COST_FX_WARN_DAYS = 7,   /* older rates are named so in `rate` */
    COST_FX_STALE_DAYS = 30, /* and then refused */
    COST_OBJECT_MAX = 255,   /* bytes of a vendor's id */
};

enum cost_verdict {
    COST_UNKNOWN,   /* refuse: cost_unknown; the reason is in err */
    COST_AMBIGUOUS, /* refuse: bad_request; the reason is in err */
    COST_FX_STALE,  /* refuse: fx_stale; the reason is in err */
    COST_FETCH,     /* the vendor must be asked first: cost->fetch; then again, with `found` */
    COST_NOTHING,   /* moves no money, or not known how much and nothing is capped */
    COST_AMOUNT
};

struct cost {
    int64_t nano; /* the upper bound to set aside */
    int64_t amount_minor;
    struct str currency; /* lower case; empty: dollars by a price of ours, or not known yet */
    /* Which price or exchange rate: "fx 2026-11-20 eur", "fx 2026-11-10 eur, 13 days old",
     * "sms_segment +1", "flat price"; empty for dollars. */
    struct str rate;
    const struct pack_fetch *fetch; /* COST_FETCH */
    /* The rate of exchange as it was used: nano-dollars a hundredth of a unit of the currency, the
     * margin among them.  0: dollars, or no one currency. */
    int64_t factor;
    bool found;   /* the request names no amount; the vendor did */
    int64_t base; /* what had moved of the object before, by the vendor's word */
};

/* The object that a request acts on, when money is held for it here. */
struct cost_object {
    int64_t held; /* nano-dollars */
    int64_t amount_minor;
    struct str currency;
};

/* The rate by which money was set aside, and by which it is settled then, whatever the table says
 * in the meantime: else a rate that rose would take more than was held, and one that fell would
 * give back what was never spent. */
struct cost_frozen {
    struct str currency; /* lower case */
    int64_t factor;      /* 0: none */
};

/* What the vendor said when asked, in minor units. */
struct cost_found {
    int64_t minor, posted;
    struct str currency;
};

struct cost_question {
    const struct config *config;
    const struct pack *pack;
    const struct match *match;
    struct str method, query;
    const struct message_facts *facts; /* of the request; NULL: there was no body to read */
    int64_t flat_price;                /* of the key's policy, a request; -1: none named */
    bool redacts;                      /* the client gets no secret of what it makes */
    bool capped;                       /* some level has a cap: an unknown price is refused */
    const struct cost_object *object;  /* NULL: none that is known here */
    const struct cost_found *found;    /* NULL: the vendor was not asked */
    struct cost_frozen frozen;         /* of the hold that pays, or that the object has */
    const struct pack_rate *prices;    /* the operator's own, before the pack's */
    size_t price_count;
    int64_t now_ms;
    struct arena *arena; /* the texts of the answer are in it, or in the config */
};

/* The reading rule that must be applied to the request's body before cost_reserve(); PACK_NONE
 * when no body is needed. */
uint32_t cost_request_read(const struct pack *pack, const struct match *match);
uint32_t cost_answer_read(const struct pack *pack, const struct match *match);

/*
 * The values that the pack puts into the body of such a request ("inject"): gives their splices,
 * and in *ret_facts the facts of the body as it will go out, which are those to reserve for.
 * `fetched` is the amount that was fetched; PUT_FETCHED where there is none (-1) puts nothing.
 * COST_NOTHING when done, else the verdict with the reason.
 */
enum cost_verdict cost_put(const struct cost_question *question, int64_t fetched,
                           struct splices *splices, struct message_facts *ret_facts,
                           struct err *err);

/* Facts that are not FACTS_OK are refused here too. */
enum cost_verdict cost_reserve(const struct cost_question *question, struct cost *ret,
                               struct err *err);

struct settlement {
    enum hold_state state; /* POSTED, VOIDED, HELD, UNKNOWN */
    int64_t posted;        /* nano-dollars in all under this hold */
    int64_t held;          /* still set aside */
    struct str object;     /* the vendor's id, when the answer names one; borrowed from the facts */
    bool estimated;        /* no rule matched: the reserved amount stands */
    bool overrun;          /* above what was reserved */
    bool of_object;        /* amounts are all that ever moved of the object, under whatever hold */
};

/*
 * What one attempt under a hold came to.
 *
 *     not sent                               VOIDED
 *     sent and no answer, or a cut one       UNKNOWN
 *     a free status of the pack              VOIDED
 *     the pack has no rules (a flat price)   POSTED as reserved
 *     a settle rule of the pack holds        what it says; the first one counts
 *     2xx and no rule holds                  POSTED as reserved, estimated
 *     any other status                       UNKNOWN
 *
 * `answer` is NULL when the answer was not read (no rule, cut, not JSON, another digest); then only
 * rules about the status alone can hold.  VOIDED is about this attempt: an earlier one under the
 * same hold whose outcome is unknown keeps the hold, and a replayed answer (outcome->replayed) may
 * only settle such a one.  Both are the caller's to know.
 */
void cost_settle(const struct cost_question *question, const struct cost *reserved,
                 const struct message_outcome *outcome, const struct message_facts *answer,
                 struct settlement *ret);

/* An amount in minor units of a currency as nano-dollars, rounded up, with the margin; dollars
 * have no margin.  By the frozen rate where that is of this currency.  Fills what of *ret is about
 * the amount. */
enum cost_verdict cost_convert(const struct cost_question *question, int64_t minor,
                               struct str currency, struct cost *ret, struct err *err);

#endif
