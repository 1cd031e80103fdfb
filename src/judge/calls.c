/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/calls.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/mem.h"
#include "judge/book.h"
#include "judge/keys.h"
#include "judge/record.h"

#define MAY(role) (1u << (role))
#define ADMIN MAY(OPERATOR_ADMIN)
#define ISSUERS (MAY(OPERATOR_ADMIN) | MAY(OPERATOR_ISSUER))
#define READERS (MAY(OPERATOR_ADMIN) | MAY(OPERATOR_VIEWER))
#define ALL (MAY(OPERATOR_ADMIN) | MAY(OPERATOR_ISSUER) | MAY(OPERATOR_VIEWER))

/* What no role has is refused: 0 is nobody. */
static const struct {
    call_handler *handle;
    unsigned roles;
    bool self; /* also for a vault key, about itself */
} verbs[CALL_VERB_COUNT] = {
    [CALL_KEY_ISSUE] = {call_key_issue, ISSUERS, false},
    [CALL_KEY_LIST] = {call_key_list, ALL, false},
    [CALL_KEY_GET] = {call_key_get, ALL, true},
    [CALL_KEY_PATCH] = {call_key_patch, ISSUERS, false},
    [CALL_KEY_PAUSE] = {call_key_pause, ISSUERS, false},
    [CALL_KEY_RESUME] = {call_key_resume, ISSUERS, false},
    [CALL_KEY_REVOKE] = {call_key_revoke, ISSUERS, true},
    [CALL_CREDENTIAL_PUT] = {call_credential_put, ADMIN, false},
    [CALL_CREDENTIAL_LIST] = {call_credential_list, READERS, false},
    [CALL_CREDENTIAL_GET] = {call_credential_get, READERS, false},
    [CALL_CREDENTIAL_REMOVE] = {call_credential_remove, ADMIN, false},
    [CALL_CREDENTIAL_TEST] = {call_credential_test, ADMIN, false},
    [CALL_TENANT_PUT] = {call_tenant_put, ADMIN, false},
    [CALL_TENANT_GET] = {call_tenant_get, READERS, false},
    [CALL_TENANT_LIST] = {call_tenant_list, READERS, false},
    [CALL_HOLD_LIST] = {call_hold_list, READERS, false},
    [CALL_HOLD_RESOLVE] = {call_hold_resolve, ADMIN, false},
    [CALL_STOP_ADD] = {call_stop_add, ADMIN, false},
    [CALL_STOP_LIST] = {call_stop_list, READERS, false},
    [CALL_STOP_REMOVE] = {call_stop_remove, ADMIN, false},
    [CALL_OPERATOR_ADD] = {call_operator_add, ADMIN, false},
    [CALL_OPERATOR_LIST] = {call_operator_list, READERS, false},
    [CALL_OPERATOR_REMOVE] = {call_operator_remove, ADMIN, false},
    [CALL_PRICE_LIST] = {call_price_list, READERS, false},
    [CALL_PRICE_PUT] = {call_price_put, ADMIN, false},
    [CALL_FX_GET] = {call_fx_get, READERS, false},
    [CALL_FX_PUT] = {call_fx_put, ADMIN, false},
    [CALL_CLOCK_VOUCH] = {call_clock_vouch, ADMIN, false},
    [CALL_EXPLAIN] = {call_explain, ALL, false},
    [CALL_EXPLAIN_FACTS] = {call_explain_facts, ALL, false},
    [CALL_SESSION_OPEN] = {call_session_open, ISSUERS, false},
    [CALL_SESSION_END] = {call_session_end, MAY(OPERATOR_ADMIN), false}, /* control itself */
    [CALL_METRICS] = {call_metrics, READERS, false},
    [CALL_READY] = {call_ready, 0, false},
    [CALL_AUTHORISE] = {call_authorise, ALL, false},
};

/* ---- replies ---- */

static void send_reply(struct judge *judge, const struct message_reply *reply)
{
    /* Control is slow or gone: its own calls time out. */
    if (judge->control != NULL && !judge->control->dying) {
        (void)channel_send(judge->control->channel, MESSAGE_REPLY, reply);
    }
}

void call_refuse(struct call *call, uint32_t status, const char *code, const char *format, ...)
{
    struct err detail;
    struct message_reply reply = {
        .call = call->message->call, .status = status, .code = str_from(code)};
    va_list args;

    va_start(args, format);
    (void)vsnprintf(detail.text, sizeof(detail.text), format, args);
    va_end(args);
    reply.detail = str_from(detail.text);
    send_reply(call->judge, &reply);
}

void call_reply(struct call *call, uint32_t status, struct str json, uint64_t version)
{
    struct message_reply reply = {
        .call = call->message->call, .status = status, .json = json, .version = version};

    send_reply(call->judge, &reply);
}

bool call_decode(struct call *call, const struct wire_schema *schema, void *ret)
{
    if (wire_decode(schema, call->message->body, call->arena, ret)) {
        return true;
    }
    call_refuse(call, 400, "bad_request", "the request cannot be understood");
    return false;
}

bool call_has_room(struct call *call)
{
    if (record_has_room(call->judge, true)) {
        return true;
    }
    call_refuse(call, 503, "ledger_unavailable",
                "the ledger cannot be written at the moment; nothing was changed");
    return false;
}

/* ---- replies that wait ---- */

