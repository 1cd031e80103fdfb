/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's head as it comes: when it is worth parsing, what it waits for, and what is said to
 * one that is none.
 */
#include "gate/visitor_parts.h"

/* Whether parsing again can say more than the last time: at once, then when a line has ended, or
 * twice as much is there; else a sender of single bytes would cost the square of its head.  (There
 * are not many lines: the parser refuses more than 100.) */
static bool worth_parsing(const struct visitor *client)
{
    struct str in = buf_str(&client->in);
    struct str fresh = str_slice(in, client->parsed, in.len);

    return client->parsed == 0 || in.len >= 2 * client->parsed || in.len >= LIMIT_HEAD_BYTES ||
           client->peer_ended || str_index(fresh, '\n', 0) < fresh.len ||
           str_index(fresh, '\r', 0) < fresh.len;
}

void visitor_refuse_unread(struct visitor *client, enum verdict verdict, unsigned status,
                           const char *text)
{
    client->exchange = exchange_new(client);
    http_body_begin(&client->exchange->body, BODY_UNTIL_CLOSE, 0);
    client->close_after = true;
    answer_refuse(client, verdict, status, text);
}

void visitor_refuse_head(struct visitor *client, unsigned status, const char *text)
{
    client->gate->refused_heads++;
    visitor_refuse_unread(client,
                          status == 431 || status == 414 ? VERDICT_TOO_LARGE : VERDICT_BAD_REQUEST,
                          status, text);
}

/* RFC 9112 2.2: one empty line before a request line is ignored.  Some clients send one behind a
 * body. */
static void skip_empty_line(struct visitor *client)
{
    if (!client->skipped_line && str_starts(buf_str(&client->in), STR("\r\n"))) {
        buf_consume(&client->in, 2);
        client->skipped_line = true;
    }
}

/* Half of that line, perhaps: the parser would take it for the start of a method. */
static bool may_be_empty_line(const struct visitor *client)
{
    return !client->skipped_line && !client->peer_ended &&
           str_equal(buf_str(&client->in), STR("\r"));
}

static bool park_if_full(struct visitor *client)
{
    struct gate *gate = client->gate;

    if (gate->judge == NULL || !channel_is_full(gate->judge->channel)) {
        return false;
    }
    client->is_parked = true;
    client->since_ms = visitor_now_ms(client);
    list_add(&gate->parked, &client->parked);
    return true;
}

/* What is here of a head that is not complete.  True when it is refused. */
static bool hold_head(struct visitor *client)
{
    if (room_hold(client, client->parsed)) {
        return false;
    }
    visitor_refuse_unread(client, VERDICT_LEDGER_UNAVAILABLE, 0,
                          "This gate waits for the rest of too many requests. Try again.");
    return true;
}

bool visitor_work_head(struct visitor *client)
{
    struct gate *gate = client->gate;
    struct http_problem problem;
    size_t used;

    skip_empty_line(client);
    if (client->is_parked || buf_len(&client->in) == 0 || may_be_empty_line(client) ||
        !worth_parsing(client)) {
        return false;
    }
    client->parsed = buf_len(&client->in);
    char *bytes = (char *)client->in.data + client->in.start;
    enum http_result result =
        http_parse_request(bytes, client->parsed, &gate->head, &used, &problem);
    if (result == HTTP_MORE) {
        if (client->peer_ended) {
            visitor_refuse_head(client, 400, "The request's head ended before it was complete.");
            return true;
        }
        return hold_head(client);
    }
    if (result == HTTP_BAD) {
        visitor_refuse_head(client, problem.status, problem.text);
        return true;
    }
    if (park_if_full(client)) {
        return false;
    }
    client->parsed = 0;
    client->skipped_line = false;
    client->exchange = exchange_new(client);
    client->exchange->head_bytes = used;
    admit_request(client);
    return true;
}
