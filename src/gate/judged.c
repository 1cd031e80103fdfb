/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the judge says: what becomes of a request, and what is cut.
 *
 * A message about a request that is not known any more is dropped: it crossed our own message that
 * says so.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gate/tunnel.h"

static struct exchange *by_request(struct gate *gate, uint64_t request)
{
    return table_find(&gate->requests, &request);
}

static void drop_head(struct exchange *exchange)
{
    buf_consume(&exchange->client->in, exchange->head_bytes);
    exchange->head_bytes = 0;
}

static void forward(struct exchange *exchange, struct link *vault)
{
    struct visitor *client = exchange->client;
    struct gate *gate = client->gate;
    const struct buf *head = exchange->head_bytes > 0 ? &client->in : &exchange->head;
    struct message_forward forward = {
        .grant = exchange->grant,
        .headers = gate->headers,
        .header_count = admit_free_headers(exchange, head->data + head->start),
    };

    (void)channel_send(vault->channel, MESSAGE_FORWARD, &forward);
    drop_head(exchange);
    exchange_use(exchange, vault);
    visitor_move(client, VISITOR_FORWARD);
    buf_clear(&exchange->head);
    if (!exchange->body_done) {
        answer_continue(exchange);
    }
    visitor_work(client);
}

static void on_granted(void *ctx, struct channel *from, const void *message, int fd)
{
    struct link *link = ctx;
    struct gate *gate = link->gate;
    const struct message_granted *m = message;
    struct exchange *exchange = by_request(gate, m->request);

    (void)fd;
    if (exchange == NULL) {
        /* It crossed our DONE without a grant: once more, with it. */
        struct message_done done = {.request = m->request, .grant = m->grant, .client_gone = true};
        (void)channel_send(from, MESSAGE_DONE, &done);
        return;
    }
    enum visitor_state state = (enum visitor_state)exchange->client->state;
    if (exchange->grant != 0 || state == VISITOR_READ || m->grant == 0 ||
        m->request_id.len > REQUEST_ID_BYTES || table_find(&gate->grants, &m->grant) != NULL) {
        gate_fault(gate, link, "GRANTED out of turn");
        return;
    }
    exchange->grant = m->grant;
    exchange->key = m->key;
    exchange->request_id_len = m->request_id.len;
    memcpy(exchange->request_id, m->request_id.data, m->request_id.len);
    table_add(&gate->grants, exchange);
    if (state != VISITOR_JUDGE && state != VISITOR_VERDICT) {
        return; /* too late: we have answered, and DONE will say so */
    }
    exchange_leave(exchange); /* the reader has done its part */
    if (gate->vault == NULL) {
        answer_refuse(exchange->client, VERDICT_UPSTREAM_UNREACHABLE, 0,
                      "The process that speaks with the vendor is being restarted; nothing was "
                      "sent. Try again.");
        return;
    }
    forward(exchange, gate->vault);
}

static void on_read_body(void *ctx, struct channel *from, const void *message, int fd)
{
    struct link *link = ctx;
    struct gate *gate = link->gate;
    const struct message_read_body *m = message;
    struct exchange *exchange = by_request(gate, m->request);

    (void)from;
    (void)fd;
    if (exchange == NULL || exchange->client->state == VISITOR_ANSWER) {
        return;
    }
    struct visitor *client = exchange->client;
    if (client->state != VISITOR_JUDGE) {
        gate_fault(gate, link, "READ_BODY out of turn");
        return;
    }
    if (gate->reader == NULL) {
        answer_refuse(client, VERDICT_LEDGER_UNAVAILABLE, 0,
                      "The process that reads bodies is being restarted. Try again.");
        return;
    }
    struct message_body body = {
        .request = m->request, .generation = m->generation, .rule = m->rule};
    (void)channel_send(gate->reader->channel, MESSAGE_BODY, &body);
    (void)buf_add_str(&exchange->head, str_slice(buf_str(&client->in), 0, exchange->head_bytes));
    drop_head(exchange);
    exchange->kept_max =
        m->bytes_max < LIMIT_JUDGED_BODY_BYTES ? m->bytes_max : LIMIT_JUDGED_BODY_BYTES;
    exchange_use(exchange, gate->reader);
    visitor_move(client, VISITOR_READ);
    answer_continue(exchange);
    visitor_work(client);
}