struct pending *call_pending(struct call *call, uint32_t status, uint64_t version)
{
    struct pending *pending = mem_zeroed(sizeof(*pending));

    pending->judge = call->judge;
    pending->call = call->message->call;
    pending->status = status;
    pending->version = version;
    buf_init_wiped(&pending->json, REPLY_BYTES_MAX);
    list_add(&call->judge->pending_calls, &pending->link);
    return pending;
}

static void pending_free(struct pending *pending)
{
    list_remove(&pending->link);
    buf_clear(&pending->json);
    if (pending->arena != NULL) {
        arena_free(pending->arena);
    }
    free(pending);
}

void call_wake(void *ctx, bool durable)
{
    struct pending *pending = ctx;
    struct judge *judge = pending->judge;

    if (pending->then != NULL) {
        pending->then(pending, durable);
    }
    struct message_reply reply = {.call = pending->call,
                                  .status = pending->status,
                                  .json = buf_str(&pending->json),
                                  .version = pending->version};
    if (!durable) {
        reply = (struct message_reply){
            .call = pending->call,
            .status = 503,
            .code = STR("ledger_unavailable"),
            .detail = STR("the ledger did not take it in time; it will, when the disk has room")};
    }
    if (!pending->told) {
        pending->told = true;
        send_reply(judge, &reply);
    }
    if (!durable && pending->arena != NULL) {
        /* What is to be done afterwards must not be lost: wait on. */
        record_wait(judge, &pending->waiter, call_wake, pending);
        return;
    }
    pending_free(pending);
}

void call_wait(struct pending *pending)
{
    record_wait(pending->judge, &pending->waiter, call_wake, pending);
}

/* ---- pages ---- */

void page_open(struct page *page, const struct call *call)
{
    uint64_t limit = call->message->limit;

    *page =
        (struct page){.limit = limit == 0 || limit > LIMIT_API_PAGE_MAX ? LIMIT_API_PAGE : limit};
    buf_init(&page->text, REPLY_BYTES_MAX);
    page->out = json_begin(&page->text);
    json_open(&page->out, '{');
    json_name(&page->out, "data");
    json_open(&page->out, '[');
}

bool page_is_full(const struct page *page)
{
    return page->count >= page->limit || buf_len(&page->text) > REPLY_BYTES_MAX / 2;
}

void page_more_from(struct page *page, uint64_t number)
{
    (void)snprintf(page->cursor, sizeof(page->cursor), "%" PRIu64, number);
}

void page_reply(struct page *page, struct call *call)
{
    json_close(&page->out, ']');
    json_name(&page->out, "next_cursor");
    json_text_or_null(&page->out, str_from(page->cursor));
    json_close(&page->out, '}');
    call_reply(call, 200, buf_str(&page->text), 0);
    buf_clear(&page->text);
}

uint64_t page_start(const struct call *call)
{
    uint64_t number;

    return str_to_u64(call->message->cursor, &number) ? number : UINT64_MAX;
}

/* ---- who asks ---- */

static bool find_caller(struct call *call)
{
    struct judge *judge = call->judge;
    struct caller *caller = &call->caller;
    const struct message_call *message = call->message;

    if (message->local) {
        caller->role = OPERATOR_ADMIN;
        caller->name = message->actor.len == 0 ? STR("local") : message->actor;
        return true;
    }
    if (message->vault_key) {
        enum key_status status;
        caller->self = keys_by_token(judge, &message->token_digest);
        caller->name = STR("vault key");
        return caller->self != NULL && key_first_inactive(judge, caller->self, &status) == NULL;
    }
    const struct operator_token *token = book_operator(judge, &message->token_digest);
    if (token == NULL) {
        return false;
    }
    caller->role = token->role;
    caller->name = str_from(token->name);
    caller->has_bounds = token->bounds_len > 0;
    return !caller->has_bounds ||
           wire_decode(&call_bounds_schema, str_of(token->bounds, token->bounds_len), call->arena,
                       &caller->bounds);
}

void calls_handle(struct judge *judge, const struct message_call *message)
{
    struct call call = {.judge = judge, .message = message, .arena = judge->scratch};

    arena_reset(judge->scratch);
    if (message->verb == CALL_READY) {
        call_ready(&call);
        return;
    }
    if (verbs[message->verb].handle == NULL) {
        call_refuse(&call, 404, "not_found", "there is no such call");
        return;
    }
    if (!judge->ready || judge->generation == NULL) {
        call_refuse(&call, 503, "ledger_unavailable", "the server is starting");
        return;
    }
    if (!find_caller(&call)) {
        call_refuse(&call, 401, "unauthorized", "the token is not known, or has ended");
        return;
    }
    bool may = call.caller.self != NULL ? verbs[message->verb].self
                                        : (verbs[message->verb].roles & MAY(call.caller.role)) != 0;
    if (!may) {
        call_refuse(&call, 403, "forbidden", "a token of role %s may not do this",
                    call.caller.self != NULL              ? "vault key"
                    : call.caller.role == OPERATOR_VIEWER ? "viewer"
                                                          : "issuer");
        return;
    }
    uint64_t number;
    if (message->cursor.len > 0 && !str_to_u64(message->cursor, &number)) {
        call_refuse(&call, 400, "bad_request", "cursor is not one of ours");
        return;
    }
    verbs[message->verb].handle(&call);
}
