/* SPDX-License-Identifier: Apache-2.0 */
/*
 * testing: the judge in a process of its own; the test is its gate, vault, reader, scribe, control
 * and parent.  The test's scribe keeps every row, so that a second judge can start from them.
 */
#ifndef JUDGE_TESTING_H
#define JUDGE_TESTING_H

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/test.h"
#include "judge/process.h"
#include "judge/state.h"
#include "pack/load.h"
#include "policy/calls.h"
#include "policy/usd.h"

enum { WAIT_MS = 3000, SHORT_MS = 80, ROWS_MAX = 20000, PEERS = 6 };
enum { GATE, VAULT, READER, SCRIBE, CONTROL, DIALER };

struct row {
    enum message_type type;
    char *bytes;
    size_t len;
};

static struct {
    pid_t pid;
    int fds[PEERS];
    int world; /* what the judge asks of the parent: one letter each */
    struct arena *arena;
    struct buf in;
    struct config *config;
    struct row rows[ROWS_MAX]; /* the store: all that was committed */
    size_t row_count;
    uint64_t next_request, next_call;
    size_t committed; /* of the rows */
    bool deaf;        /* the scribe does not answer */
    bool full;        /* its disk is */
    bool refusing;    /* a batch was refused: so are all, until one says `again` */
    int64_t
        jump_ms; /* the judge's wall clock is so far ahead of its boot clock, once it is ready */
} t;

static struct arena *packs; /* of t.config */

/* ---- the judge's process ---- */

static int world_fd;

static inline void say(char what)
{
    (void)send(world_fd, &what, 1, MSG_NOSIGNAL);
}

static inline void on_ready(void *ctx)
{
    struct judge **judge = ctx;

    (*judge)->clock.base_wall_ms -= t.jump_ms;
    say('r');
}

static inline void on_drained(void *ctx)
{
    (void)ctx;
    say('d');
}

static inline void on_kill(void *ctx, enum process_role role, uint32_t index, uint64_t incarnation)
{
    (void)ctx;
    (void)index;
    (void)incarnation;
    say(role == ROLE_VAULT ? 'V' : 'G');
}

static inline void on_fault(void *ctx, enum process_role role, uint32_t index, const char *why)
{
    (void)ctx;
    (void)role;
    (void)index;
    (void)why;
    say('f');
}

static inline void run_judge(const int *fds)
{
    static const enum process_role roles[PEERS] = {ROLE_GATE,   ROLE_VAULT,   ROLE_READER,
                                                   ROLE_SCRIBE, ROLE_CONTROL, ROLE_DIALER};
    struct judge *judge = NULL;
    struct process_calls calls = {on_ready, on_drained, on_kill, on_fault, &judge};
    struct err err;
    struct loop *loop = loop_new(&err);

    judge = process_new(loop, &calls);

    for (uint32_t i = 0; i < PEERS; i++) {
        process_channel(judge, roles[i], 0, i + 1, fds[i]);
    }
    process_config(judge, t.config);
    process_start(judge);
    _exit(loop_run(loop));
}

/* ---- frames ---- */

static inline void tell(int peer, enum message_type type, const void *message)
{
    struct buf out;

    buf_init(&out, LIMIT_FRAME_BYTES + 8);
    (void)buf_add(&out, "\0\0\0\0\0\0\0", 8);
    CHECK(wire_encode(message_schema(type), message, &out));
    size_t payload = buf_len(&out) - 8;
    for (size_t i = 0; i < 4; i++) {
        out.data[i] = (unsigned char)(payload >> (8 * i));
    }
    out.data[4] = (unsigned char)type;
    CHECK(send(t.fds[peer], out.data, payload + 8, MSG_NOSIGNAL) == (ssize_t)(payload + 8));
    buf_clear(&out);
}

static inline void read_all(int fd, void *to, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t got = recv(fd, (char *)to + at, len - at, 0);
        if (got <= 0) {
            CHECK_CASE(false, "the judge has gone");
            exit(test_done());
        }
        at += (size_t)got;
    }
}

