/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer's side of an exchange.  Its bytes go: upstream's input -> framing -> decoding ->
 * `content`, where they are scrubbed and, once final, copied to the reader and handed to the gate
 * as far as its window goes.
 *
 * Where the grant names places to redact, nothing goes on before all of the answer is here and they
 * are overwritten.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pack/redact.h"
#include "vault/exchange_state.h"

enum { WITHHELD_MAX = LIMIT_JUDGED_BODY_BYTES };

/* ---- the answer's content ---- */

static void send_head(struct exchange *ex)
{
    if (ex->head == NULL) {
        return;
    }
    if (ex->gate != NULL && !ex->discard) {
        vault_tell_gate(ex->gate, MESSAGE_HEAD, ex->head);
    }
    free(ex->head);
    ex->head = NULL;
}

/* Hands to the gate what its window takes; returns how much. */
static size_t route(struct exchange *ex, struct str bytes)
{
    if (ex->redacting) {
        return 0;
    }
    if (ex->discard || ex->gate == NULL) {
        return bytes.len;
    }
    if (ex->withheld) {
        return 0;
    }
    if (bytes.len > ex->credit) {
        bytes.len = (size_t)ex->credit;
    }
    if (bytes.len > 0) {
        struct message_data data = {.grant = ex->grant, .bytes = bytes};
        ex->credit -= bytes.len;
        vault_tell_gate(ex->gate, MESSAGE_DATA, &data);
    }
    return bytes.len;
}

static void deliver(struct exchange *ex)
{
    if (ex->withheld && !ex->redacting && buf_len(&ex->content) > WITHHELD_MAX) {
        ex->withheld = false; /* too long to be read for its amount, so nothing depends on it */
        answer_end_copy(ex, false);
        send_head(ex);
    }
    if (ex->final == 0) {
        return;
    }
    size_t gone = route(ex, str_slice(buf_str(&ex->content), 0, ex->final));
    buf_consume(&ex->content, gone);
    ex->final -= gone;
}

void answer_end_copy(struct exchange *ex, bool complete)
{
    struct message_body_end end = {.request = ex->grant, .complete = complete};

    if (!ex->copying) {
        return;
    }
    ex->copying = false;
    struct digest digest = digest_end(ex->digest);
    ex->digest = NULL;
    if (vault_tell_reader(ex->vault, MESSAGE_BODY_END, &end) && complete) {
        ex->outcome.body_digest = digest;
    }
}

static void copy(struct exchange *ex, struct str bytes)
{
    struct message_body_data data = {.request = ex->grant, .bytes = bytes};

    if (!ex->copying || ex->redacting || bytes.len == 0) {
        return;
    }
    ex->copied += bytes.len;
    if (ex->copied > (ex->ours ? LIMIT_FETCH_BYTES : LIMIT_JUDGED_BODY_BYTES)) {
        answer_end_copy(ex, false);
        return;
    }
    digest_add(ex->digest, bytes);
    if (!vault_tell_reader(ex->vault, MESSAGE_BODY_DATA, &data)) {
        answer_end_copy(ex, false);
    }
}

/* Content in the clear, in memory that may be written to. */
static bool add_content(struct exchange *ex, unsigned char *bytes, size_t len)
{
    size_t done = 0;

    if (buf_len(&ex->content) == 0) {
        /* Where it lies, without a copy: the common case. */
        size_t final = scrub_bytes(&ex->scrub, bytes, len, false);
        copy(ex, str_of(bytes, final));
        done = route(ex, str_of(bytes, final));
        ex->final = final - done;
        return buf_add(&ex->content, bytes + done, len - done);
    }
    if (!buf_add(&ex->content, bytes, len)) {
        return false;
    }
    unsigned char *open = ex->content.data + ex->content.start + ex->final;
    size_t final = scrub_bytes(&ex->scrub, open, buf_len(&ex->content) - ex->final, false);
    copy(ex, str_of(open, final));
    ex->final += final;
    return true;
}

