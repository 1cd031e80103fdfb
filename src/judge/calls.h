/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls: what control asks for operators and for holders of keys.
 */
#ifndef JUDGE_CALLS_H
#define JUDGE_CALLS_H

#include "base/json_out.h"
#include "judge/state.h"

/* Who asks, and what he may. */
struct caller {
    enum operator_role role;
    struct str name; /* for the audit and created_by */
    bool has_bounds; /* of an issuer */
    struct call_bounds bounds;
    struct key *self; /* the bearer was this vault key: self calls only */
};

struct call {
    struct judge *judge;
    const struct message_call *message; /* only until the handler returns */
    struct caller caller;
    struct arena *arena; /* the judge's scratch */
};

void calls_handle(struct judge *judge, const struct message_call *message);

/* ---- for the handlers ---- */

enum { REPLY_BYTES_MAX = LIMIT_JUDGED_BODY_BYTES };

void call_refuse(struct call *call, uint32_t status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void call_reply(struct call *call, uint32_t status, struct str json, uint64_t version);

/* Decodes the body; else refuses with 400 and returns false. */
bool call_decode(struct call *call, const struct wire_schema *schema, void *ret);

/* Refuses with 503 and returns false when rows cannot be made durable now. */
bool call_has_room(struct call *call);

/* A reply that waits for rows. */
struct pending {
    struct judge *judge;
    struct list link;
    struct waiter waiter;
    uint64_t call;
    uint32_t status;
    uint64_t version;
    struct buf json; /* wiped: it may hold a token */
    /* What remains to be done when the rows are durable, or when they are not (yet). */
    void (*then)(struct pending *pending, bool durable);
    uint64_t key;                             /* the key it is about; 0: none */
    struct digest subject;                    /* of the name of what is being changed; zero: none */
    struct message_row_credential credential; /* its texts are in the arena */
    struct arena *arena;
    bool told;
};

/* Once its rows are written: call one of the two. */
struct pending *call_pending(struct call *call, uint32_t status, uint64_t version);
void call_wait(struct pending *pending);
void call_wake(void *pending, bool durable); /* fits record_wait and revoke_done */

/* A page of a list that runs from the newest down. */
struct page {
    struct buf text;
    struct json_out out;
    uint64_t count, limit;
    char cursor[24]; /* of the next page; empty: this was the last */
};
void page_open(struct page *page, const struct call *call);
bool page_is_full(const struct page *page);
void page_more_from(struct page *page, uint64_t number); /* the next page begins below it */
void page_reply(struct page *page, struct call *call);   /* and clears it */
uint64_t page_start(const struct call *call);            /* numbers below this one are wanted */

typedef void call_handler(struct call *call);
call_handler call_key_issue, call_key_list, call_key_get, call_key_patch, call_key_pause,
    call_key_resume, call_key_revoke;
call_handler call_credential_put, call_credential_list, call_credential_get, call_credential_remove,
    call_tenant_put, call_tenant_get, call_tenant_list, call_hold_list, call_stop_add,
    call_stop_list, call_stop_remove, call_operator_add, call_operator_list, call_operator_remove,
    call_price_list, call_price_put, call_fx_get, call_explain, call_explain_facts, call_metrics,
    call_ready, call_authorise, call_session_open, call_session_end, call_hold_resolve, call_fx_put,
    call_clock_vouch, call_credential_test;

/* Would an issue of this policy be allowed?  If not, the call is refused and done. */
bool call_may_issue(struct call *call, const struct policy *policy);
/* Makes the key and its rows, for whoever replies himself.  NULL: refused and done. */
struct key *call_make_key(struct call *call, const struct policy *policy, struct token *ret_token);

#endif
