/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers: whole, in pieces, or the connection itself handed over.
 */
#include <assert.h>

#include "base/clock.h"
#include "control/caller_parts.h"
#include "http/write.h"

static bool write_head(struct caller *c, const struct answer *answer, enum body_kind body)
{
    struct message_header headers[16];
    size_t count = 0;
    struct buf date;
    bool head_request = str_equal(c->head.method, STR("HEAD"));

    buf_init(&date, 64);
    (void)http_write_date(&date, clock_wall_ms());
    headers[count++] = (struct message_header){STR("date"), buf_str(&date)};
    headers[count++] = (struct message_header){STR("cache-control"), STR("no-store")};
    headers[count++] = (struct message_header){STR("x-content-type-options"), STR("nosniff")};
    if (answer->content_type.len > 0) {
        headers[count++] = (struct message_header){STR("content-type"), answer->content_type};
    }
    assert(answer->header_count <= sizeof(headers) / sizeof(headers[0]) - count);
    for (size_t i = 0; i < answer->header_count; i++) {
        headers[count++] = answer->headers[i];
    }
    bool fits = http_write_response(&c->out, answer->status, http_reason(answer->status), headers,
                                    count, body, answer->body.len, head_request, c->close_after);
    buf_clear(&date);
    return fits;
}

/* The exchange is over: its bytes caller_go now, secrets among them. */
static void forget_request(struct caller *c)
{
    caller_close_fds(c);
    buf_clear(&c->body);
    buf_clear(&c->head_bytes);
    c->exchange = (struct exchange){.peer = &c->peer};
}

void caller_write_answer(struct caller *c, const struct answer *answer)
{
    bool bodyless = answer->status == 204 || answer->status == 304;
    bool head_request = str_equal(c->head.method, STR("HEAD"));

    c->close_after = c->close_after || c->server->draining;
    if (!write_head(c, answer, bodyless ? BODY_NONE : BODY_LENGTH) ||
        (!bodyless && !head_request && !buf_add_str(&c->out, answer->body))) {
        c->close_after = true; /* larger than CALLER_OUT_MAX: cut, and seen to be cut */
    }
    forget_request(c);
    caller_move(c, WRITING);
}

static bool answer_reaches_nobody(struct caller *c)
{
    assert(c->state == HANDLING);
    if (c->fd != -1) {
        return false;
    }
    if (c->busy) {
        c->dead = true;
        c->state = WRITING; /* no longer handed out */
    } else {
        caller_release(c);
    }
    return true;
}

void exchange_answer(struct exchange *exchange, const struct answer *answer)
{
    struct caller *c = (struct caller *)(void *)exchange;

    if (answer_reaches_nobody(c)) {
        return;
    }
    caller_write_answer(c, answer);
    caller_go(c);
}

int exchange_take_over(struct exchange *exchange, const struct answer *answer)
{
    struct caller *c = (struct caller *)(void *)exchange;
    size_t sent = 0;

    if (answer_reaches_nobody(c)) {
        return -1;
    }
    caller_write_answer(c, answer);
    int fd = c->fd;
    if (caller_send_bytes(c, buf_str(&c->out), &sent) == 1) {
        c->fd = -1; /* not ours any more: caller_drop_socket() leaves it open */
        loop_unwatch(c->server->loop, &c->watch);
        loop_timer_stop(c->server->loop, &c->timer);
        server_forget(c->server, &c->link);
    } else {
        caller_drop_socket(c);
        fd = -1;
    }
    c->dead = true;
    if (!c->busy) {
        caller_release(c);
    }
    return fd;
}

void exchange_stream(struct exchange *exchange, const struct answer *answer, stream_more *more,
                     void (*done)(void *ctx), void *ctx)
{
    struct caller *c = (struct caller *)(void *)exchange;
    bool old = c->head.minor == 0;

    if (answer_reaches_nobody(c)) {
        done(ctx);
        return;
    }
    c->close_after = c->close_after || c->server->draining || old;
    (void)write_head(c, answer, old ? BODY_UNTIL_CLOSE : BODY_CHUNKED);
    if (str_equal(c->head.method, STR("HEAD"))) {
        forget_request(c);
        caller_move(c, WRITING);
        done(ctx);
    } else {
        c->more = more;
        c->done = done;
        c->stream_ctx = ctx;
        caller_move(c, STREAMING);
    }
    caller_go(c);
}

bool caller_next_piece(struct caller *c)
{
    struct buf piece;
    bool old = c->head.minor == 0;

    buf_init_wiped(&piece, CALLER_OUT_MAX / 2);
    enum stream_step step = c->more(c->stream_ctx, &piece);
    if (buf_len(&piece) > 0) {
        (void)(old ? buf_add_str(&c->out, buf_str(&piece))
                   : http_write_chunk(&c->out, buf_str(&piece)));
    }
    buf_clear(&piece);
    if (step == STREAM_END) {
        if (!old) {
            (void)http_write_last_chunk(&c->out);
        }
        caller_end_stream(c);
        forget_request(c);
        caller_move(c, WRITING);
    }
    return step != STREAM_CUT;
}
