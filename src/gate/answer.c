/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to clients.  They are gathered in client->out and leave in one write at the end of the
 * turn.
 */
#include <string.h>

#include "base/clock.h"
#include "gate/tunnel.h"
#include "http/write.h"

static struct str date_now(struct gate *gate)
{
    uint64_t now_ms = loop_now_ms(gate->loop);

    if (now_ms >= gate->date_until_ms) {
        int64_t wall_ms = clock_wall_ms();
        struct buf text;
        buf_init(&text, 2 * DATE_BYTES);
        if (http_write_date(&text, wall_ms) && buf_len(&text) == DATE_BYTES) {
            memcpy(gate->date, text.data + text.start, DATE_BYTES);
            gate->date_until_ms = now_ms + (uint64_t)(1000 - wall_ms % 1000);
        }
        buf_clear(&text);
    }
    return str_of(gate->date, DATE_BYTES);
}

static bool has_header(const struct message_header *headers, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(headers[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* Framing is ours alone to write. */
static bool is_framing(struct str name)
{
    return str_equal(name, STR("content-length")) || str_equal(name, STR("transfer-encoding")) ||
           str_equal(name, STR("connection"));
}

/* `headers` and what every answer of ours has, in gate->headers.  False when one may not be sent.
 */
static bool gather_headers(struct exchange *exchange, const struct message_header *headers,
                           size_t count, size_t *ret_count)
{
    struct gate *gate = exchange->client->gate;
    struct str request_id = str_of(exchange->request_id, exchange->request_id_len);

    if (count > LIMIT_FIELDS) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!http_is_token(headers[i].name) || !http_is_field_value(headers[i].value) ||
            is_framing(headers[i].name)) {
            return false;
        }
        gate->headers[i] = headers[i];
    }
    if (!has_header(gate->headers, count, STR("date"))) {
        gate->headers[count++] = (struct message_header){STR("date"), date_now(gate)};
    }
    if (request_id.len > 0 && !has_header(gate->headers, count, STR("keybrake-request-id"))) {
        gate->headers[count++] = (struct message_header){STR("keybrake-request-id"), request_id};
    }
    *ret_count = count;
    return true;
}

static void note_first_byte(struct exchange *exchange, unsigned status)
{
    exchange->status = status;
    exchange->first_us = loop_now_us(exchange->client->gate->loop);
}

static void drop_request_head(struct exchange *exchange)
{
    buf_consume(&exchange->client->in, exchange->head_bytes);
    exchange->head_bytes = 0;
}

/* After this answer nothing more is read as a request. */
static bool must_close(struct visitor *client)
{
    return client->close_after || client->exchange->http10 || client->gate->draining ||
           !visitor_skip_body(client);
}

void answer_send(struct visitor *client, const struct message_answer *answer)
{
    struct exchange *exchange = client->exchange;
    bool empty = answer->status == 204 || answer->status == 304;
    size_t count;

    if (tunnel_refused(client, answer)) {
        return;
    }
    drop_request_head(exchange);
    client->close_after = answer->close || must_close(client);
    if (client->state == VISITOR_CLOSED) {
        return;
    }
    if (!gather_headers(exchange, answer->headers, answer->header_count, &count) ||
        !http_is_field_value(answer->reason) ||
        !http_write_response(&client->out, answer->status, answer->reason, client->gate->headers,
                             count, empty ? BODY_NONE : BODY_LENGTH, answer->body.len,
                             exchange->head_request, client->close_after)) {
        visitor_gone(client);
        return;
    }
    if (!empty && !exchange->head_request && buf_add_str(&client->out, answer->body)) {
        exchange->bytes_out = answer->body.len;
    }
    note_first_byte(exchange, answer->status);
    visitor_answered(client);
}

static void make_request_id(struct exchange *exchange)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    unsigned char bytes[16];

    random_bytes(bytes, sizeof(bytes));
    memcpy(exchange->request_id, "req_", 4);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        exchange->request_id[4 + i] = digits[bytes[i] % 62];
    }
    exchange->request_id_len = 4 + sizeof(bytes);
}

