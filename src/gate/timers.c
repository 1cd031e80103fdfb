/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time: when a connection has waited too long, and what happens then.
 */
#include "gate/tunnel.h"
#include "gate/visitor_parts.h"

enum {
    SHRINK_MS = 1000, /* an idle connection keeps its buffers so long */
    /* The judge may wait for another request of the same idempotency key, and for its disk. */
    JUDGE_LONG_MS = LIMIT_JUDGE_SILENT_MS + LIMIT_IN_FLIGHT_WAIT_MS + LIMIT_COMMIT_MS,
};

static void on_timer(void *ctx);

/* When something must happen; UINT64_MAX: never. */
static uint64_t due_ms(const struct visitor *client)
{
    uint64_t due = UINT64_MAX;

    switch ((enum visitor_state)client->state) {
    case VISITOR_PROXY:
    case VISITOR_HANDSHAKE:
        due = client->since_ms + LIMIT_TLS_HANDSHAKE_MS;
        break;
    case VISITOR_IDLE:
        due = client->since_ms + (client->shrunk ? LIMIT_IDLE_MS : SHRINK_MS);
        break;
    case VISITOR_HEAD:
        due = client->since_ms + (client->is_parked ? LIMIT_JUDGE_SILENT_MS : LIMIT_HEAD_MS);
        break;
    case VISITOR_JUDGE:
    case VISITOR_VERDICT:
        due =
            client->since_ms + (client->exchange->may_wait ? JUDGE_LONG_MS : LIMIT_JUDGE_SILENT_MS);
        break;
    case VISITOR_FAILED:
        due = client->since_ms + LIMIT_JUDGE_SILENT_MS;
        break;
    case VISITOR_READ:
    case VISITOR_FORWARD:
        due = visitor_wants_input(client) ? client->in_ms + LIMIT_BODY_GAP_MS : UINT64_MAX;
        break;
    case VISITOR_DRAIN:
        due = client->since_ms + LIMIT_DRAIN_MS;
        break;
    case VISITOR_SOCKS:
    case VISITOR_PEEK:
    case VISITOR_TUNNEL:
    case VISITOR_SPLICE:
        due = tunnel_due_ms(client);
        break;
    case VISITOR_ANSWER:
    case VISITOR_CLOSED:
    case VISITOR_STATE_COUNT:
        break;
    }
    uint64_t stall = client->out_ms == 0 ? UINT64_MAX : client->out_ms + LIMIT_WRITE_STALL_MS;
    return due < stall ? due : stall;
}

/* Lazily: a timer that fires too early looks again, which is cheaper than moving it each time. */
void visitor_set_timer(struct visitor *client)
{
    uint64_t due = due_ms(client), now = visitor_now_ms(client);

    if (client->state == VISITOR_CLOSED || due == UINT64_MAX ||
        (client->timer.place != 0 && client->timer.due_ms <= due)) {
        return;
    }
    loop_timer_set(client->gate->loop, &client->timer, due > now ? due - now : 0, on_timer, client);
}

/* Idle for a while: it keeps no buffers. */
static void shrink(struct visitor *client)
{
    buf_clear(&client->in);
    buf_clear(&client->out);
    if (client->tls != NULL) {
        tls_rest(client->tls);
    }
    if (client->under != NULL) {
        tls_rest(client->under);
    }
    client->shrunk = true;
    client->gate->shrunk++;
}

static void time_is_up(struct visitor *client)
{
    switch ((enum visitor_state)client->state) {
    case VISITOR_IDLE:
        if (!client->shrunk) {
            shrink(client);
            return;
        }
        client->peer_ended = true; /* as if it had closed: with a close_notify of ours */
        visitor_work(client);
        return;
    case VISITOR_HEAD:
        if (client->is_parked) {
            client->is_parked = false;
            list_remove(&client->parked);
            visitor_refuse_unread(client, VERDICT_LEDGER_UNAVAILABLE, 0,
                                  "keybrake is too busy to decide about this request. Try again.");
            return;
        }
        visitor_refuse_head(client, 408, "The head of the request did not come within 10 s.");
        return;
    case VISITOR_JUDGE:
    case VISITOR_VERDICT:
        exchange_let_go(client->exchange);
        answer_refuse(client, VERDICT_LEDGER_UNAVAILABLE, 0,
                      "keybrake could not decide about this request in time. Try again.");
        return;
    case VISITOR_FAILED:
        answer_refuse(client, VERDICT_OUTCOME_UNKNOWN, 0,
                      "The connection to the vendor broke; whether it acted is not known here.");
        return;
    case VISITOR_READ:
    case VISITOR_FORWARD:
        if (client->exchange->status == 0) {
            exchange_let_go(client->exchange);
            answer_refuse(client, VERDICT_BAD_REQUEST, 408,
                          "Nothing of the request's body came for 30 s.");
            return;
        }
        visitor_gone(client);
        return;
    case VISITOR_PROXY:
    case VISITOR_HANDSHAKE:
    case VISITOR_ANSWER:
    case VISITOR_DRAIN:
    case VISITOR_SOCKS:
    case VISITOR_PEEK:
    case VISITOR_TUNNEL:
    case VISITOR_SPLICE:
    case VISITOR_CLOSED:
    case VISITOR_STATE_COUNT:
        break;
    }
    visitor_gone(client);
}

static void on_timer(void *ctx)
{
    struct visitor *client = ctx;
    uint64_t now = visitor_now_ms(client);

    if (client->out_ms != 0 && client->out_ms + LIMIT_WRITE_STALL_MS <= now) {
        visitor_end_by_reset(client);
        visitor_gone(client);
    } else if (due_ms(client) <= now) {
        time_is_up(client);
    }
    visitor_set_timer(client);
}
