/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exchange_state: an exchange from within, for the three files it is made of: its life
 * (exchange.c), the request (request.c), the answer (answer.c).
 *
 *     COLLECT      a judged body is gathered and compared
 *     CREDENTIAL   the scribe is asked for the sealed credential
 *     DIAL         a connection is made (or taken from the pool)
 *     TALK         the request goes out; the answer's head is awaited
 *     ANSWER       the answer's body comes
 *     DRAIN        OUTCOME is said; the gate has not got all yet, or may not yet
 *     OVER         whoever still holds it in this turn finds it so; see exchange_release()
 */
#ifndef VAULT_EXCHANGE_STATE_H
#define VAULT_EXCHANGE_STATE_H

#include "base/limits.h"
#include "http/body.h"
#include "vault/exchange.h"
#include "vault/response.h"

enum {
    EXCHANGE_DETAIL_SIZE = 512,
    EXCHANGE_VENDOR_ID_SIZE = 256,
};

enum exchange_state { COLLECT, CREDENTIAL, DIAL, TALK, ANSWER, DRAIN, OVER, STATES };

struct exchange {
    uint64_t grant; /* the key of vault->exchanges */
    struct vault *vault;
    struct gate_peer *gate; /* NULL: it died */
    struct list of_gate;    /* gate->exchanges */
    struct list waiting;    /* vault->unsent, vault->want_blob or vault->over */
    struct meeting *meeting;
    const struct message_grant *granted; /* of the meeting */
    struct generation *generation;
    const struct pack *pack;
    struct credential *credential;
    struct url target;
    struct upstream *upstream;
    enum exchange_state state;
    struct loop_timer timer;
    uint64_t started_us, dialled_us, sent_us, quiet_since_ms, linger_until_ms, linger_bytes;

    /* the request's body */
    struct buf body;      /* judged: all of it, for a retry too; else what came before TALK */
    uint64_t body_bytes;  /* from the gate */
    uint64_t credit_owed; /* bytes that have gone on, not yet given back as window */
    uint64_t window, window_left;
    bool body_ended, queued; /* all of the request is with the upstream */
    bool sent_said, talked;
    uint64_t wire_bytes; /* of connections that were given up */

    /* the answer */
    struct http_body framing;
    unsigned interims;
    bool keep_alive, head_request, rejected;
    struct decoder *decoder;
    struct buf coded;   /* content not yet decoded */
    struct buf content; /* [ final | may still become a hit ] */
    size_t final;
    struct scrub scrub;
    struct message_head *head; /* withheld with all that it points to; NULL when it has gone */
    bool withheld, discard;    /* discard: nobody is to get it */
    bool ours;                 /* a FETCH: no gate is behind it, the reader alone gets the answer */
    bool redacting;            /* all of it must be here first */
    uint64_t credit;           /* the gate takes so many bytes more */
    bool copying;
    struct digest_run *digest;
    uint64_t copied;
    bool over; /* the upstream has failed or ended; why: */
    enum upstream_error over_error;
    enum upstream_error end; /* UPSTREAM_OK: END, else RESET, when the content has gone */

    struct message_outcome outcome;

    /* Not cleared at the beginning, since most exchanges never use them. */
    char detail[EXCHANGE_DETAIL_SIZE], over_detail[EXCHANGE_DETAIL_SIZE];
    char vendor_id[EXCHANGE_VENDOR_ID_SIZE];
};

/* ---- its life (exchange.c) ---- */

void exchange_move(struct exchange *ex, enum exchange_state next);

/* Lets go of all it has.  The exchange itself stays until the turn ends, since whoever called
 * what ended it may look at it again. */
void exchange_release(struct exchange *ex);

/* Ends it now, wherever it stands.  In DRAIN the outcome has been said. */
void exchange_stop(struct exchange *ex, enum upstream_error error, const char *detail);
void exchange_set_detail(struct exchange *ex, enum upstream_error error, const char *detail);
void exchange_say_outcome(struct exchange *ex, enum outcome outcome);
void exchange_reset_gate(struct exchange *ex, enum upstream_error error, const char *detail);
void exchange_drop_upstream(struct exchange *ex);
bool exchange_is_sent(const struct exchange *ex); /* all of the request is with the kernel */
uint64_t exchange_wire_bytes(const struct exchange *ex);

/* Something moved; the timer looks at it when it fires, so that this costs next to nothing. */
void exchange_progress(struct exchange *ex);
void exchange_start_timer(struct exchange *ex);

/* ---- the request (request.c) ---- */

/* Of the body.  False when the exchange has gone on, and may be over. */
bool request_take_data(struct exchange *ex, struct str bytes);
bool request_take_end(struct exchange *ex);
void request_collected(struct exchange *ex); /* a judged body is whole: on, if it is the one */
void request_want_credential(struct exchange *ex); /* and on from there */

/* ---- the answer (answer.c) ---- */

void answer_readable(struct exchange *ex); /* something came from the vendor */
void answer_pump(struct exchange *ex);     /* what has come, on its way, as far as it can go */
void answer_drain(struct exchange *ex);
void answer_release(struct exchange *ex); /* the settlement is durable */
void answer_end_copy(struct exchange *ex, bool complete);
/* The upstream failed or ended while the body of the answer came. */
void answer_over(struct exchange *ex, enum upstream_error error, const char *detail);

#endif