/* Nothing follows: what was held back is final. */
static void end_content(struct exchange *ex)
{
    size_t held = buf_len(&ex->content) - ex->final;

    if (held == 0) {
        return;
    }
    unsigned char *open = ex->content.data + ex->content.start + ex->final;
    (void)scrub_bytes(&ex->scrub, open, held, true);
    copy(ex, str_of(open, held));
    ex->final += held;
}

/* ---- the answer's end ---- */

static void finish(struct exchange *ex, enum upstream_error end)
{
    ex->end = end;
    loop_timer_stop(ex->vault->loop, &ex->timer);
    exchange_move(ex, DRAIN);
    exchange_say_outcome(ex, OUTCOME_ANSWERED);
    answer_drain(ex);
}

/* The answer is damaged or cut; the gate gets what is good of it, then a reset. */
static void cut(struct exchange *ex, enum upstream_error error, const char *detail)
{
    exchange_set_detail(ex, error, detail);
    exchange_drop_upstream(ex);
    answer_end_copy(ex, false);
    if (ex->redacting) {
        /* As if there had been no answer: the judge says why. */
        ex->redacting = false;
        ex->final = 0;
        free(ex->head);
        ex->head = NULL;
    }
    buf_cut(&ex->content, ex->final); /* the rest might be half a secret */
    finish(ex, error);
}

/* All of the answer is here.  False when it cannot be redacted: the exchange is over. */
static bool redact(struct exchange *ex)
{
    const struct message_grant *granted = ex->granted;
    struct buf *content = &ex->content;
    char why[EXCHANGE_DETAIL_SIZE + 64];
    uint64_t hits;
    struct err err;

    if (redact_json(content->data + content->start, buf_len(content), granted->redact,
                    granted->redact_count, &hits, &err) < 0) {
        (void)snprintf(why, sizeof(why), "the answer could not be searched for secrets: %s",
                       err.text);
        cut(ex, UPSTREAM_PROTOCOL, why);
        return false;
    }
    ex->redacting = false;
    copy(ex, buf_str(content));
    if (!ex->withheld) {
        send_head(ex);
    }
    return true;
}

static void complete(struct exchange *ex)
{
    if (ex->decoder != NULL && !decoder_is_complete(ex->decoder)) {
        cut(ex, UPSTREAM_PROTOCOL, "the coded answer ended early");
        return;
    }
    end_content(ex);
    if (ex->redacting && !redact(ex)) {
        return;
    }
    answer_end_copy(ex, true);
    ex->outcome.complete = true;
    if (ex->keep_alive && exchange_is_sent(ex) && !ex->over &&
        ex->framing.kind != BODY_UNTIL_CLOSE) {
        ex->wire_bytes = exchange_wire_bytes(ex);
        upstream_give(ex->upstream);
        ex->upstream = NULL;
    } else {
        exchange_drop_upstream(ex);
    }
    if (ex->rejected) {
        exchange_set_detail(ex, UPSTREAM_CREDENTIAL, "the vendor refused the credential");
    }
    finish(ex, ex->rejected ? UPSTREAM_CREDENTIAL : UPSTREAM_OK);
}

/* Everything is said to the judge; the rest goes to the gate as it can take it. */
void answer_drain(struct exchange *ex)
{
    if (ex->withheld && !ex->discard && ex->gate != NULL) {
        return; /* until RELEASE */
    }
    deliver(ex);
    if (ex->final > 0) {
        return; /* until WINDOW */
    }
    if (ex->end == UPSTREAM_OK) {
        if (ex->gate != NULL && !ex->discard) {
            vault_tell_gate(ex->gate, MESSAGE_END, &(struct message_end){.grant = ex->grant});
        }
    } else {
        exchange_reset_gate(ex, ex->end, ex->detail);
    }
    exchange_release(ex);
}

void answer_release(struct exchange *ex)
{
    ex->withheld = false;
    send_head(ex);
    answer_drain(ex);
}

/* ---- reading the answer ---- */

enum piece { PIECE_BAD, PIECE_MORE, PIECE_SOME, PIECE_END };

