/* SPDX-License-Identifier: Apache-2.0 */
/* The calls about the server itself: what would it decide, how is it, who may call it. */
#include "judge/calls.h"
#include "judge/decide.h"
#include "judge/json.h"
#include "judge/keys.h"
#include "judge/metrics.h"
#include "judge/record.h"

static void reply_decision(struct call *call, const struct decision *decision)
{
    struct buf text;

    buf_init(&text, REPLY_BYTES_MAX);
    struct json_out out = json_begin(&text);
    json_decision(&out, call->judge, decision);
    call_reply(call, 200, buf_str(&text), 0);
    buf_clear(&text);
}

static void explain(struct call *call, const struct message_admit *admit,
                    const struct message_facts *facts)
{
    struct judge *judge = call->judge;
    struct decision decision;
    struct key *key = keys_by_id(judge, call->message->id);

    if (key == NULL || (call->caller.role == OPERATOR_ISSUER &&
                        !str_equal(str_from(key->created_by), call->caller.name))) {
        call_refuse(call, 404, "not_found", "there is no such key");
        return;
    }
    if (admit->path.len == 0 || admit->path.data[0] != '/') {
        call_refuse(call, 400, "bad_request", "the path begins with '/'");
        return;
    }
    if (decide_head(judge, admit, key, call->arena, &decision) != VERDICT_ALLOWED) {
        reply_decision(call, &decision);
        return;
    }
    if (decision.read_rule != PACK_NONE && facts == NULL) {
        struct message_reply reply = {.call = call->message->call,
                                      .status = 200,
                                      .code = STR("read_body"),
                                      .version = decision.read_rule};
        (void)channel_send(judge->control->channel, MESSAGE_REPLY, &reply);
        return;
    }
    (void)decide_body(judge, admit, decision.read_rule == PACK_NONE ? NULL : facts, call->arena,
                      &decision);
    reply_decision(call, &decision);
}

void call_explain(struct call *call)
{
    struct message_admit admit;

    if (call_decode(call, &message_admit_schema, &admit)) {
        explain(call, &admit, NULL);
    }
}

void call_explain_facts(struct call *call)
{
    struct call_explain_facts asked;

    if (call_decode(call, &call_explain_facts_schema, &asked)) {
        explain(call, &asked.admit, &asked.facts);
    }
}

/* ---- the server ---- */

void call_metrics(struct call *call)
{
    struct buf text;

    buf_init(&text, REPLY_BYTES_MAX);
    metrics_write(call->judge, &text);
    call_reply(call, 200, buf_str(&text), 0);
    buf_clear(&text);
}

void call_ready(struct call *call)
{
    struct judge *judge = call->judge;

    if (!judge->ready || judge->generation == NULL) {
        call_refuse(call, 503, "ledger_unavailable", "the server is starting");
    } else if (judge->draining) {
        call_refuse(call, 503, "ledger_unavailable", "the server is ending");
    } else if (!record_has_room(judge, true)) {
        call_refuse(call, 503, "ledger_unavailable", "the ledger cannot be written");
    } else {
        call_reply(call, 200, STR("{\"status\":\"ready\"}"), 0);
    }
}

void call_authorise(struct call *call)
{
    if (call->caller.role == OPERATOR_ISSUER && !str_equal(call->message->id, STR("vendors"))) {
        call_refuse(call, 403, "forbidden", "a token of role issuer may not do this");
        return;
    }
    call_reply(call, 200, STR("{}"), 0);
}