/* One frame; its payload is in t.in. */
static inline enum message_type read_frame(int peer)
{
    unsigned char head[8];

    read_all(t.fds[peer], head, 8);
    size_t len = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16;
    buf_cut(&t.in, 0);
    if (len > 0) {
        read_all(t.fds[peer], buf_room(&t.in, len), len);
        buf_added(&t.in, len);
    }
    return (enum message_type)head[4];
}

static inline void *decode(enum message_type type)
{
    arena_reset(t.arena);
    void *message = arena_zeroed(t.arena, 1, message_schema(type)->size);
    CHECK(wire_decode(message_schema(type), buf_str(&t.in), t.arena, message));
    return message;
}

/* ---- the scribe ---- */

static inline void load_rows(void)
{
    struct message_loaded loaded = {0};

    for (size_t i = 0; i < t.row_count; i++) {
        struct row *row = &t.rows[i];
        if (row->type == MESSAGE_ROW_AUDIT) {
            buf_cut(&t.in, 0);
            (void)buf_add(&t.in, row->bytes, row->len);
            const struct message_row_audit *audit = decode(row->type);
            CHECK(audit->sequence == loaded.audit_sequence + 1);
            loaded.audit_sequence = audit->sequence;
            loaded.audit_head = audit->hash;
            loaded.newest_at_ms = audit->at_ms;
            continue;
        }
        unsigned char head[8] = {(unsigned char)row->len, (unsigned char)(row->len >> 8),
                                 (unsigned char)(row->len >> 16), 0, (unsigned char)row->type};
        CHECK(send(t.fds[SCRIBE], head, 8, MSG_NOSIGNAL) == 8);
        CHECK(send(t.fds[SCRIBE], row->bytes, row->len, MSG_NOSIGNAL) == (ssize_t)row->len);
    }
    tell(SCRIBE, MESSAGE_LOADED, &loaded);
}

static inline void serve_scribe(void)
{
    enum message_type type = read_frame(SCRIBE);

    if (type == MESSAGE_LOAD) {
        load_rows();
    } else if (type == MESSAGE_COMMIT) {
        const struct message_commit *commit = decode(type);
        struct message_committed committed = {.batch = commit->batch, .commit_us = 300};
        struct message_store_refused refused = {.batch = commit->batch, .problem = STR("full")};
        t.refusing = t.full || (t.refusing && !commit->again);
        while (t.refusing && t.row_count > t.committed) {
            free(t.rows[--t.row_count].bytes);
        }
        t.committed = t.row_count;
        if (t.refusing) {
            tell(SCRIBE, MESSAGE_STORE_REFUSED, &refused);
        } else {
            tell(SCRIBE, MESSAGE_COMMITTED, &committed);
        }
    } else if (t.row_count < ROWS_MAX) {
        t.rows[t.row_count++] =
            (struct row){type, mem_copy(buf_str(&t.in).data, buf_len(&t.in)), buf_len(&t.in)};
    }
}

/* Lets the scribe work until `fd` has something, or the time is up. */
static inline bool wait_for(int fd, int wait_ms)
{
    for (int64_t end = (int64_t)clock_boot_ms() + wait_ms; (int64_t)clock_boot_ms() < end;) {
        struct pollfd fds[2] = {{.fd = fd, .events = POLLIN},
                                {.fd = t.deaf ? -1 : t.fds[SCRIBE], .events = POLLIN}};
        (void)poll(fds, 2, 10);
        if (fds[1].revents != 0) {
            serve_scribe();
        } else if (fds[0].revents != 0) {
            return true;
        }
    }
    return false;
}

static inline bool silent(int peer)
{
    return !wait_for(t.fds[peer], SHORT_MS);
}

static inline enum message_type next(int peer)
{
    if (!wait_for(t.fds[peer], WAIT_MS)) {
        return MESSAGE_NONE;
    }
    return read_frame(peer);
}

static inline void *expect(int peer, enum message_type type)
{
    enum message_type got = next(peer);

    while (peer == VAULT && got == MESSAGE_FETCH && type != MESSAGE_FETCH) {
        got = next(peer); /* a hold is being looked after; no answer is one too */
    }
    if (got != type) {
        CHECK_CASE(false, message_name(type));
        (void)printf("  got %s\n", message_name(got));
        exit(test_done());
    }
    return decode(type);
}

static inline char world(void)
{
    char what = 0;

    if (wait_for(t.world, WAIT_MS)) {
        (void)recv(t.world, &what, 1, 0);
    }
    return what;
}

