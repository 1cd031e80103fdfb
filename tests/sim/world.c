/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The judge's neighbours.  Each step picks one of them, or a process of the server, or time, and
 * lets it do one thing; so every order of events comes up that the channels allow.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "judge/holds.h"
#include "judge/process.h"
#include "judge/request.h"
#include "sim.h"

enum {
    PAIRS = 2, /* gates, vaults, readers */
    ORDERS_MAX = 256,
    GIVEN_MAX = 2048,
    CALLS_MAX = 64,
    FRAME_HEAD = 8,
    CENT = 10000000,
    DAY_MS = 24 * 3600 * 1000,
};

struct actor {
    enum process_role role;
    uint32_t index;
    uint64_t incarnation;
    int near;
};

enum order_state {
    ORDER_FREE,
    ORDER_ADMITTED, /* READ_BODY, GRANTED or ANSWER awaited */
    ORDER_READING,  /* its reader has the body */
    ORDER_JUDGED,   /* GRANTED or ANSWER awaited */
    ORDER_GRANTED,  /* the vault may begin */
    ORDER_SENT,     /* the vendor has it, or will have */
    ORDER_FATED,    /* the vendor has done with it what it does; OUTCOME is to be said */
    ORDER_OVER,     /* OUTCOME was said: RELEASE or ANSWER awaited */
};

/* One request of one client. */
struct order {
    enum order_state state;
    uint64_t number, grant, hold;
    int gate, key;
    uint64_t gate_incarnation;
    uint64_t cents;
    bool read, left, client_over, facts_owed, replayed;
    char client_key[24];
    char idem[IDEM_BYTES];
    uint32_t rule, answer_rule;
    bool has_hold;
    int charge; /* what the vendor did for it; -1: nothing */
    struct message_outcome outcome;
};

/* A grant that a vault has. */
struct given {
    uint64_t grant;
    uint32_t vault, answer_rule;
    bool has_hold, used;
    uint64_t key, at_us;
    char idem[IDEM_BYTES];
};

enum pending_kind { PENDING_NONE, PENDING_ISSUE, PENDING_REVOKE };
struct pending {
    enum pending_kind kind;
    uint64_t call;
    int key;
};

static struct actor gates[PAIRS], vaults[PAIRS], readers[PAIRS], control;
static struct order orders[ORDERS_MAX];
static struct given givens[GIVEN_MAX];
static size_t given_count;
static struct pending pendings[CALLS_MAX];
static uint64_t next_request, next_call, next_incarnation;
static struct config *config;
static struct arena *arena;
static bool to_kill[ROLE_COUNT][PAIRS];
static bool finishing;

/* ---- frames ---- */

static void tell(const struct actor *actor, enum message_type type, const void *message)
{
    struct buf frame;

    buf_init(&frame, LIMIT_FRAME_BYTES + FRAME_HEAD);
    if (!channel_frame(type, message, &frame)) {
        sim_fail("%s does not fit a frame", message_name(type));
    }
    sim_write(actor->near, buf_str(&frame).data, buf_len(&frame));
    buf_clear(&frame);
}

/* The next whole message for an actor, if there is one; in the arena. */
static bool next(const struct actor *actor, enum message_type *ret_type, void **ret_message)
{
    unsigned char head[FRAME_HEAD];

    if (sim_readable(actor->near) < FRAME_HEAD) {
        return false;
    }
    sim_peek(actor->near, head, FRAME_HEAD);
    size_t len = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16;
    if (sim_readable(actor->near) < FRAME_HEAD + len) {
        return false;
    }
    *ret_type = (enum message_type)(head[4] | head[5] << 8);
    const struct wire_schema *schema = message_schema(*ret_type);
    arena_reset(arena);
    char *bytes = arena_zeroed(arena, FRAME_HEAD + len, 1);
    sim_peek(actor->near, bytes, FRAME_HEAD + len);
    sim_skip(actor->near, FRAME_HEAD + len);
    *ret_message = arena_zeroed(arena, 1, schema->size);
    if (!wire_decode(schema, str_of(bytes + FRAME_HEAD, len), arena, *ret_message)) {
        sim_fail("%s does not decode", message_name(*ret_type));
    }
    return true;
}

