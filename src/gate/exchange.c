/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What judge, reader and vault are told about a request, and what they say.
 *
 * A message about a request or a grant that is not known any more is dropped: it crossed our own
 * message that says so.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gate/tunnel.h"

enum {
    SPARE_MAX = 256,
    SPARE_BYTES_MAX = 4096,            /* a buffer that is larger is not kept */
    PEER_QUEUE_MAX = 80 * 1024 * 1024, /* above all windows and judged bodies together */
    JUDGE_QUEUE_MAX = 16 * 1024 * 1024,
    JUDGE_QUEUE_HIGH = 1024 * 1024, /* from here on no head is read */
};

/* ---- birth and end ---- */

struct exchange *exchange_new(struct visitor *client)
{
    struct gate *gate = client->gate;
    struct exchange *exchange;

    if (list_empty(&gate->spare)) {
        exchange = mem_zeroed(sizeof(*exchange));
    } else {
        exchange = LIST_THING(gate->spare.next, struct exchange, spare);
        list_remove(&exchange->spare);
        gate->spare_count--;
        *exchange = (struct exchange){0};
    }
    exchange->client = client;
    exchange->down_window = LIMIT_STREAM_WINDOW_BYTES;
    exchange->up_credit = LIMIT_STREAM_WINDOW_BYTES;
    exchange->began_us = loop_now_us(gate->loop);
    list_init(&exchange->streams);
    list_init(&exchange->spare);
    buf_init(&exchange->head, LIMIT_HEAD_BYTES);
    buf_init(&exchange->kept, LIMIT_FRAME_BYTES);
    gate->buffered_bytes += exchange->down_window;
    return exchange;
}

static void drop_kept(struct exchange *exchange)
{
    exchange->client->gate->buffered_bytes -= buf_len(&exchange->kept);
    buf_clear(&exchange->kept);
    buf_clear(&exchange->head);
    free(exchange->fields);
}

/* From here on no message finds it. */
static void forget(struct exchange *exchange)
{
    struct gate *gate = exchange->client->gate;

    if (exchange->request != 0) {
        (void)table_remove(&gate->requests, &exchange->request);
        gate->open_admissions--;
    }
    if (exchange->grant != 0) {
        (void)table_remove(&gate->grants, &exchange->grant);
    }
}

static void tell_done(struct exchange *exchange)
{
    struct gate *gate = exchange->client->gate;
    uint64_t total_us = loop_now_us(gate->loop) - exchange->began_us;
    struct message_done done = {
        .request = exchange->request,
        .grant = exchange->grant,
        .status = exchange->status,
        .bytes_in = exchange->bytes_in,
        .bytes_out = exchange->bytes_out,
        .first_byte_us = exchange->first_us == 0 ? 0 : exchange->first_us - exchange->began_us,
        .total_us = total_us,
        .client_gone = exchange->client_gone || exchange->grant == 0,
    };

    if (gate->judge != NULL) {
        (void)channel_send(gate->judge->channel, MESSAGE_DONE, &done);
    }
}

void exchange_end(struct exchange *exchange)
{
    struct visitor *client = exchange->client;
    struct gate *gate = client->gate;

    if (exchange->grant != 0 || exchange->admitted) {
        tell_done(exchange);
    }
    forget(exchange);
    drop_kept(exchange);
    list_remove(&exchange->streams);
    gate->buffered_bytes -= exchange->down_window;
    client->exchange = NULL;
    if (gate->spare_count < SPARE_MAX) {
        gate->spare_count++;
        list_add(&gate->spare, &exchange->spare);
    } else {
        free(exchange);
    }
}

void exchange_let_go(struct exchange *exchange)
{
    struct link *link = exchange->link;

    if (link == NULL) {
        return;
    }
    if (link->role == ROLE_READER) {
        struct message_body_end end = {.request = exchange->request, .complete = false};
        if (exchange->client->state == VISITOR_READ) {
            (void)channel_send(link->channel, MESSAGE_BODY_END, &end);
        }
    } else {
        struct message_reset reset = {.grant = exchange->grant, .error = UPSTREAM_CLIENT};
        (void)channel_send(link->channel, MESSAGE_RESET, &reset);
    }
    exchange->link = NULL;
    list_remove(&exchange->streams);
}

static void use_link(struct exchange *exchange, struct link *link)
{
    list_remove(&exchange->streams);
    exchange->link = link;
    if (link != NULL) {
        list_add(&link->streams, &exchange->streams);
    }
}

static struct exchange *by_request(struct gate *gate, uint64_t request)
{
    return table_find(&gate->requests, &request);
}