static enum piece read_decoded(struct exchange *ex)
{
    struct str in = buf_str(&ex->coded);
    size_t before = in.len;
    struct buf out;
    enum piece piece = PIECE_MORE;

    buf_init_wiped(&out, 64 * 1024);
    switch (decoder_run(ex->decoder, &in, &out)) {
    case DECODED_BAD:
        piece = PIECE_BAD;
        break;
    case DECODED_MORE:
        break;
    case DECODED_OUT:
        ex->linger_bytes += buf_len(&out);
        piece = add_content(ex, out.data + out.start, buf_len(&out)) ? PIECE_SOME : PIECE_BAD;
        break;
    }
    buf_consume(&ex->coded, before - in.len);
    buf_clear(&out);
    return piece;
}

static enum piece read_framed(struct exchange *ex)
{
    struct buf *input = upstream_input(ex->upstream);
    struct str in = buf_str(input);
    size_t before = in.len;
    struct str data = STR_NONE;
    enum http_body_result result = http_body_read(&ex->framing, &in, &data);
    enum piece piece = PIECE_MORE;

    if (result == HTTP_BODY_BAD) {
        return PIECE_BAD;
    }
    if (result == HTTP_BODY_DATA) {
        bool fits = true;
        piece = PIECE_SOME;
        ex->outcome.bytes_in += data.len;
        ex->linger_bytes += data.len;
        if (ex->decoder != NULL) {
            fits = buf_add_str(&ex->coded, data);
        } else if (!ex->rejected) {
            size_t at = (size_t)(data.data - buf_str(input).data);
            fits = add_content(ex, input->data + input->start + at, data.len);
        }
        if (!fits) {
            return PIECE_BAD;
        }
    } else if (result == HTTP_BODY_END) {
        piece = PIECE_END;
    }
    buf_consume(input, before - in.len);
    return piece;
}

static enum piece read_piece(struct exchange *ex)
{
    if (ex->decoder != NULL) {
        enum piece piece = read_decoded(ex);
        if (piece != PIECE_MORE) {
            return piece;
        }
    }
    return read_framed(ex);
}

/* All that came has been used; the upstream may have ended. */
static void want_more(struct exchange *ex)
{
    if (!ex->over) {
        upstream_pause(ex->upstream, false);
    } else if (ex->over_error == UPSTREAM_OK && http_body_ended_by_close(&ex->framing)) {
        complete(ex);
    } else {
        cut(ex, ex->over_error == UPSTREAM_OK ? UPSTREAM_RESET : ex->over_error, ex->over_detail);
    }
}

void answer_pump(struct exchange *ex)
{
    while (ex->state == ANSWER) {
        deliver(ex);
        if (ex->final > 0 && !ex->withheld && !ex->redacting) {
            upstream_pause(ex->upstream, true);
            return;
        }
        if (ex->ours && ex->linger_bytes > LIMIT_FETCH_BYTES) {
            exchange_stop(ex, UPSTREAM_PROTOCOL, "the answer is too long");
            return;
        }
        if (ex->redacting && buf_len(&ex->content) > LIMIT_REDACTED_BYTES) {
            cut(ex, UPSTREAM_PROTOCOL, "the answer is too long to be searched for secrets");
            return;
        }
        if (ex->linger_until_ms > 0 && ex->linger_bytes > LIMIT_LINGER_BYTES) {
            exchange_stop(ex, UPSTREAM_CLIENT, "the client is gone and the answer is too long");
            return;
        }
        switch (read_piece(ex)) {
        case PIECE_BAD:
            cut(ex, UPSTREAM_PROTOCOL, "the body of the answer is damaged");
            return;
        case PIECE_MORE:
            want_more(ex);
            return;
        case PIECE_SOME:
            break;
        case PIECE_END:
            complete(ex);
            return;
        }
    }
}

/* ---- the answer's head ---- */