/* ---- birth and death of actors ---- */

static void bear(struct actor *actor, enum process_role role, uint32_t index)
{
    int far;

    *actor = (struct actor){.role = role, .index = index, .incarnation = ++next_incarnation};
    actor->near = sim_pair(&far);
    sim_judge.events->channel(sim_judge.ctx, role, index, actor->incarnation, far);
}

static struct order *order_of_grant(uint64_t grant)
{
    for (int i = 0; i < ORDERS_MAX; i++) {
        if (orders[i].state != ORDER_FREE && orders[i].grant == grant && grant != 0) {
            return &orders[i];
        }
    }
    return NULL;
}

static void free_order(struct order *order)
{
    order->state = ORDER_FREE;
}

static void log_charge(struct order *order)
{
    struct sim_key *key = &world->keys[order->key];

    if (key->revoked && order->state != ORDER_SENT) {
        sim_fail("%s was revoked, and grant %llu begins", key->id,
                 (unsigned long long)order->grant);
    }
    if (world->charge_count == CHARGES_MAX) {
        sim_fail("more charges than the simulation has");
    }
    struct sim_charge *charge = &world->charges[world->charge_count];
    *charge = (struct sim_charge){.hold = order->hold,
                                  .grant = order->grant,
                                  .amount = (int64_t)order->cents * CENT,
                                  .at_ms = clock_wall_ms(),
                                  .life = world->life};
    (void)snprintf(charge->idem, sizeof(charge->idem), "%s", order->idem);
    order->charge = world->charge_count++;
    world->counts[COUNT_CHARGES]++;
}

/* The vendor knows each key for 24 hours. */
static bool vendor_remembers(struct order *order)
{
    for (int i = world->charge_count - 1; i >= 0 && order->idem[0] != '\0'; i--) {
        const struct sim_charge *charge = &world->charges[i];
        if (strcmp(charge->idem, order->idem) == 0 && clock_wall_ms() - charge->at_ms < DAY_MS) {
            order->charge = i;
            return true;
        }
    }
    return false;
}

static void say_done(struct order *order);

static void kill_actor(struct actor *actor)
{
    enum process_role role = actor->role;
    uint32_t index = actor->index;

    world->counts[COUNT_DEATHS]++;
    for (int i = 0; i < ORDERS_MAX; i++) {
        struct order *order = &orders[i];
        if (order->state == ORDER_FREE || order->gate != (int)index) {
            continue;
        }
        if (role == ROLE_VAULT && order->grant != 0 && order->state >= ORDER_GRANTED) {
            if (order->state == ORDER_SENT && !order->read && sim_chance(2) &&
                !vendor_remembers(order)) {
                log_charge(order); /* what it had written arrives all the same */
            }
            if (order->state == ORDER_OVER && order->outcome.outcome == OUTCOME_ANSWERED &&
                order->outcome.error == UPSTREAM_OK) {
                say_done(order); /* the gate sees the answer end with the vault */
                continue;
            }
            order->state = ORDER_OVER; /* an ANSWER comes */
            order->outcome = (struct message_outcome){.outcome = OUTCOME_UNKNOWN};
        }
        if (role == ROLE_GATE) {
            order->client_over = true;
            if (order->state < ORDER_GRANTED || order->state == ORDER_OVER) {
                free_order(order);
            } else if (order->state == ORDER_GRANTED) {
                order->left = true;
            }
        }
        if (role == ROLE_READER) {
            order->facts_owed = false;
        }
    }
    if (role == ROLE_VAULT) {
        for (size_t i = 0; i < given_count; i++) {
            givens[i].used = givens[i].used || givens[i].vault == index;
        }
    }
    sim_close(actor->near);
    sim_judge.events->gone(sim_judge.ctx, role, index, actor->incarnation);
    bear(actor, role, index);
}

void world_killed(enum process_role role, uint32_t index)
{
    to_kill[role][index] = true;
}

/* ---- gates ---- */