static struct exchange *by_grant(struct link *link, uint64_t grant)
{
    struct exchange *exchange = table_find(&link->gate->grants, &grant);
    return exchange != NULL && exchange->link == link ? exchange : NULL;
}

/* ---- to the reader ---- */

static void body_is_bad(struct visitor *client, const char *text)
{
    exchange_let_go(client->exchange);
    client->close_after = true;
    answer_refuse(client, VERDICT_BAD_REQUEST, 400, text);
}

static bool keep(struct exchange *exchange, struct str data)
{
    struct gate *gate = exchange->client->gate;

    if (!room_for(gate, ROOM_BODY, data.len) || !buf_add_str(&exchange->kept, data)) {
        return false;
    }
    gate->buffered_bytes += data.len;
    return true;
}

static void end_reading(struct exchange *exchange, bool complete)
{
    struct message_body_end end = {.request = exchange->request, .complete = complete};

    (void)channel_send(exchange->link->channel, MESSAGE_BODY_END, &end);
    exchange->body_done = complete;
    exchange->may_wait = true;
    visitor_move(exchange->client, VISITOR_VERDICT);
}

/* One piece of a judged body.  False when the state has changed. */
static bool read_piece(struct visitor *client, struct str data)
{
    struct exchange *exchange = client->exchange;
    struct message_body_data piece = {.request = exchange->request, .bytes = data};

    exchange->bytes_in += data.len;
    if (!keep(exchange, data)) {
        exchange_let_go(exchange);
        answer_refuse(client, VERDICT_LEDGER_UNAVAILABLE, 0,
                      "keybrake holds too many request bodies at the moment. Try again.");
        return false;
    }
    (void)channel_send(exchange->link->channel, MESSAGE_BODY_DATA, &piece);
    if (buf_len(&exchange->kept) > exchange->kept_max) {
        end_reading(exchange, false); /* the judge says so, in the vendor's words */
        return false;
    }
    return true;
}

void exchange_feed_reader(struct visitor *client)
{
    struct exchange *exchange = client->exchange;

    while (client->state == VISITOR_READ) {
        struct str in = buf_str(&client->in), data;
        size_t before = in.len;
        enum http_body_result result = http_body_read(&exchange->body, &in, &data);

        if (result == HTTP_BODY_DATA && !read_piece(client, data)) {
            return; /* what was not taken is skipped or drained */
        }
        buf_consume(&client->in, before - in.len);
        if (result == HTTP_BODY_END) {
            end_reading(exchange, true);
        } else if (result == HTTP_BODY_BAD) {
            body_is_bad(client, "The request's body is not framed as HTTP/1.1 asks.");
        } else if (result == HTTP_BODY_MORE && client->peer_ended) {
            body_is_bad(client, "The request's body ended before it was complete.");
        } else if (result == HTTP_BODY_MORE) {
            return;
        }
    }
}

/* ---- to the vault ---- */

bool exchange_wants_body(const struct exchange *exchange)
{
    return !exchange->body_done && exchange->link != NULL && exchange->up_credit > 0;
}

static void send_data(struct exchange *exchange, struct str bytes)
{
    struct message_data data = {.grant = exchange->grant, .bytes = bytes};

    (void)channel_send(exchange->link->channel, MESSAGE_DATA, &data);
}

static void send_end(struct exchange *exchange)
{
    struct message_end end = {.grant = exchange->grant};

    exchange->body_done = true;
    exchange->end_sent = true;
    (void)channel_send(exchange->link->channel, MESSAGE_END, &end);
}

/* The upload is broken: the vault must not take it for complete. */
static void upload_failed(struct visitor *client, const char *text)
{
    if (client->exchange->status != 0) {
        visitor_gone(client);
    } else {
        body_is_bad(client, text);
    }
}

/* A judged body, which is complete, and the END of a body that was complete before it began. */
static void send_kept(struct exchange *exchange)
{
    struct gate *gate = exchange->client->gate;
    size_t left = buf_len(&exchange->kept);

    while (left > 0 && exchange->up_credit > 0) {
        size_t most = exchange->up_credit < VISITOR_READ_BYTES ? (size_t)exchange->up_credit
                                                               : VISITOR_READ_BYTES;
        struct str piece = str_slice(buf_str(&exchange->kept), 0, most);

        send_data(exchange, piece);
        exchange->up_credit -= piece.len;
        gate->buffered_bytes -= piece.len;
        buf_consume(&exchange->kept, piece.len);
        left = buf_len(&exchange->kept);
    }
    if (left == 0) {
        buf_clear(&exchange->kept);
        send_end(exchange);
    }
}