/* Secrets in the values, where they lie in the input. */
static void scrub_head(struct exchange *ex, struct buf *input, struct http_head *head)
{
    const char *base = (const char *)input->data;
    struct scrub scrub;

    scrub_begin(&scrub, ex->credential->scrubber);
    for (size_t i = 0; i <= head->field_count; i++) {
        struct str value = i < head->field_count ? head->fields[i].value : head->reason;
        if (value.len > 0) {
            (void)scrub_bytes(&scrub, input->data + (value.data - base), value.len, true);
        }
    }
    ex->scrub.hits += scrub.hits;
}

static void note_vendor_fields(struct exchange *ex, const struct http_head *head)
{
    const struct str *id =
        ex->pack->request_id_header.len == 0 ? NULL : http_field(head, ex->pack->request_id_header);
    const struct str *replay = ex->pack->idempotency.replay_header.len == 0
                                   ? NULL
                                   : http_field(head, ex->pack->idempotency.replay_header);

    if (id != NULL) {
        struct str fits = str_slice(*id, 0, sizeof(ex->vendor_id) - 1);
        if (fits.len > 0) {
            memcpy(ex->vendor_id, fits.data, fits.len);
        }
        ex->outcome.vendor_request_id = str_of(ex->vendor_id, fits.len);
    }
    ex->outcome.replayed = replay != NULL && !str_equal_nocase(*replay, STR("false"));
}

static void begin_copy(struct exchange *ex, const struct http_head *head)
{
    unsigned hundreds = head->status / 100;

    if (ex->granted->answer_rule == 0 || (hundreds != 2 && hundreds != 4) || ex->rejected ||
        head->body == BODY_NONE || !response_is_json(head)) {
        return;
    }
    struct message_body body = {.request = ex->grant,
                                .answer = true,
                                .generation = ex->granted->generation,
                                .rule = ex->granted->answer_rule};
    if (vault_tell_reader(ex->vault, MESSAGE_BODY, &body)) {
        ex->copying = true;
        ex->digest = digest_begin();
    }
}

/* All in one piece of memory, so that a withheld head outlives the input it came from. */
static struct message_head *keep_head(const struct message_head *from)
{
    size_t size =
        sizeof(*from) + from->header_count * sizeof(struct message_header) + from->reason.len;

    for (size_t i = 0; i < from->header_count; i++) {
        size += from->headers[i].name.len + from->headers[i].value.len;
    }
    struct message_head *head = mem_zeroed(size);
    *head = *from;
    head->headers = (struct message_header *)(head + 1);
    char *at = (char *)(head->headers + from->header_count);
    struct {
        const struct str *from;
        struct str *to;
    } pieces[2 * LIMIT_FIELDS + 1];
    size_t count = 0;
    pieces[count].from = &from->reason;
    pieces[count++].to = &head->reason;
    for (size_t i = 0; i < from->header_count; i++) {
        pieces[count].from = &from->headers[i].name;
        pieces[count++].to = &head->headers[i].name;
        pieces[count].from = &from->headers[i].value;
        pieces[count++].to = &head->headers[i].value;
    }
    for (size_t i = 0; i < count; i++) {
        struct str text = *pieces[i].from;
        if (text.len > 0) {
            memcpy(at, text.data, text.len);
        }
        *pieces[i].to = str_of(at, text.len);
        at += text.len;
    }
    return head;
}

static void tell_head(struct exchange *ex, const struct http_head *head, bool interim)
{
    static struct message_header headers[LIMIT_FIELDS]; /* large, and one at a time */
    struct buf scratch;
    const struct response_rules rules = {.target = &ex->target,
                                         .door_base = ex->granted->door_base,
                                         .decoded = ex->decoder != NULL || ex->head_request};
    bool known = head->body == BODY_LENGTH && ex->decoder == NULL;
    struct message_head message = {
        .grant = ex->grant,
        .status = head->status,
        .reason = head->reason,
        .headers = headers,
        .body = interim || head->body == BODY_NONE ? BODY_NONE
                : known                            ? BODY_LENGTH
                                                   : BODY_CHUNKED,
        .content_length = known ? head->content_length : 0,
        .interim = interim,
    };

    buf_init(&scratch, 2 * LIMIT_HEAD_BYTES);
    message.header_count = response_filter(head, &rules, &scratch, headers);
    if (!interim && (ex->withheld || ex->redacting)) {
        ex->head = keep_head(&message);
    } else if (ex->gate != NULL && !ex->discard) {
        vault_tell_gate(ex->gate, MESSAGE_HEAD, &message);
    }
    buf_clear(&scratch);
}