static void ask(struct order *order)
{
    const struct sim_key *key = &world->keys[order->key];
    struct message_presented presented = {
        .form = FORM_BEARER, .name = STR("authorization"), .value = str_from(key->token)};
    struct message_header headers[2];
    struct message_admit admit = {.request = order->number,
                                  .source = STR("192.0.2.1"),
                                  .host = STR("127.0.0.1:8787"),
                                  .method = order->read ? STR("GET") : STR("POST"),
                                  .path = order->read ? STR("/stripe/v1/balance")
                                                      : STR("/stripe/v1/transfers"),
                                  .body = order->read ? BODY_NONE : BODY_LENGTH,
                                  .content_length = order->read ? 0 : 20,
                                  .presented = &presented,
                                  .presented_count = 1,
                                  .headers = headers};
    if (!order->read) {
        headers[admit.header_count++] =
            (struct message_header){STR("content-type"), STR("application/x-www-form-urlencoded")};
    }
    if (order->client_key[0] != '\0') {
        headers[admit.header_count++] =
            (struct message_header){STR("idempotency-key"), str_from(order->client_key)};
    }
    tell(&gates[order->gate], MESSAGE_ADMIT, &admit);
    order->state = ORDER_ADMITTED;
}

static void new_order(void)
{
    static const uint64_t amounts[] = {1, 50, 100, 333, 999};
    int slot = 0;

    while (slot < ORDERS_MAX && orders[slot].state != ORDER_FREE) {
        slot++;
    }
    if (slot == ORDERS_MAX || world->key_count == 0) {
        return;
    }
    struct order *order = &orders[slot];
    int from = world->key_count > 8 ? world->key_count - 8 : 0;
    *order = (struct order){.number = ++next_request,
                            .gate = (int)sim_random(PAIRS),
                            .key = from + (int)sim_random((uint64_t)(world->key_count - from)),
                            .cents = amounts[sim_random(5)],
                            .read = sim_chance(10),
                            .charge = -1};
    if (!world->keys[order->key].issued) {
        return; /* nobody has its token */
    }
    order->gate_incarnation = gates[order->gate].incarnation;
    if (!order->read && sim_chance(2)) { /* few keys, so that many come again; some with another */
        (void)snprintf(order->client_key, sizeof(order->client_key), "c%llu-%llu",
                       (unsigned long long)sim_random(40),
                       (unsigned long long)(sim_chance(20) ? 0 : order->cents));
    }
    world->counts[COUNT_REQUESTS]++;
    ask(order);
}

static struct order *order_of_gate(const struct actor *gate, uint64_t number)
{
    for (int i = 0; i < ORDERS_MAX; i++) {
        if (orders[i].state != ORDER_FREE && orders[i].number == number &&
            orders[i].gate_incarnation == gate->incarnation) {
            return &orders[i];
        }
    }
    return NULL;
}

static void say_done(struct order *order)
{
    struct message_done done = {
        .request = order->number, .grant = order->grant, .client_gone = order->left};

    if (!order->client_over) {
        order->client_over = true;
        tell(&gates[order->gate], MESSAGE_DONE, &done);
    }
    if (order->state == ORDER_OVER) {
        free_order(order);
    }
}

static void gate_step(struct actor *gate)
{
    enum message_type type;
    void *message;

    if (!next(gate, &type, &message)) {
        return;
    }
    if (type == MESSAGE_CUT) {
        struct message_cut_done done = {.cut = ((struct message_cut *)message)->cut};
        tell(gate, MESSAGE_CUT_DONE, &done);
        return;
    }
    if (type == MESSAGE_READ_BODY) {
        const struct message_read_body *read = message;
        struct order *order = order_of_gate(gate, read->request);
        if (order != NULL) {
            order->rule = read->rule;
            order->state = ORDER_READING;
        }
    } else if (type == MESSAGE_GRANTED) {
        const struct message_granted *granted = message;
        struct order *order = order_of_gate(gate, granted->request);
        if (order == NULL) {
            sim_fail("GRANTED for request %llu, which nobody made",
                     (unsigned long long)granted->request);
        }
        order->grant = granted->grant;
        order->state = ORDER_GRANTED;
        if (order->left) {
            say_done(order);
        }
    } else if (type == MESSAGE_ANSWER) {
        const struct message_answer *answer = message;
        struct order *order = order_of_gate(gate, answer->request);
        if (order == NULL) {
            return; /* its client left */
        }
        world->counts[COUNT_DENIED]++;
        if (order->grant == 0) {
            free_order(order);
        } else {
            if (order->state == ORDER_GRANTED) { /* its vault died before it had the grant */
                order->state = ORDER_OVER;
            }
            say_done(order);
        }
    }
}