/* ---- begin and end ---- */

static inline void begin(void)
{
    int ends[PEERS];
    int both[2];
    int ours[2];

    for (int i = 0; i < PEERS; i++) {
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) == 0);
        t.fds[i] = both[0];
        ends[i] = both[1];
    }
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ours) == 0);
    t.committed = t.row_count;
    (void)fflush(stdout);
    t.pid = fork();
    if (t.pid == 0) {
        for (int i = 0; i < PEERS; i++) {
            (void)close(t.fds[i]);
        }
        (void)close(ours[0]);
        world_fd = ours[1];
        run_judge(ends);
    }
    for (int i = 0; i < PEERS; i++) {
        (void)close(ends[i]);
    }
    (void)close(ours[1]);
    t.world = ours[0];
    CHECK(world() == 'r');
}

static inline void end(void)
{
    int status;

    while (wait_for(t.fds[SCRIBE], SHORT_MS)) {
    }
    for (int i = 0; i < PEERS; i++) {
        if (t.fds[i] >= 0) {
            (void)close(t.fds[i]);
        }
    }
    (void)close(t.world);
    (void)waitpid(t.pid, &status, 0);
    CHECK(WIFEXITED(status)); /* it noticed that the scribe has gone, and did not crash */
}

static inline void wipe_store(void)
{
    while (t.row_count > 0) {
        free(t.rows[--t.row_count].bytes);
    }
    struct message_row_credential credential = {.credential = 1,
                                                .name = STR("stripe"),
                                                .vendor = STR("stripe"),
                                                .version = 1,
                                                .public_fields = STR("{}"),
                                                .created_at_ms = 1};
    struct message_row_credential twilio = {.credential = 2,
                                            .name = STR("twilio"),
                                            .vendor = STR("twilio"),
                                            .version = 1,
                                            .public_fields = STR("{\"account_sid\":\"AC1\"}"),
                                            .created_at_ms = 1};
    struct message_row_meta secret = {.name = STR("idempotency_secret"), .value = STR("abc")};
    const void *things[] = {&credential, &twilio, &secret};
    enum message_type types[] = {MESSAGE_ROW_CREDENTIAL, MESSAGE_ROW_CREDENTIAL, MESSAGE_ROW_META};
    for (size_t i = 0; i < 3; i++) {
        buf_cut(&t.in, 0);
        CHECK(wire_encode(message_schema(types[i]), things[i], &t.in));
        t.rows[t.row_count++] =
            (struct row){types[i], mem_copy(buf_str(&t.in).data, buf_len(&t.in)), buf_len(&t.in)};
    }
}

/* ---- control ---- */

static inline void call(enum call_verb verb, struct str id, const struct wire_schema *schema,
                        const void *body)
{
    struct buf encoded;
    struct message_call message = {
        .call = ++t.next_call, .verb = verb, .local = true, .actor = STR("uid 0"), .id = id};

    buf_init(&encoded, LIMIT_JUDGED_BODY_BYTES);
    if (schema != NULL) {
        CHECK(wire_encode(schema, body, &encoded));
        message.body = buf_str(&encoded);
    }
    tell(CONTROL, MESSAGE_CALL, &message);
    buf_clear(&encoded);
}

struct text {
    char text[256];
};

/* The value of a member of the last reply that is a string. */
static inline struct text member(const struct message_reply *reply, const char *name)
{
    struct text out = {""};
    char mark[64];

    (void)snprintf(mark, sizeof(mark), "\"%s\":\"", name);
    const char *at =
        reply->json.len == 0 ? NULL : memmem(reply->json.data, reply->json.len, mark, strlen(mark));
    if (at != NULL) {
        at += strlen(mark);
        (void)snprintf(out.text, sizeof(out.text), "%.*s", (int)strcspn(at, "\""), at);
    }
    return out;
}

struct issued {
    struct text id, token;
};