static void take_interim(struct exchange *ex, const struct http_head *head)
{
    bool money = ex->granted->has_hold && ex->granted->answer_rule != 0;

    if (head->status == 101) {
        exchange_stop(ex, UPSTREAM_PROTOCOL, "the vendor switched protocols");
    } else if (++ex->interims > LIMIT_INTERIM_ANSWERS) {
        exchange_stop(ex, UPSTREAM_PROTOCOL, "the vendor sent too many interim answers");
    } else if (head->status != 100 && !money) {
        tell_head(ex, head, true);
    }
}

/* False when it cannot be passed on: the exchange is over. */
static bool begin_decoding(struct exchange *ex, const struct http_head *head)
{
    enum coding coding = head->body == BODY_NONE ? CODING_IDENTITY : response_coding(head);

    if (coding == CODING_OTHER) {
        cut(ex, UPSTREAM_PROTOCOL, "the answer is coded though nothing was accepted");
        return false;
    }
    if (coding != CODING_IDENTITY) {
        ex->decoder = decoder_new(coding);
        buf_init_wiped(&ex->coded, 2 * LIMIT_STREAM_WINDOW_BYTES_MAX);
    }
    return true;
}

static void take_answer(struct exchange *ex, struct http_head *head)
{
    exchange_move(ex, ANSWER);
    buf_clear(&ex->body); /* no retry any more */
    ex->outcome.status = head->status;
    ex->outcome.first_byte_us = loop_now_us(ex->vault->loop) - ex->sent_us;
    ex->keep_alive = head->keep_alive;
    ex->head_request = str_equal(ex->granted->method, STR("HEAD"));
    ex->rejected = head->status == 401;
    note_vendor_fields(ex, head);
    if (!ex->rejected && !begin_decoding(ex, head)) {
        return;
    }
    ex->redacting = ex->granted->redact_count > 0 && !ex->rejected && head->body != BODY_NONE;
    begin_copy(ex, head);
    ex->withheld = ex->granted->has_hold && ex->granted->answer_rule != 0 && !ex->rejected &&
                   !response_is_stream(head);
    if (!ex->rejected) {
        tell_head(ex, head, false);
    }
    http_body_begin(&ex->framing, head->body, head->content_length);
}

/* Looks for the head of the answer in what came.  Leaves TALK when it is there, or bad. */
static void read_heads(struct exchange *ex)
{
    struct http_head *head = &ex->vault->head;

    while (ex->state == TALK) {
        struct buf *input = upstream_input(ex->upstream);
        struct http_problem problem;
        size_t used;
        if (buf_len(input) == 0) {
            return;
        }
        switch (http_parse_response((char *)input->data + input->start, buf_len(input),
                                    ex->granted->method, head, &used, &problem)) {
        case HTTP_MORE:
            return;
        case HTTP_BAD:
            exchange_stop(ex, UPSTREAM_PROTOCOL, problem.text);
            return;
        case HTTP_OK:
            scrub_head(ex, input, head);
            if (head->status < 200) {
                take_interim(ex, head);
            } else {
                take_answer(ex, head);
            }
            break;
        }
        if (ex->upstream == NULL) {
            return;
        }
        buf_consume(upstream_input(ex->upstream), used);
    }
    answer_pump(ex);
}

void answer_readable(struct exchange *ex)
{
    exchange_progress(ex);
    if (ex->state == TALK) {
        read_heads(ex);
    } else if (ex->state == ANSWER) {
        answer_pump(ex);
    }
}

void answer_over(struct exchange *ex, enum upstream_error error, const char *detail)
{
    ex->over = true;
    ex->over_error = error;
    (void)snprintf(ex->over_detail, sizeof(ex->over_detail), "%s", detail);
    answer_pump(ex);
}