static void leave(struct order *order)
{
    struct message_done done = {.request = order->number, .client_gone = true};

    if (!order->left && (order->state == ORDER_ADMITTED || order->state == ORDER_READING ||
                         order->state == ORDER_JUDGED)) {
        order->left = true;
        tell(&gates[order->gate], MESSAGE_DONE, &done);
        if (order->state != ORDER_JUDGED) {
            order->state = ORDER_JUDGED; /* a verdict may have crossed it */
        }
    }
}

/* ---- readers ---- */

static void tell_facts(int index, uint64_t request, bool answer, uint32_t rule, uint64_t cents,
                       const struct digest *digest)
{
    const struct pack_read *read = &config->reads[rule];
    struct message_fact facts[256] = {{0}};
    struct message_facts message = {.request = request,
                                    .answer = answer,
                                    .generation = config->generation,
                                    .rule = rule,
                                    .digest = *digest,
                                    .length = 20,
                                    .state = FACTS_OK,
                                    .facts = facts,
                                    .fact_count = read->selector_count};

    for (size_t i = 0; i < read->selector_count; i++) {
        if (str_ends(read->selectors[i].name, STR("amount"))) {
            facts[i].kind = FACT_INTEGER;
            facts[i].number = (int64_t)cents;
        } else if (str_ends(read->selectors[i].name, STR("currency"))) {
            facts[i].kind = FACT_TEXT;
            facts[i].text = STR("usd");
        }
    }
    tell(&readers[index], MESSAGE_FACTS, &message);
}

static struct digest body_digest(const struct order *order)
{
    return digest_of(str_of((const char *)&order->cents, sizeof(order->cents)));
}

static void reader_step(struct order *order)
{
    struct digest digest = body_digest(order);

    if (order->state == ORDER_READING) {
        tell_facts(order->gate, order->number, false, order->rule, order->cents, &digest);
        order->state = ORDER_JUDGED;
    } else if (order->facts_owed) {
        tell_facts(order->gate, order->grant, true, order->answer_rule, order->cents, &digest);
        order->facts_owed = false;
    }
}

/* ---- vaults and the vendor ---- */

static void say_outcome(struct order *order)
{
    order->outcome.grant = order->grant;
    tell(&vaults[order->gate], MESSAGE_OUTCOME, &order->outcome);
    order->state = ORDER_OVER;
    if (order->client_over) {
        free_order(order);
    } else if (!(order->has_hold && order->answer_rule != 0) &&
               order->outcome.outcome == OUTCOME_ANSWERED && order->outcome.complete) {
        say_done(order);
    }
}

static struct given *given_of(uint64_t grant, uint32_t vault)
{
    for (size_t i = 0; i < given_count; i++) {
        if (givens[i].grant == grant && givens[i].vault == vault && !givens[i].used) {
            return &givens[i];
        }
    }
    return NULL;
}

static void keep_grant(const struct actor *vault, const struct message_grant *grant)
{
    if (given_count == GIVEN_MAX) {
        given_count = 0; /* long gone */
    }
    struct given *given = &givens[given_count++];
    *given = (struct given){.grant = grant->grant,
                            .vault = vault->index,
                            .answer_rule = grant->answer_rule,
                            .has_hold = grant->has_hold,
                            .key = grant->key,
                            .at_us = world->boot_us};
    for (size_t i = 0; i < grant->header_count; i++) {
        if (str_equal(grant->headers[i].name, STR("idempotency-key"))) {
            (void)snprintf(given->idem, sizeof(given->idem), "%.*s",
                           STR_FMT(grant->headers[i].value));
        }
    }
}

