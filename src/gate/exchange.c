/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request: its beginning and end, and its body on the way to the reader or the vault.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "gate/visitor.h"

enum { SPARE_MAX = 256 }; /* exchanges to be used again */

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

void exchange_leave(struct exchange *exchange)
{
    exchange->link = NULL;
    list_remove(&exchange->streams);
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
    exchange_leave(exchange);
}

void exchange_use(struct exchange *exchange, struct link *link)
{
    list_remove(&exchange->streams);
    exchange->link = link;
    list_add(&link->streams, &exchange->streams);
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