void exchange_feed_vault(struct visitor *client)
{
    struct exchange *exchange = client->exchange;

    if (exchange->body_done && !exchange->end_sent && exchange->link != NULL &&
        exchange->body.kind != BODY_NONE) {
        send_kept(exchange);
    }
    while (client->state == VISITOR_FORWARD && exchange_wants_body(exchange)) {
        /* A chunk's own bytes are no content, so this may take a little less than the credit. */
        struct str in = str_slice(buf_str(&client->in), 0, exchange->up_credit), data;
        size_t before = in.len;

        enum http_body_result result = http_body_read(&exchange->body, &in, &data);
        if (result == HTTP_BODY_DATA) {
            exchange->bytes_in += data.len;
            exchange->up_credit -= data.len;
            send_data(exchange, data);
        }
        buf_consume(&client->in, before - in.len);
        if (result == HTTP_BODY_END) {
            send_end(exchange);
        } else if (result == HTTP_BODY_BAD) {
            upload_failed(client, "The request's body is not framed as HTTP/1.1 asks.");
        } else if (result == HTTP_BODY_MORE && client->peer_ended && buf_len(&client->in) == 0) {
            upload_failed(client, "The request's body ended before it was complete.");
        } else if (result == HTTP_BODY_MORE && buf_len(&client->in) == 0) {
            return;
        }
    }
}

void exchange_credit(struct exchange *exchange)
{
    struct gate *gate = exchange->client->gate;
    size_t waiting = buf_len(&exchange->client->out);
    uint64_t give = exchange->down_taken > waiting ? exchange->down_taken - waiting : 0;

    if (exchange->link == NULL || exchange->link->role != ROLE_VAULT ||
        give < exchange->down_window / 2) {
        return;
    }
    struct message_window window = {.grant = exchange->grant, .bytes = give};
    exchange->down_taken -= give;
    /* It drains as fast as it comes: more may be on its way at once. */
    if (waiting == 0 && exchange->down_window < LIMIT_STREAM_WINDOW_BYTES_MAX &&
        room_for(gate, ROOM_WINDOW, exchange->down_window)) {
        window.bytes += exchange->down_window;
        gate->buffered_bytes += exchange->down_window;
        exchange->down_window *= 2;
    }
    (void)channel_send(exchange->link->channel, MESSAGE_WINDOW, &window);
}

/* ---- from the judge ---- */

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
    use_link(exchange, vault);
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
    exchange->link = NULL; /* of the reader: it has done its part */
    list_remove(&exchange->streams);
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
    use_link(exchange, gate->reader);
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

static void on_dialled(void *ctx, struct channel *from, const void *message, int fd)
{
    const struct link *link = ctx;

    (void)from;
    splice_dialled(link->gate, message, fd);
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

/* ---- from the vault ---- */

static void on_head(void *ctx, struct channel *from, const void *message, int fd)
{
    struct link *link = ctx;
    const struct message_head *m = message;
    struct exchange *exchange = by_grant(link, m->grant);

    (void)from;
    (void)fd;
    if (exchange != NULL && !answer_head(exchange, m)) {
        gate_fault(link->gate, link, "HEAD that is no answer's");
    }
}

static void on_data(void *ctx, struct channel *from, const void *message, int fd)
{
    struct link *link = ctx;
    const struct message_data *m = message;
    struct exchange *exchange = by_grant(link, m->grant);

    (void)from;
    (void)fd;
    if (exchange == NULL) {
        return;
    }
    exchange->down_taken += m->bytes.len;
    if (exchange->down_taken > exchange->down_window || !answer_data(exchange, m->bytes)) {
        gate_fault(link->gate, link, "DATA that was not asked for");
    }
}

/* What has not been taken of the upload is not wanted any more. */
static void leave_vault(struct exchange *exchange)
{
    exchange->link = NULL;
    list_remove(&exchange->streams);
}

static void on_end(void *ctx, struct channel *from, const void *message, int fd)
{
    struct link *link = ctx;
    const struct message_end *m = message;
    struct exchange *exchange = by_grant(link, m->grant);

    (void)from;
    (void)fd;
    if (exchange == NULL) {
        return;
    }
    if (exchange->status == 0) {
        gate_fault(link->gate, link, "END without HEAD");
        return;
    }
    leave_vault(exchange);
    answer_end(exchange, false);
}

static void on_reset(void *ctx, struct channel *from, const void *message, int fd)
{
    struct link *link = ctx;
    const struct message_reset *m = message;
    struct exchange *exchange = by_grant(link, m->grant);

    (void)from;
    (void)fd;
    if (exchange == NULL) {
        return;
    }
    leave_vault(exchange);
    if (exchange->status != 0) {
        answer_end(exchange, true);
        return;
    }
    visitor_move(exchange->client, VISITOR_FAILED);
    visitor_work(exchange->client);
}

static void on_window(void *ctx, struct channel *from, const void *message, int fd)
{
    struct link *link = ctx;
    const struct message_window *m = message;
    struct exchange *exchange = by_grant(link, m->grant);

    (void)from;
    (void)fd;
    if (exchange == NULL) {
        return;
    }
    if (m->bytes > LIMIT_FRAME_BYTES || exchange->up_credit > LIMIT_FRAME_BYTES) {
        gate_fault(link->gate, link, "WINDOW above its maximum");
        return;
    }
    exchange->up_credit += m->bytes;
    exchange->client->in_ms = loop_now_ms(link->gate->loop); /* its turn begins now */
    visitor_work(exchange->client);
}

/* ---- links ---- */

static void lose_stream(struct exchange *exchange, enum process_role role)
{
    struct visitor *client = exchange->client;

    leave_vault(exchange);
    if (role == ROLE_READER) {
        answer_refuse(client, VERDICT_LEDGER_UNAVAILABLE, 0,
                      "The process that reads bodies was restarted. Try again.");
    } else if (exchange->status != 0) {
        answer_end(exchange, true);
    } else {
        answer_refuse(client, VERDICT_OUTCOME_UNKNOWN, 0,
                      "The process that speaks with the vendor was restarted; whether the vendor "
                      "acted is not known here.");
    }
}

static void link_closed(void *ctx, struct channel *channel)
{
    struct link *link = ctx;
    struct gate *gate = link->gate;
    struct link **places[] = {&gate->judge, &gate->vault, &gate->reader, &gate->dialer};

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (*places[i] == link) {
            *places[i] = NULL;
        }
    }
    while (!list_empty(&link->streams)) {
        lose_stream(LIST_THING(link->streams.next, struct exchange, streams), link->role);
    }
    channel_free(channel);
    free(link);
}