static void on_release(const struct actor *vault, uint64_t grant)
{
    struct order *order = order_of_grant(grant);

    if (order == NULL || order->gate != (int)vault->index || order->state != ORDER_OVER) {
        return;
    }
    if (order->outcome.outcome == OUTCOME_ANSWERED && order->outcome.error == UPSTREAM_OK &&
        !order->client_over) {
        if (order->outcome.status == 200 && order->charge >= 0) {
            world->charges[order->charge].acknowledged = true;
            world->charges[order->charge].by_replay =
                world->charges[order->charge].by_replay || order->outcome.replayed;
        }
        say_done(order);
    }
}

static void on_revoke(const struct actor *vault, const struct message_cut *cut)
{
    struct message_cut_done done = {.cut = cut->cut};

    for (size_t i = 0; i < given_count; i++) {
        struct given *given = &givens[i];
        bool cut_now = false;
        for (size_t k = 0; k < cut->key_count; k++) {
            cut_now = cut_now || cut->keys[k] == given->key;
        }
        if (!cut_now || given->used || given->vault != vault->index) {
            continue;
        }
        struct message_outcome outcome = {
            .grant = given->grant, .outcome = OUTCOME_NOT_SENT, .error = UPSTREAM_REVOKED};
        given->used = true;
        tell(vault, MESSAGE_OUTCOME, &outcome);
        struct order *order = order_of_grant(given->grant);
        if (order != NULL && order->gate == (int)vault->index) {
            order->state = ORDER_OVER;
            order->outcome = outcome;
            if (order->client_over) {
                free_order(order);
            }
        }
    }
    tell(vault, MESSAGE_REVOKED, &done);
}

/* No gate came for it. */
static void expire_grants(const struct actor *vault)
{
    for (size_t i = 0; i < given_count; i++) {
        struct given *given = &givens[i];
        if (!given->used && given->vault == vault->index &&
            world->boot_us - given->at_us > LIMIT_BEGIN_BY_MS * 1000ULL) {
            struct message_outcome outcome = {
                .grant = given->grant, .outcome = OUTCOME_NOT_SENT, .error = UPSTREAM_GRANT};
            given->used = true;
            tell(vault, MESSAGE_OUTCOME, &outcome);
        }
    }
}

static void vault_step(struct actor *vault)
{
    enum message_type type;
    void *message;

    if (!next(vault, &type, &message)) {
        expire_grants(vault);
        return;
    }
    if (type == MESSAGE_GRANT) {
        keep_grant(vault, message);
    } else if (type == MESSAGE_RELEASE) {
        on_release(vault, ((struct message_release *)message)->grant);
    } else if (type == MESSAGE_REVOKE) {
        on_revoke(vault, message);
    } else if (type == MESSAGE_FETCH) { /* the vendor is not to be asked in here */
        struct message_outcome outcome = {.grant = ((struct message_grant *)message)->grant,
                                          .outcome = OUTCOME_NOT_SENT,
                                          .error = UPSTREAM_CONNECT};
        tell(vault, MESSAGE_OUTCOME, &outcome);
    }
}

/* What was granted begins, or does not. */
static void begin(struct order *order)
{
    struct given *given = given_of(order->grant, (uint32_t)order->gate);

    if (given == NULL) {
        return; /* GRANT and GRANTED come by different ways */
    }
    given->used = true;
    order->answer_rule = given->answer_rule;
    order->has_hold = given->has_hold;
    memcpy(order->idem, given->idem, sizeof(order->idem));
    const struct request *request = request_of_grant(sim_judge_state, order->grant);
    order->hold = request == NULL ? 0 : request->hold;
    if (order->left || sim_chance(20)) {
        order->outcome = (struct message_outcome){
            .outcome = OUTCOME_NOT_SENT, .error = order->left ? UPSTREAM_GRANT : UPSTREAM_CONNECT};
        say_outcome(order);
        return;
    }
    if (given->has_hold) {
        struct message_sent sent = {.grant = order->grant};
        tell(&vaults[order->gate], MESSAGE_SENT, &sent);
    }
    if (world->keys[order->key].revoked) {
        sim_fail("%s was revoked, and grant %llu begins", world->keys[order->key].id,
                 (unsigned long long)order->grant);
    }
    order->state = ORDER_SENT;
}