void answer_refuse(struct visitor *client, enum verdict verdict, unsigned status, const char *text)
{
    struct exchange *exchange = client->exchange;
    struct gate *gate = client->gate;
    struct denial denial = verdict_denial(verdict);
    struct message_answer answer = {0};

    if (exchange->request_id_len == 0) {
        make_request_id(exchange);
    }
    denial.message = str_from(text);
    denial.request_id = str_of(exchange->request_id, exchange->request_id_len);
    denial.status = status == 0 ? denial.status : status;
    arena_reset(gate->arena);
    deny_render(NULL, &denial, gate->arena, &answer);
    answer_send(client, &answer);
}

void answer_continue(struct exchange *exchange)
{
    struct visitor *client = exchange->client;

    if (exchange->expect && !exchange->http10 && !exchange->body_done &&
        buf_len(&client->in) == exchange->head_bytes) {
        (void)buf_add_str(&client->out, STR("HTTP/1.1 100 Continue\r\n\r\n"));
        visitor_want_flush(client);
    }
    exchange->expect = false;
}

/* ---- streamed answers ---- */

static bool send_interim(struct exchange *exchange, const struct message_head *head)
{
    struct visitor *client = exchange->client;

    /* 100 is ours to say, and 101 is never granted. */
    if (head->status <= 101 || head->status > 199 || head->header_count > LIMIT_FIELDS) {
        return head->status == 100;
    }
    if (exchange->http10 || ++exchange->interims > LIMIT_INTERIM_ANSWERS) {
        return true;
    }
    for (size_t i = 0; i < head->header_count; i++) {
        if (!http_is_token(head->headers[i].name) || !http_is_field_value(head->headers[i].value)) {
            return false;
        }
    }
    (void)http_write_response(&client->out, head->status, http_reason(head->status), head->headers,
                              head->header_count, BODY_NONE, 0, false, false);
    visitor_want_flush(client);
    return true;
}

static enum body_kind framing_of(const struct exchange *exchange, const struct message_head *head)
{
    if (head->status == 204) {
        return BODY_NONE;
    }
    if (head->body == BODY_LENGTH) {
        return BODY_LENGTH;
    }
    if (head->body == BODY_NONE || exchange->no_body) {
        return BODY_NONE;
    }
    return exchange->http10 ? BODY_UNTIL_CLOSE : BODY_CHUNKED;
}

bool answer_head(struct exchange *exchange, const struct message_head *head)
{
    struct visitor *client = exchange->client;
    size_t count;

    if (exchange->status != 0) {
        return false;
    }
    if (head->interim) {
        return send_interim(exchange, head);
    }
    if (head->status < 200 || head->status > 599 || !http_is_field_value(head->reason) ||
        !gather_headers(exchange, head->headers, head->header_count, &count)) {
        return false;
    }
    exchange->no_body = exchange->head_request || head->status == 204 || head->status == 304;
    exchange->framing = framing_of(exchange, head);
    exchange->answer_left = head->content_length;
    client->close_after =
        client->close_after || exchange->http10 || client->gate->draining || !exchange->body_done;
    note_first_byte(exchange, head->status);
    visitor_want_flush(client);
    return http_write_response(&client->out, head->status, head->reason, client->gate->headers,
                               count, exchange->framing, head->content_length,
                               exchange->head_request, client->close_after);
}

bool answer_data(struct exchange *exchange, struct str bytes)
{
    struct visitor *client = exchange->client;
    bool fits = false;

    if (exchange->status == 0 || (exchange->no_body && bytes.len > 0)) {
        return false;
    }
    switch (exchange->framing) {
    case BODY_LENGTH:
        if (bytes.len > exchange->answer_left) {
            return false;
        }
        exchange->answer_left -= bytes.len;
        fits = buf_add_str(&client->out, bytes);
        break;
    case BODY_CHUNKED:
        fits = http_write_chunk(&client->out, bytes);
        break;
    case BODY_UNTIL_CLOSE:
        fits = buf_add_str(&client->out, bytes);
        break;
    case BODY_NONE:
    case BODY_KIND_COUNT:
        return bytes.len == 0;
    }
    exchange->bytes_out += bytes.len;
    visitor_want_flush(client);
    return fits;
}

void answer_end(struct exchange *exchange, bool truncated)
{
    bool missing =
        exchange->framing == BODY_LENGTH && !exchange->no_body && exchange->answer_left > 0;

    exchange->truncated = !exchange->no_body && (truncated || missing);
    if (exchange->framing == BODY_CHUNKED && !exchange->truncated) {
        (void)http_write_last_chunk(&exchange->client->out);
    }
    visitor_answered(exchange->client);
}
