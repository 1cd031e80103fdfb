/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/request.h"

#include <assert.h>

#include "base/mem.h"
#include "judge/audit.h"
#include "judge/fetch.h"
#include "judge/metrics.h"
#include "judge/record.h"
#include "judge/turn.h"
#include "pack/deny.h"

#define TO(state) (1u << (state))

/* From REQUEST_GRANTED on there is an outcome to come; the mover asserts the way. */
static const unsigned next_of[REQUEST_STATE_COUNT] = {
    [REQUEST_NEW] = TO(REQUEST_BODY) | TO(REQUEST_WAIT) | TO(REQUEST_DURABLE) | TO(REQUEST_GRANTED),
    [REQUEST_BODY] = TO(REQUEST_WAIT) | TO(REQUEST_DURABLE) | TO(REQUEST_GRANTED),
    [REQUEST_WAIT] = TO(REQUEST_WAIT) | TO(REQUEST_DURABLE) | TO(REQUEST_GRANTED),
    [REQUEST_DURABLE] = TO(REQUEST_GRANTED),
    [REQUEST_GRANTED] = TO(REQUEST_ANSWER) | TO(REQUEST_RELEASE) | TO(REQUEST_ENDING),
    [REQUEST_ANSWER] = TO(REQUEST_RELEASE) | TO(REQUEST_ENDING),
    [REQUEST_RELEASE] = TO(REQUEST_ENDING),
};

void requests_init(struct judge *judge)
{
    judge->grants = TABLE_OF(struct request, grant);
    list_init(&judge->free_requests);
}

void request_move(struct request *request, enum request_state next)
{
    assert(next_of[request->state] & TO(next));
    request->state = next;
}

static struct request *take_free(struct judge *judge)
{
    struct request *request;
    struct arena *arena;

    if (list_empty(&judge->free_requests)) {
        request = mem_zeroed(sizeof(*request));
        arena = arena_new();
    } else {
        request = LIST_THING(judge->free_requests.next, struct request, free_link);
        list_remove(&request->free_link);
        arena = request->arena;
        arena_reset(arena);
    }
    *request = (struct request){.judge = judge, .arena = arena};
    return request;
}

static void copy_admit(struct arena *arena, const struct message_admit *from,
                       struct message_admit *to)
{
    *to = *from;
    to->session = arena_copy(arena, from->session);
    to->source = arena_copy(arena, from->source);
    to->host = arena_copy(arena, from->host);
    to->method = arena_copy(arena, from->method);
    to->path = arena_copy(arena, from->path);
    to->query = arena_copy(arena, from->query);
    to->headers = arena_zeroed(arena, from->header_count, sizeof(from->headers[0]));
    for (size_t i = 0; i < from->header_count; i++) {
        to->headers[i].name = arena_copy(arena, from->headers[i].name);
        to->headers[i].value = arena_copy(arena, from->headers[i].value);
    }
    /* The token itself is not kept: it is looked at while the message is there. */
    to->presented = NULL;
    to->presented_count = 0;
}

struct request *request_new(struct judge *judge, struct peer *gate,
                            const struct message_admit *admit)
{
    struct request *request = take_free(judge);

    request->number = admit->request;
    request->gate = gate;
    request->at_ms = judge->clock.now_ms;
    request->at_us = loop_now_us(judge->loop);
    request->request_id = name_make("req_");
    list_init(&request->vault_link);
    list_init(&request->key_link);
    list_init(&request->free_link);
    list_init(&request->turn_link);
    copy_admit(request->arena, admit, &request->admit);
    table_add(&gate->requests, request);
    judge->open_requests++;
    return request;
}

static void end_rates(struct request *request)
{
    if (request->running) {
        for (struct key *key = request->decision.key; key != NULL; key = key->parent) {
            rate_end(&key->rate);
        }
        request->running = false;
    }
}