/* The vendor does it or does not, and answers or does not. */
static void vendor_step(struct order *order)
{
    struct message_outcome outcome = {.outcome = OUTCOME_ANSWERED, .status = 200, .complete = true};
    uint64_t fate = sim_random(20);

    order->state = ORDER_SENT;
    if (order->read) {
        order->outcome = outcome;
        order->state = ORDER_FATED;
        return;
    }
    if (vendor_remembers(order)) {
        outcome.replayed = true;
        world->counts[COUNT_REPEATS]++;
    } else if (fate >= 14 && fate < 17) { /* refused, or never arrived */
        outcome.status = 402;
    } else {
        log_charge(order);
    }
    if (outcome.status == 402 && fate == 16) {
        outcome = (struct message_outcome){.outcome = OUTCOME_UNKNOWN, .error = UPSTREAM_RESET};
    } else if (fate == 17) {
        outcome = (struct message_outcome){.outcome = OUTCOME_UNKNOWN, .error = UPSTREAM_RESET};
    } else if (fate == 18) {
        outcome.status = 500;
    } else if (fate == 19) {
        outcome.complete = false;
        outcome.error = UPSTREAM_RESET;
    }
    if (outcome.outcome == OUTCOME_ANSWERED && outcome.complete && order->answer_rule != 0) {
        outcome.body_digest = body_digest(order);
        order->facts_owed = outcome.status == 200;
        if (!order->facts_owed) {
            outcome.body_digest = (struct digest){{0}};
        }
    }
    order->outcome = outcome;
    order->state = ORDER_FATED;
}

/* ---- the operator ---- */

static struct pending *free_pending(void)
{
    for (int i = 0; i < CALLS_MAX; i++) {
        if (pendings[i].kind == PENDING_NONE) {
            return &pendings[i];
        }
    }
    return NULL;
}

static void call(enum pending_kind kind, int key, enum call_verb verb, struct str id,
                 const struct wire_schema *schema, const void *body)
{
    struct pending *pending = free_pending();
    struct buf encoded;
    struct message_call message = {
        .call = ++next_call, .verb = verb, .local = true, .actor = STR("uid 0"), .id = id};

    if (pending == NULL) {
        return;
    }
    *pending = (struct pending){kind, message.call, key};
    buf_init(&encoded, LIMIT_JUDGED_BODY_BYTES);
    if (schema != NULL) {
        (void)wire_encode(schema, body, &encoded);
        message.body = buf_str(&encoded);
    }
    tell(&control, MESSAGE_CALL, &message);
    buf_clear(&encoded);
}

static void issue(void)
{
    struct str entries[] = {STR("POST /v1/transfers"), STR("/v1/*")};
    struct str names[] = {STR("a"), STR("b")};

    if (world->key_count == KEYS_MAX) {
        return;
    }
    struct sim_key *key = &world->keys[world->key_count];
    *key = (struct sim_key){.cap = (int64_t)(100 + sim_random(5000)) * CENT, .parent = -1};
    struct policy policy = {.label = names[sim_random(2)],
                            .vendor = STR("stripe"),
                            .daily_cap = key->cap,
                            .total_cap = key->cap,
                            .total_cap_given = true,
                            .entries = entries,
                            .entry_count = 2,
                            .expires_at_ms = clock_wall_ms() + DAY_MS - 1000,
                            .flat_price = MONEY_NONE,
                            .max_amount = MONEY_NONE};
    int above = world->key_count > 4 ? world->key_count - 1 - (int)sim_random(4) : -1;
    if (above >= 0 && world->keys[above].issued && sim_chance(3)) {
        key->parent = above;
        policy.parent = str_from(world->keys[above].id);
    }
    call(PENDING_ISSUE, world->key_count++, CALL_KEY_ISSUE, STR_NONE, &policy_schema, &policy);
}