/* For Stripe, an hour, what the tests ask for; `policy` has what differs. */
static inline struct issued issue_by(struct policy policy)
{
    struct str entries[] = {STR("/v1/payment_intents"), STR("/v1/balance"), STR("/v1/customers"),
                            STR("/v1/customers/*"), STR("/v1/payment_intents/*")};

    policy.label = STR("test");
    policy.total_cap = MONEY_NONE;
    policy.expires_at_ms = clock_wall_ms() + 600000;
    policy.max_amount = MONEY_NONE;
    if (policy.entry_count == 0) {
        policy.vendor = STR("stripe");
        policy.entries = entries;
        policy.entry_count = sizeof(entries) / sizeof(entries[0]);
    }
    call(CALL_KEY_ISSUE, STR_NONE, &policy_schema, &policy);
    const struct message_reply *reply = expect(CONTROL, MESSAGE_REPLY);
    CHECK_CASE(reply->status == 201, reply->detail.data);
    return (struct issued){member(reply, "id"), member(reply, "token")};
}

static inline struct issued issue_priced(int64_t cap_usd, int64_t flat_price)
{
    return issue_by((struct policy){.daily_cap = cap_usd * NANO_PER_USD, .flat_price = flat_price});
}

static inline struct issued issue(int64_t cap_usd)
{
    return issue_priced(cap_usd, MONEY_NONE);
}

static inline bool shows(const struct issued *key, const char *spent, const char *held,
                         const char *left)
{
    call(CALL_KEY_GET, str_from(key->id.text), NULL, NULL);
    const struct message_reply *reply = expect(CONTROL, MESSAGE_REPLY);
    struct text s = member(reply, "spent_usd");
    struct text h = member(reply, "held_usd");
    struct text l = member(reply, "remaining_usd");
    bool same =
        strcmp(s.text, spent) == 0 && strcmp(h.text, held) == 0 && strcmp(l.text, left) == 0;

    if (!same) {
        (void)printf("spent %s held %s left %s\n", s.text, h.text, l.text);
    }
    return same;
}

/* ---- requests ---- */

static inline uint64_t ask_keyed(const struct issued *key, const char *method, const char *path,
                                 bool body, const char *idempotency_key)
{
    struct message_presented presented = {
        .form = FORM_BEARER, .name = STR("authorization"), .value = str_from(key->token.text)};
    struct message_header headers[2];
    size_t count = 0;
    struct message_admit admit = {.request = ++t.next_request,
                                  .source = STR("192.0.2.1"),
                                  .host = STR("127.0.0.1:8787"),
                                  .method = str_from(method),
                                  .path = str_from(path),
                                  .body = body ? BODY_LENGTH : BODY_NONE,
                                  .content_length = body ? 20 : 0,
                                  .presented = &presented,
                                  .presented_count = 1,
                                  .headers = headers};

    if (body) {
        headers[count++] =
            (struct message_header){STR("content-type"), STR("application/x-www-form-urlencoded")};
    }
    if (idempotency_key != NULL) {
        headers[count++] =
            (struct message_header){STR("idempotency-key"), str_from(idempotency_key)};
    }
    admit.header_count = count;
    admit.query = str_from(strchrnul(path, '?'));
    if (admit.query.len > 0) {
        admit.has_query = true;
        admit.path.len -= admit.query.len;
        admit.query = str_slice(admit.query, 1, admit.query.len);
    }
    tell(GATE, MESSAGE_ADMIT, &admit);
    return admit.request;
}

static inline uint64_t ask(const struct issued *key, const char *method, const char *path,
                           bool body)
{
    return ask_keyed(key, method, path, body, NULL);
}

static inline void tell_facts(uint64_t request, bool answer, uint32_t rule,
                              const char *const *values, const struct digest *digest)
{
    const struct pack_read *read = &t.config->reads[rule];
    struct message_fact facts[256] = {{0}};
    struct message_facts message = {.request = request,
                                    .answer = answer,
                                    .generation = t.config->generation,
                                    .rule = rule,
                                    .digest = *digest,
                                    .length = 20,
                                    .state = FACTS_OK,
                                    .facts = facts,
                                    .fact_count = read->selector_count};

    for (size_t i = 0; i < read->selector_count; i++) {
        for (size_t v = 0; values[v] != NULL; v += 2) {
            if (str_equal(read->selectors[i].name, str_from(values[v]))) {
                struct str text = str_from(values[v + 1]);
                uint64_t number;
                bool digits = str_to_u64(text, &number);
                facts[i] = (struct message_fact){.kind = digits ? FACT_INTEGER : FACT_TEXT,
                                                 .number = digits ? (int64_t)number : 0,
                                                 .text = text};
            }
        }
    }
    tell(READER, MESSAGE_FACTS, &message);
}