static void on_answer(void *ctx, struct channel *from, const void *message, int fd)
{
    struct link *link = ctx;
    const struct message_answer *m = message;
    struct exchange *exchange = by_request(link->gate, m->request);

    (void)from;
    (void)fd;
    if (exchange == NULL) {
        return;
    }
    if (m->status < 200 || m->status > 599) {
        gate_fault(link->gate, link, "ANSWER with a status that is none");
        return;
    }
    if (exchange->grant == 0) {
        exchange->admitted = false;
    }
    if (exchange->status != 0 || exchange->client->state == VISITOR_ANSWER) {
        return;
    }
    exchange_let_go(exchange);
    answer_send(exchange->client, m);
}

static void on_tunnelled(void *ctx, struct channel *from, const void *message, int fd)
{
    struct link *link = ctx;
    const struct message_tunnelled *m = message;
    struct exchange *exchange = by_request(link->gate, m->request);

    (void)from;
    (void)fd;
    if (exchange == NULL || exchange->client->state == VISITOR_ANSWER) {
        /* It crossed our DONE, or will: the judge knows of no such tunnel then. */
        if (m->splice) {
            splice_unwanted(link->gate, m->dial);
        }
        return;
    }
    const struct tunnel *tunnel = exchange->client->tunnel;
    if (exchange->client->state != VISITOR_JUDGE || tunnel == NULL || tunnel->step != STEP_ASKED) {
        gate_fault(link->gate, link, "TUNNELLED out of turn");
        return;
    }
    tunnel_judged(exchange->client, m);
}

static void on_leaf(void *ctx, struct channel *from, const void *message, int fd)
{
    const struct link *link = ctx;

    (void)from;
    (void)fd;
    leaves_answer(link->gate, message);
}

static void on_dials_lost(void *ctx, struct channel *from, const void *message, int fd)
{
    const struct link *link = ctx;
    const struct message_dials_lost *m = message;

    (void)from;
    (void)fd;
    splices_lost(link->gate, m->dial);
}

/* ---- CUT ---- */

static int compare_keys(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right ? 1 : 0;
}

/* The vault ends what is upstream by itself; here the client's side ends. */
static void cut_stream(struct exchange *exchange)
{
    struct visitor *client = exchange->client;

    if (client->state != VISITOR_FORWARD) {
        return;
    }
    if (exchange->status == 0) {
        exchange_let_go(exchange);
        visitor_move(client, VISITOR_FAILED); /* the judge says why */
        visitor_work(client);
        return;
    }
    exchange_let_go(exchange);
    answer_end(exchange, true);
}

/* Nothing leaves the table meanwhile: answers are sent at the end of the turn. */
static void cut_streams_of(const struct gate *gate, const uint64_t *keys, size_t count)
{
    struct exchange *exchange;
    size_t at = 0;

    while ((exchange = table_next(&gate->grants, &at)) != NULL) {
        if (bsearch(&exchange->key, keys, count, sizeof(*keys), compare_keys) != NULL) {
            cut_stream(exchange);
        }
    }
}

static void on_cut(void *ctx, struct channel *from, const void *message, int fd)
{
    struct link *link = ctx;
    const struct message_cut *m = message;
    struct message_cut_done done = {.cut = m->cut};

    (void)fd;
    if (m->key_count > 0) {
        uint64_t *keys = mem_copy(m->keys, m->key_count * sizeof(*keys));
        qsort(keys, m->key_count, sizeof(*keys), compare_keys);
        cut_streams_of(link->gate, keys, m->key_count);
        tunnels_cut(link->gate, keys, m->key_count);
        free(keys);
    }
    (void)channel_send(from, MESSAGE_CUT_DONE, &done);
}

static const struct channel_accept judge_accepts[] = {
    {MESSAGE_READ_BODY, 0, on_read_body},   {MESSAGE_GRANTED, 0, on_granted},
    {MESSAGE_ANSWER, 0, on_answer},         {MESSAGE_CUT, 0, on_cut},
    {MESSAGE_TUNNELLED, 0, on_tunnelled},   {MESSAGE_LEAF, 0, on_leaf},
    {MESSAGE_DIALS_LOST, 0, on_dials_lost},
};

void link_hear_judge(struct channel_events *events)
{
    events->accepts = judge_accepts;
    events->accept_count = sizeof(judge_accepts) / sizeof(judge_accepts[0]);
}