static void revoke(void)
{
    int from = world->key_count > 8 ? world->key_count - 8 : 0;
    int at = from + (int)sim_random((uint64_t)(world->key_count - from));

    if (at < world->key_count && world->keys[at].issued && !world->keys[at].asked_to_revoke) {
        world->keys[at].asked_to_revoke = true;
        call(PENDING_REVOKE, at, CALL_KEY_REVOKE, str_from(world->keys[at].id), NULL, NULL);
    }
}

static void member(struct str json, const char *name, char *ret, size_t size)
{
    char mark_text[64];

    (void)snprintf(mark_text, sizeof(mark_text), "\"%s\":\"", name);
    const char *at =
        json.len == 0 ? NULL : memmem(json.data, json.len, mark_text, strlen(mark_text));
    if (at != NULL) {
        at += strlen(mark_text);
        (void)snprintf(ret, size, "%.*s", (int)strcspn(at, "\""), at);
    }
}

static void control_step(void)
{
    enum message_type type;
    void *message;

    if (!next(&control, &type, &message) || type != MESSAGE_REPLY) {
        return;
    }
    const struct message_reply *reply = message;
    for (int i = 0; i < CALLS_MAX; i++) {
        struct pending *pending = &pendings[i];
        if (pending->kind == PENDING_NONE || pending->call != reply->call) {
            continue;
        }
        struct sim_key *key = &world->keys[pending->key];
        if (pending->kind == PENDING_ISSUE && reply->status == 201) {
            member(reply->json, "id", key->id, sizeof(key->id));
            member(reply->json, "token", key->token, sizeof(key->token));
            key->issued = true;
        } else if (pending->kind == PENDING_REVOKE && reply->status == 200) {
            for (int k = pending->key; k < world->key_count; k++) {
                for (int up = k; up >= 0; up = world->keys[up].parent) {
                    world->keys[k].revoked = world->keys[k].revoked || up == pending->key;
                }
            }
        }
        pending->kind = PENDING_NONE;
    }
}

/* ---- steps ---- */

static struct order *any_order(enum order_state least, enum order_state most)
{
    int at = (int)sim_random(ORDERS_MAX);

    for (int i = 0; i < ORDERS_MAX; i++, at = (at + 1) % ORDERS_MAX) {
        if (orders[at].state >= least && orders[at].state <= most) {
            return &orders[at];
        }
    }
    return NULL;
}

static void money_step(void)
{
    struct order *order = any_order(ORDER_ADMITTED, ORDER_OVER);

    if (order == NULL) {
        return;
    }
    switch (order->state) {
    case ORDER_ADMITTED:
    case ORDER_JUDGED:
        if (!finishing && sim_chance(100)) {
            leave(order);
        }
        break;
    case ORDER_READING:
        reader_step(order);
        break;
    case ORDER_GRANTED:
        begin(order);
        break;
    case ORDER_SENT:
        vendor_step(order);
        break;
    case ORDER_FATED:
        if (order->facts_owed && sim_chance(2)) {
            reader_step(order);
        } else {
            say_outcome(order);
        }
        break;
    case ORDER_OVER:
        reader_step(order);
        break;
    case ORDER_FREE:
    default:
        break;
    }
}

static void pass_time(void)
{
    uint64_t kind = sim_random(300);
    uint64_t ms = 1 + sim_random(kind == 0 ? 40 * 3600 * 1000ULL : (kind < 10 ? 4000 : 20));

    world->boot_us += ms * 1000;
}

static void kills(void)
{
    struct actor *of_role[ROLE_COUNT] = {
        [ROLE_GATE] = gates, [ROLE_VAULT] = vaults, [ROLE_READER] = readers};

    for (int role = 0; role < ROLE_COUNT; role++) {
        for (int i = 0; i < PAIRS; i++) {
            if (to_kill[role][i] && of_role[role] != NULL) {
                to_kill[role][i] = false;
                kill_actor(&of_role[role][i]);
            }
        }
    }
}