static void link_fault(void *ctx, struct channel *channel, const char *why)
{
    struct link *link = ctx;

    (void)channel;
    gate_fault(link->gate, link, why);
}

/* The judge takes messages again: heads that waited go on. */
static void judge_drained(void *ctx, struct channel *channel)
{
    struct link *link = ctx;
    struct gate *gate = link->gate;

    while (!list_empty(&gate->parked) && !channel_is_full(channel)) {
        struct visitor *client = LIST_THING(gate->parked.next, struct visitor, parked);
        list_remove(&client->parked);
        client->is_parked = false;
        client->parsed = 0;
        visitor_work(client);
    }
    doors_update(gate);
}

static const struct channel_accept judge_accepts[] = {
    {MESSAGE_READ_BODY, 0, on_read_body},   {MESSAGE_GRANTED, 0, on_granted},
    {MESSAGE_ANSWER, 0, on_answer},         {MESSAGE_CUT, 0, on_cut},
    {MESSAGE_TUNNELLED, 0, on_tunnelled},   {MESSAGE_LEAF, 0, on_leaf},
    {MESSAGE_DIALS_LOST, 0, on_dials_lost},
};
static const struct channel_accept dialer_accepts[] = {{MESSAGE_DIALLED, 0, on_dialled}};
static const struct channel_accept vault_accepts[] = {
    {MESSAGE_HEAD, 0, on_head},   {MESSAGE_DATA, 0, on_data},     {MESSAGE_END, 0, on_end},
    {MESSAGE_RESET, 0, on_reset}, {MESSAGE_WINDOW, 0, on_window},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct link *link_new(struct gate *gate, enum process_role role, uint32_t index, int fd)
{
    struct link *link = mem_zeroed(sizeof(*link));
    struct channel_events events = {.fault = link_fault, .closed = link_closed};
    struct channel_limits limits = {.queue_max = PEER_QUEUE_MAX};

    link->gate = gate;
    link->role = role;
    link->index = index;
    list_init(&link->streams);
    if (role == ROLE_JUDGE) {
        events.accepts = judge_accepts;
        events.accept_count = COUNT(judge_accepts);
        events.drained = judge_drained;
        limits = (struct channel_limits){.queue_max = JUDGE_QUEUE_MAX, .high = JUDGE_QUEUE_HIGH};
    } else if (role == ROLE_VAULT) {
        events.accepts = vault_accepts;
        events.accept_count = COUNT(vault_accepts);
    } else if (role == ROLE_DIALER) {
        events.accepts = dialer_accepts;
        events.accept_count = COUNT(dialer_accepts);
    }
    link->channel = channel_new(gate->loop, fd, &events, &limits, link);
    return link;
}
