/* SPDX-License-Identifier: Apache-2.0 */
#include "reader/bodies.h"

#include <stdlib.h>

#include "base/mem.h"
#include "pack/facts.h"

void bodies_init(struct bodies *bodies, size_t *total)
{
    bodies->table = TABLE_OF(struct body, request);
    bodies->total = total;
    list_init(&bodies->all);
}

void bodies_forget(struct bodies *bodies, struct body *body)
{
    (void)table_remove(&bodies->table, &body->request);
    list_remove(&body->link);
    *bodies->total -= buf_len(&body->bytes);
    buf_clear(&body->bytes);
    digest_abandon(body->run);
    free(body);
}

void bodies_clear(struct bodies *bodies)
{
    if (bodies->total == NULL) {
        return;
    }
    while (!list_empty(&bodies->all)) {
        bodies_forget(bodies, LIST_THING(bodies->all.next, struct body, link));
    }
    table_clear(&bodies->table);
}

const char *bodies_begin(struct bodies *bodies, const struct message_body *message)
{
    if (table_find(&bodies->table, &message->request) != NULL) {
        return "BODY of a request that has one";
    }
    if (bodies->table.count >= BODIES_MAX) {
        return "more bodies than may be open";
    }
    struct body *body = mem_zeroed(sizeof(*body));
    body->request = message->request;
    body->answer = message->answer;
    body->generation = message->generation;
    body->rule = message->rule;
    buf_init_wiped(&body->bytes, LIMIT_JUDGED_BODY_BYTES);
    list_add(&bodies->all, &body->link);
    table_add(&bodies->table, body);
    return NULL;
}

static bool is_too_large(const struct bodies *bodies, const struct body *body, size_t more)
{
    return buf_len(&body->bytes) + more > LIMIT_JUDGED_BODY_BYTES ||
           *bodies->total + more > BODIES_BYTES_MAX;
}

/* From here on only the digest is of use. */
static void digest_only(struct bodies *bodies, struct body *body)
{
    body->run = digest_begin();
    digest_add(body->run, buf_str(&body->bytes));
    *bodies->total -= buf_len(&body->bytes);
    buf_clear(&body->bytes);
}

const char *bodies_add(struct bodies *bodies, const struct message_body_data *message)
{
    struct body *body = table_find(&bodies->table, &message->request);

    if (body == NULL || body->ended) {
        return "BODY_DATA of a body that is not open";
    }
    body->length += message->bytes.len;
    if (body->run == NULL && is_too_large(bodies, body, message->bytes.len)) {
        digest_only(bodies, body);
    }
    if (body->run != NULL) {
        digest_add(body->run, message->bytes);
    } else {
        (void)buf_add_str(&body->bytes, message->bytes);
        *bodies->total += message->bytes.len;
    }
    return NULL;
}

const char *bodies_end(struct bodies *bodies, const struct message_body_end *message,
                       struct body **ret_body)
{
    struct body *body = table_find(&bodies->table, &message->request);

    if (body == NULL || body->ended) {
        return "BODY_END of a body that is not open";
    }
    body->ended = true;
    body->complete = message->complete;
    *ret_body = body;
    return NULL;
}

static void say(struct message_facts *ret, enum facts_state state, struct str problem)
{
    ret->state = state;
    ret->problem = problem;
}

void body_facts(struct body *body, const struct pack_read *read, struct arena *arena,
                struct message_facts *ret)
{
    bool too_large = body->run != NULL;

    *ret = (struct message_facts){.request = body->request,
                                  .answer = body->answer,
                                  .generation = body->generation,
                                  .rule = body->rule,
                                  .length = body->length};
    if (too_large) {
        ret->digest = digest_end(body->run);
        body->run = NULL;
    } else {
        ret->digest = digest_of(buf_str(&body->bytes));
    }
    if (too_large && body->length > LIMIT_JUDGED_BODY_BYTES) { /* complete or not */
        say(ret, FACTS_TOO_LARGE, STR("the body is too large to be read"));
    } else if (!body->complete) {
        say(ret, FACTS_UNREADABLE, STR("the body did not come to its end"));
    } else if (too_large) {
        say(ret, FACTS_TOO_LARGE, STR("the body is too large to be read"));
    } else if (read == NULL) {
        say(ret, FACTS_UNREADABLE, STR("there is no such reading rule"));
    } else {
        facts_read(read, buf_str(&body->bytes), arena, ret);
    }
}