static void deaths(void)
{
    struct actor *of_role[] = {gates, vaults, readers};

    if (sim_chance(40)) {
        kill_actor(&of_role[sim_random(3)][sim_random(PAIRS)]);
    }
}

void world_step(void)
{
    uint64_t what = sim_random(100);

    kills();
    if (what < 30) {
        sim_turn(&sim_judge);
    } else if (what < 45) {
        sim_turn(&sim_scribe);
    } else if (what < 58) {
        gate_step(&gates[sim_random(PAIRS)]);
    } else if (what < 68) {
        vault_step(&vaults[sim_random(PAIRS)]);
    } else if (what < 84) {
        money_step();
    } else if (what < 90) {
        new_order();
    } else if (what < 94) {
        control_step();
    } else if (what == 94 && sim_chance(3)) {
        issue();
    } else if (what == 95 && sim_chance(12)) {
        revoke();
    } else if (what == 96) {
        deaths();
    } else if (what > 96) {
        pass_time();
    }
}

/* An order that something is still to come of. */
static const struct order *busy_order(void)
{
    for (int i = 0; i < ORDERS_MAX; i++) {
        if (orders[i].state != ORDER_FREE && !orders[i].client_over &&
            !(orders[i].left && orders[i].grant == 0)) {
            return &orders[i];
        }
    }
    return NULL;
}

void world_finish(void)
{
    finishing = true;
    for (int i = 0; i < 200000; i++) {
        kills();
        sim_turn(&sim_judge);
        sim_turn(&sim_scribe);
        for (int n = 0; n < PAIRS; n++) {
            gate_step(&gates[n]);
            vault_step(&vaults[n]);
        }
        control_step();
        money_step();
        world->boot_us += 2000;
        if (i > 300 && i % 16 == 0 && busy_order() == NULL && sim_judge_state->open_requests == 0) {
            return;
        }
    }
    const struct order *stuck = busy_order();
    size_t at = 0;
    const struct request *request = table_next(&sim_judge_state->grants, &at);
    sim_fail("does not come to an end: %zu requests in the judge (one with grant %llu in state %d, "
             "outcome %d, done %d, vault %d); an order with grant %llu in state %d, left %d, "
             "client over %d, outcome %d error %d",
             sim_judge_state->open_requests,
             request == NULL ? 0ULL : (unsigned long long)request->grant,
             request == NULL ? -1 : (int)request->state, request != NULL && request->has_outcome,
             request != NULL && request->has_done, request != NULL && request->vault != NULL,
             stuck == NULL ? 0ULL : (unsigned long long)stuck->grant,
             stuck == NULL ? -1 : (int)stuck->state, stuck != NULL && stuck->left,
             stuck != NULL && stuck->client_over, stuck == NULL ? -1 : (int)stuck->outcome.outcome,
             stuck == NULL ? -1 : (int)stuck->outcome.error);
}

void world_start(struct config *use)
{
    int far;

    config = use;
    arena = arena_new();
    /* Grants of vaults that are gone must not be met again by number. */
    int near = sim_pair(&far);
    sim_scribe.events->channel(sim_scribe.ctx, ROLE_JUDGE, 0, ++next_incarnation, near);
    sim_judge.events->channel(sim_judge.ctx, ROLE_SCRIBE, 0, ++next_incarnation, far);
    for (uint32_t i = 0; i < PAIRS; i++) {
        bear(&gates[i], ROLE_GATE, i);
        bear(&vaults[i], ROLE_VAULT, i);
        bear(&readers[i], ROLE_READER, i);
    }
    bear(&control, ROLE_CONTROL, 0);
    process_config(sim_judge_state, config);
    sim_scribe.events->start(sim_scribe.ctx);
    sim_judge.events->start(sim_judge.ctx);
    for (int i = 0; i < 100000 && !sim_judge.ready; i++) {
        sim_turn(&sim_judge);
        sim_turn(&sim_scribe);
        if (sim_scribe.ended) {
            return; /* the disk's fault, or a stop: the caller looks */
        }
    }
    if (!sim_judge.ready) {
        sim_fail("the judge does not become ready");
    }
}