static const char *const one_dollar[] = {"amount", "100", "currency", "usd", NULL};

/* A payment of a dollar up to its facts. */
static inline uint64_t pay(const struct issued *key, const char *idempotency_key, const char *body)
{
    struct digest digest = digest_of(str_from(body));
    uint64_t request = ask_keyed(key, "POST", "/stripe/v1/payment_intents", true, idempotency_key);
    const struct message_read_body *read = expect(GATE, MESSAGE_READ_BODY);

    CHECK(read->request == request && read->generation == t.config->generation);
    tell_facts(request, false, read->rule, one_dollar, &digest);
    return request;
}

struct given {
    uint64_t grant;
    uint32_t answer_rule;
    char key[300]; /* the idempotency key that goes out */
};

static inline struct given granted(uint64_t request)
{
    struct given out = {0};
    const struct message_grant *grant = expect(VAULT, MESSAGE_GRANT);

    out.grant = grant->grant;
    out.answer_rule = grant->answer_rule;
    for (size_t i = 0; i < grant->header_count; i++) {
        if (str_equal(grant->headers[i].name, STR("idempotency-key"))) {
            (void)snprintf(out.key, sizeof(out.key), "%.*s", STR_FMT(grant->headers[i].value));
        }
    }
    const struct message_granted *told = expect(GATE, MESSAGE_GRANTED);
    CHECK(told->request == request && told->grant == out.grant);
    return out;
}

static inline void done(uint64_t request, uint64_t grant)
{
    struct message_done message = {.request = request, .grant = grant, .status = 200};

    tell(GATE, MESSAGE_DONE, &message);
}

/* The vendor answers with a succeeded intent of a dollar; its answer is released afterwards. */
static inline void succeed(uint64_t request, const struct given *given)
{
    static const char *const answer[] = {"/status",   "succeeded", "/amount_received",
                                         "100",       "/amount",   "100",
                                         "/currency", "usd",       "/id",
                                         "pi_1",      NULL};
    struct digest digest = digest_of(STR("answer"));
    struct message_sent sent = {.grant = given->grant};
    struct message_outcome outcome = {.grant = given->grant,
                                      .outcome = OUTCOME_ANSWERED,
                                      .status = 200,
                                      .complete = true,
                                      .body_digest = digest};

    tell(VAULT, MESSAGE_SENT, &sent);
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    tell_facts(given->grant, true, given->answer_rule, answer, &digest);
    const struct message_release *release = expect(VAULT, MESSAGE_RELEASE);
    CHECK(release->grant == given->grant);
    done(request, given->grant);
}

static inline uint32_t denied(uint64_t request, const char *code)
{
    const struct message_answer *answer = expect(GATE, MESSAGE_ANSWER);
    bool found = false;

    CHECK(answer->request == request);
    for (size_t i = 0; i < answer->header_count; i++) {
        found = found || (str_equal(answer->headers[i].name, STR("keybrake-denied")) &&
                          str_equal(answer->headers[i].value, str_from(code)));
    }
    CHECK_CASE(found, code);
    return answer->status;
}

/* Around all cases of a program. */
static inline void testing_begin(void)
{
    static struct config config = {.generation = 7,
                                   .ttl_default_ms = LIMIT_TTL_DEFAULT_MS,
                                   .ttl_max_ms = LIMIT_TTL_MAX_MS,
                                   .self_revoke = true};
    struct err err = {""};

    digest_setup();
    packs = arena_new();
    CHECK_CASE(load_builtin_packs(&config, packs, &err) == 0 &&
                   config_finish(&config, packs, &err) == 0,
               err.text);
    t.config = &config;
    t.arena = arena_new();
    buf_init(&t.in, LIMIT_FRAME_BYTES + 64);
}

static inline void testing_end(void)
{
    wipe_store();
    while (t.row_count > 0) {
        free(t.rows[--t.row_count].bytes);
    }
    buf_clear(&t.in);
    arena_free(t.arena);
    arena_free(packs);
}

#endif