void generation_leave(struct judge *judge, struct generation *generation)
{
    generation->users--;
    if (generation->users == 0 && generation != judge->generation) {
        list_remove(&generation->link);
        config_free(generation->config);
        free(generation);
    }
}

void request_free(struct request *request)
{
    struct judge *judge = request->judge;

    end_rates(request);
    turns_leave(request);
    fetch_drop(request->fetch);
    record_forget(&request->waiter);
    loop_timer_stop(judge->loop, &request->timer);
    list_remove(&request->vault_link);
    list_remove(&request->key_link);
    if (request->gate != NULL) {
        (void)table_remove(&request->gate->requests, &request->number);
    }
    if (request->grant != 0) {
        (void)table_remove(&judge->grants, &request->grant);
    }
    if (request->uses_generation) {
        generation_leave(judge, request->decision.generation);
    }
    judge->open_requests--;
    list_add(judge->free_requests.next, &request->free_link);
}

struct request *request_of_gate(struct peer *gate, uint64_t number)
{
    return table_find(&gate->requests, &number);
}

struct request *request_of_grant(const struct judge *judge, uint64_t grant)
{
    return table_find(&judge->grants, &grant);
}

void request_begin(struct request *request)
{
    struct judge *judge = request->judge;

    assert(request->decision.key != NULL);
    for (struct key *key = request->decision.key; key != NULL; key = key->parent) {
        rate_begin(&key->rate, judge->clock.now_ms, judge->clock.day);
    }
    request->running = true;
    list_add(&request->decision.key->requests, &request->key_link);
    request->decision.generation->users++;
    request->uses_generation = true;
}

void facts_copy(struct arena *arena, const struct message_facts *facts, struct message_facts *ret)
{
    *ret = *facts;
    ret->problem = arena_copy(arena, facts->problem);
    ret->facts = arena_zeroed(arena, facts->fact_count, sizeof(facts->facts[0]));
    for (size_t i = 0; i < facts->fact_count; i++) {
        ret->facts[i] = facts->facts[i];
        ret->facts[i].text = arena_copy(arena, facts->facts[i].text);
    }
    ret->places = arena_zeroed(arena, facts->place_count, sizeof(facts->places[0]));
    for (size_t i = 0; i < facts->place_count; i++) {
        ret->places[i] = facts->places[i];
    }
}

void request_send_answer(struct request *request, struct message_answer *answer)
{
    if (request->gate == NULL || request->gate->dying) {
        return;
    }
    answer->request = request->number;
    request->answered = true;
    if (!channel_send(request->gate->channel, MESSAGE_ANSWER, answer)) {
        request->judge->kill_peer(request->judge, request->gate);
    }
}

/* git shows its user what a server says at the first step, if it is text; else a number alone. */
static bool is_git(const struct message_admit *admit)
{
    return str_ends(admit->path, STR("/info/refs")) &&
           str_starts(admit->query, STR("service=git-"));
}

void request_send_denial(struct request *request)
{
    const struct decision *decision = &request->decision;
    struct denial denial = verdict_denial(decision->verdict);
    struct message_answer answer = {0};
    bool timing = decision->verdict == VERDICT_OUTCOME_UNKNOWN ||
                  decision->verdict == VERDICT_UPSTREAM_TIMEOUT;

    denial.message = str_from(decision->why.text);
    denial.request_id = str_from(request->request_id.text);
    denial.plain = is_git(&request->admit);
    if (denial.retry == DENY_RETRY_AFTER && decision->retry_after_s > 0) {
        denial.retry_after_s = decision->retry_after_s;
    }
    if (timing && request->retry_safe && decision->client_key.len > 0) {
        denial.retry = DENY_RETRY_YES;
    }
    deny_render(decision->pack, &denial, request->arena, &answer);
    request_send_answer(request, &answer);
}

void request_deny(struct request *request)
{
    metrics_verdict(request->judge->metrics, &request->decision);
    audit_refused_request(request->judge, request);
    request_send_denial(request);
    request_free(request);
}
