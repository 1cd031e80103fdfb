/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The judge in a process of its own; the test is its gate, vault, reader, scribe, control and
 * parent.  The test's scribe keeps every row, so that a second judge can start from them.
 */
#include "judge/process.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/test.h"
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

/* ---- the judge's process ---- */

static int world_fd;

static void say(char what)
{
    (void)send(world_fd, &what, 1, MSG_NOSIGNAL);
}

static void on_ready(void *ctx)
{
    struct judge **judge = ctx;

    (*judge)->clock.base_wall_ms -= t.jump_ms;
    say('r');
}

static void on_drained(void *ctx)
{
    (void)ctx;
    say('d');
}

static void on_kill(void *ctx, enum process_role role, uint32_t index, uint64_t incarnation)
{
    (void)ctx;
    (void)index;
    (void)incarnation;
    say(role == ROLE_VAULT ? 'V' : 'G');
}

static void on_fault(void *ctx, enum process_role role, uint32_t index, const char *why)
{
    (void)ctx;
    (void)role;
    (void)index;
    (void)why;
    say('f');
}

static void run_judge(const int *fds)
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

static void tell(int peer, enum message_type type, const void *message)
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

static void read_all(int fd, void *to, size_t len)
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
static enum message_type read_frame(int peer)
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

static void *decode(enum message_type type)
{
    arena_reset(t.arena);
    void *message = arena_zeroed(t.arena, 1, message_schema(type)->size);
    CHECK(wire_decode(message_schema(type), buf_str(&t.in), t.arena, message));
    return message;
}

/* ---- the scribe ---- */

static void load_rows(void)
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

static void serve_scribe(void)
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
static bool wait_for(int fd, int wait_ms)
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

static bool silent(int peer)
{
    return !wait_for(t.fds[peer], SHORT_MS);
}

static enum message_type next(int peer)
{
    if (!wait_for(t.fds[peer], WAIT_MS)) {
        return MESSAGE_NONE;
    }
    return read_frame(peer);
}

static void *expect(int peer, enum message_type type)
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

static char world(void)
{
    char what = 0;

    if (wait_for(t.world, WAIT_MS)) {
        (void)recv(t.world, &what, 1, 0);
    }
    return what;
}

/* ---- begin and end ---- */

static void begin(void)
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

static void end(void)
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

static void wipe_store(void)
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

static void call(enum call_verb verb, struct str id, const struct wire_schema *schema,
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
static struct text member(const struct message_reply *reply, const char *name)
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
static struct issued issue_by(struct policy policy)
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

static struct issued issue_priced(int64_t cap_usd, int64_t flat_price)
{
    return issue_by((struct policy){.daily_cap = cap_usd * NANO_PER_USD, .flat_price = flat_price});
}

static struct issued issue(int64_t cap_usd)
{
    return issue_priced(cap_usd, MONEY_NONE);
}

static bool shows(const struct issued *key, const char *spent, const char *held, const char *left)
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

static uint64_t ask_keyed(const struct issued *key, const char *method, const char *path, bool body,
                          const char *idempotency_key)
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

static uint64_t ask(const struct issued *key, const char *method, const char *path, bool body)
{
    return ask_keyed(key, method, path, body, NULL);
}

static void tell_facts(uint64_t request, bool answer, uint32_t rule, const char *const *values,
                       const struct digest *digest)
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
static uint64_t pay(const struct issued *key, const char *idempotency_key, const char *body)
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

static struct given granted(uint64_t request)
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

static void done(uint64_t request, uint64_t grant)
{
    struct message_done message = {.request = request, .grant = grant, .status = 200};

    tell(GATE, MESSAGE_DONE, &message);
}

/* The vendor answers with a succeeded intent of a dollar; its answer is released afterwards. */
static void succeed(uint64_t request, const struct given *given)
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

static uint32_t denied(uint64_t request, const char *code)
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

/* ---- the cases ---- */

static void test_reads_and_refusals(void)
{
    wipe_store();
    begin();
    struct issued key = issue(50);
    uint64_t request = ask(&key, "GET", "/stripe/v1/balance", false);
    struct given given = granted(request);
    struct message_outcome outcome = {
        .grant = given.grant, .outcome = OUTCOME_ANSWERED, .status = 200, .complete = true};
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    done(request, given.grant);
    CHECK(denied(ask(&key, "POST", "/stripe/v1/payouts", true), "endpoint_not_allowed") == 403);
    CHECK(denied(ask(&key, "GET", "/github/user", false), "vendor_mismatch") == 403);
    struct issued stranger = key;
    stranger.token.text[8] ^= 1;
    CHECK(denied(ask(&stranger, "GET", "/stripe/v1/balance", false), "unknown_key") == 401);
    /* A write waits for its intent row; a deaf scribe means no grant. */
    t.deaf = true;
    request = ask(&key, "POST", "/stripe/v1/customers", false);
    CHECK(silent(VAULT) && silent(GATE));
    t.deaf = false;
    given = granted(request);
    end();
}

/* A host before the path makes no operation unknown, and so cheap. */
static void test_other_hosts(void)
{
    struct str entries[] = {STR("POST /v1/payment_intents"), STR("/v1/*")};

    wipe_store();
    begin();
    struct issued key = issue_by((struct policy){.vendor = STR("stripe"),
                                                 .entries = entries,
                                                 .entry_count = 2,
                                                 .daily_cap = 50 * NANO_PER_USD,
                                                 .flat_price = NANO_PER_USD / 100});
    CHECK(denied(ask(&key, "POST", "/stripe/files.stripe.com/v1/payment_intents", true),
                 "endpoint_not_allowed") == 403);
    (void)ask(&key, "POST", "/stripe/api.stripe.com/v1/payment_intents", true);
    (void)expect(GATE, MESSAGE_READ_BODY);
    (void)granted(ask(&key, "GET", "/stripe/v1/unheard_of", false));
    end();
}

/* The path's account must be the credential's, also where the catalogue has no such path. */
static void test_other_accounts(void)
{
    static const char *const others[] = {"/twilio/2010-04-01/Accounts/AC2/Messages.json",
                                         "/twilio/2010-04-01/Accounts/AC2/Messages",
                                         "/twilio/2010-04-01/accounts/AC2/Messages.csv",
                                         "/twilio/verify.twilio.com/2010-04-01/Accounts/AC2/X"};
    struct str entries[] = {STR("/2010-04-01/*")};

    wipe_store();
    begin();
    struct issued key = issue_by((struct policy){.vendor = STR("twilio"),
                                                 .entries = entries,
                                                 .entry_count = 1,
                                                 .daily_cap = 50 * NANO_PER_USD,
                                                 .flat_price = MONEY_NONE});
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct message_presented presented = {.form = FORM_BASIC_PASS,
                                              .name = STR("authorization"),
                                              .value = str_from(key.token.text)};
        struct message_admit admit = {.request = ++t.next_request,
                                      .method = STR("GET"),
                                      .path = str_from(others[i]),
                                      .presented = &presented,
                                      .presented_count = 1};
        tell(GATE, MESSAGE_ADMIT, &admit);
        CHECK_CASE(denied(admit.request, "account_not_allowed") == 403, others[i]);
    }
    end();
}

/* Accounts in a query, however deep, and customers wherever they are named. */
static void test_accounts_and_customers(void)
{
    struct str entries[] = {STR("/v1/*")};
    struct str customers[] = {STR("cus_1")};
    static const char *const ours[] = {"customer", "cus_1", NULL};
    static const char *const theirs[] = {"customer", "cus_2", NULL};
    static const char *const none[] = {NULL};
    struct digest digest = digest_of(STR("x"));

    wipe_store();
    begin();
    struct issued key = issue_by((struct policy){.vendor = STR("stripe"),
                                                 .entries = entries,
                                                 .entry_count = 1,
                                                 .daily_cap = 50 * NANO_PER_USD,
                                                 .customers = customers,
                                                 .customer_count = 1,
                                                 .flat_price = MONEY_NONE});
    CHECK(denied(ask(&key, "GET", "/v1/transfers?destination=acct_1", false),
                 "account_not_allowed") == 403);
    CHECK(denied(ask(&key, "GET", "/v1/transfers?destination=+acct_1", false),
                 "account_not_allowed") == 403);
    CHECK(denied(ask(&key, "POST", "/v1/prices?transfer_data[x][account]=acct_1", false),
                 "bad_request") == 400);
    CHECK(denied(ask(&key, "GET", "/v1/charges?customer=cus_2", false), "param_not_allowed") ==
          403);
    CHECK(denied(ask(&key, "GET", "/v1/customers/cus_2", false), "param_not_allowed") == 403);
    CHECK(denied(ask(&key, "POST", "/v1/customers/cus_2", false), "param_not_allowed") == 403);
    CHECK(denied(ask(&key, "POST", "/v1/prices", false), "param_not_allowed") == 403);
    const char *const *const bodies[] = {ours, theirs, none};
    for (size_t i = 0; i < 3; i++) {
        uint64_t request = ask(&key, "POST", "/v1/setup_intents", true);
        const struct message_read_body *read = expect(GATE, MESSAGE_READ_BODY);
        tell_facts(request, false, read->rule, bodies[i], &digest);
        if (i == 0) {
            (void)granted(request);
        } else {
            CHECK(denied(request, "param_not_allowed") == 403);
        }
    }
    (void)granted(ask(&key, "GET", "/v1/charges?customer=cus_1", false));
    (void)granted(ask(&key, "GET", "/v1/customers/cus_1", false));
    (void)granted(ask(&key, "POST", "/v1/customers/cus_1", false));
    (void)granted(ask(&key, "GET", "/v1/balance", false));
    end();
}

static void test_race_to_the_cent(void)
{
    enum { RACERS = 64, CAP = 50 };
    struct digest digest = digest_of(STR("body"));
    uint64_t requests[RACERS];
    unsigned grants = 0;
    unsigned refusals = 0;

    wipe_store();
    begin();
    struct issued key = issue(CAP);
    for (int i = 0; i < RACERS; i++) {
        requests[i] = ask(&key, "POST", "/stripe/v1/payment_intents", true);
    }
    for (int i = 0; i < RACERS; i++) {
        const struct message_read_body *read = expect(GATE, MESSAGE_READ_BODY);
        tell_facts(requests[RACERS - 1 - i], false, read->rule, one_dollar, &digest);
    }
    for (int i = 0; i < RACERS; i++) {
        enum message_type type = next(GATE);
        grants += type == MESSAGE_GRANTED;
        refusals += type == MESSAGE_ANSWER;
    }
    CHECK(grants == CAP && refusals == RACERS - CAP);
    CHECK(shows(&key, "0.00", "50.00", "0.00"));
    end();
}

static void test_money(void)
{
    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t request = pay(&key, NULL, "a");
    struct given given = granted(request);
    CHECK(shows(&key, "0.00", "1.00", "9.00"));
    succeed(request, &given);
    CHECK(shows(&key, "1.00", "0.00", "9.00"));
    /* Nothing was sent: voided, and the judge tells the client. */
    request = pay(&key, NULL, "b");
    given = granted(request);
    struct message_outcome outcome = {
        .grant = given.grant, .outcome = OUTCOME_NOT_SENT, .error = UPSTREAM_CONNECT};
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    (void)expect(VAULT, MESSAGE_RELEASE);
    CHECK(denied(request, "upstream_unreachable") == 502);
    done(request, given.grant);
    CHECK(shows(&key, "1.00", "0.00", "9.00"));
    /* False facts about the answer count for nothing: the whole amount is posted or stays. */
    request = pay(&key, NULL, "c");
    given = granted(request);
    outcome = (struct message_outcome){.grant = given.grant,
                                       .outcome = OUTCOME_ANSWERED,
                                       .status = 200,
                                       .complete = true,
                                       .body_digest = digest_of(STR("true answer"))};
    static const char *const lie[] = {"/status", "canceled", NULL};
    struct digest other = digest_of(STR("another"));
    tell_facts(given.grant, true, given.answer_rule, lie, &other);
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    (void)expect(VAULT, MESSAGE_RELEASE);
    done(request, given.grant);
    call(CALL_KEY_GET, str_from(key.id.text), NULL, NULL);
    const struct message_reply *reply = expect(CONTROL, MESSAGE_REPLY);
    CHECK(strcmp(member(reply, "remaining_usd").text, "8.00") == 0);
    /* A vault that dies after SENT leaves an unknown outcome; before it, proof. */
    uint64_t sent_request = pay(&key, NULL, "d");
    given = granted(sent_request);
    uint64_t unsent_request = pay(&key, NULL, "e");
    (void)granted(unsent_request);
    struct message_sent sent = {.grant = given.grant};
    tell(VAULT, MESSAGE_SENT, &sent);
    (void)close(t.fds[VAULT]);
    t.fds[VAULT] = -1;
    bool unknown = false;
    bool unreachable = false;
    for (int i = 0; i < 2; i++) {
        const struct message_answer *answer = expect(GATE, MESSAGE_ANSWER);
        struct str body = answer->body;
        unknown =
            unknown || (answer->request == sent_request && str_has(body, STR("outcome_unknown")));
        unreachable = unreachable || (answer->request == unsent_request &&
                                      str_has(body, STR("upstream_unreachable")));
    }
    CHECK(unknown && unreachable);
    call(CALL_KEY_GET, str_from(key.id.text), NULL, NULL);
    reply = expect(CONTROL, MESSAGE_REPLY);
    CHECK(strcmp(member(reply, "remaining_usd").text, "7.00") == 0);
    end();
}

static void test_repeats(void)
{
    wipe_store();
    begin();
    struct issued key = issue(2);
    uint64_t request = pay(&key, "again", "body");
    struct given first = granted(request);
    CHECK(strncmp(first.key, "kb.", 3) == 0 && strstr(first.key, ".again") != NULL);
    uint64_t waiting = pay(&key, "again", "body");
    CHECK(silent(GATE) && silent(VAULT)); /* until the first has its answer */
    CHECK(denied(pay(&key, "again", "another body"), "idempotency_mismatch") == 422);
    succeed(request, &first);
    request = waiting;
    struct given second = granted(request);
    CHECK(strcmp(first.key, second.key) == 0);
    CHECK(shows(&key, "1.00", "0.00", "1.00")); /* nothing more is set aside */
    struct message_outcome outcome = {
        .grant = second.grant, .outcome = OUTCOME_ANSWERED, .status = 200, .complete = true};
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    done(request, second.grant);
    request = pay(&key, "other", "body");
    (void)granted(request);
    CHECK(denied(pay(&key, "third", "body"), "cap_exceeded") == 429);
    end();
}

/* A repeat is free only at the account that has seen the first. */
static void test_repeats_of_another_account(void)
{
    static const char *const steps[] = {"rotated", "the other mode", "removed and put again"};

    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t request = pay(&key, "again", "body");
    struct given given = granted(request);
    succeed(request, &given);
    for (size_t i = 0; i < 3; i++) {
        struct call_credential put = {.name = STR("stripe"),
                                      .vendor = STR("stripe"),
                                      .version = i < 2 ? 2 + i : 1,
                                      .sealed = STR("x"),
                                      .live_mode = i > 0,
                                      .account_mark = STR("{}"),
                                      .public_fields = STR("{}"),
                                      .new_account = i > 0};
        struct call_credential force = {.force = true};
        if (i == 2) {
            call(CALL_CREDENTIAL_REMOVE, STR("stripe"), &call_credential_schema, &force);
            CHECK(((const struct message_reply *)expect(CONTROL, MESSAGE_REPLY))->status == 200);
            (void)expect(VAULT, MESSAGE_FORGET_CREDENTIAL);
        }
        call(CALL_CREDENTIAL_PUT, STR("stripe"), &call_credential_schema, &put);
        const struct message_reply *reply = expect(CONTROL, MESSAGE_REPLY);
        CHECK_CASE(reply->status / 100 == 2, reply->detail.data);
        (void)expect(VAULT, MESSAGE_FORGET_CREDENTIAL);
        if (i == 2) { /* the key's own is gone */
            key = issue(10);
        }
        request = pay(&key, "again", "body");
        given = granted(request);
        CHECK_CASE(shows(&key, i == 2 ? "0.00" : "1.00", i == 0 ? "0.00" : "1.00",
                         i == 0 || i == 2 ? "9.00" : "8.00"),
                   steps[i]);
        struct message_outcome outcome = {
            .grant = given.grant, .outcome = OUTCOME_ANSWERED, .status = 402, .complete = true};
        tell(VAULT, MESSAGE_OUTCOME, &outcome);
        if (i > 0) {
            (void)expect(VAULT, MESSAGE_RELEASE);
        }
        done(request, given.grant);
    }
    end();
}

/* A vendor that takes no notice of the key does each request, so each is charged. */
static void test_repeats_not_honoured(void)
{
    wipe_store();
    begin();
    struct issued key = issue_priced(2, NANO_PER_USD);
    for (int i = 0; i < 2; i++) {
        uint64_t request = ask_keyed(&key, "DELETE", "/stripe/v1/customers/cus_1", false, "again");
        struct given given = granted(request);
        CHECK(shows(&key, i == 0 ? "0.00" : "1.00", "1.00", i == 0 ? "1.00" : "0.00"));
        struct message_outcome outcome = {
            .grant = given.grant, .outcome = OUTCOME_ANSWERED, .status = 200, .complete = true};
        tell(VAULT, MESSAGE_OUTCOME, &outcome);
        done(request, given.grant);
    }
    CHECK(denied(ask_keyed(&key, "DELETE", "/stripe/v1/customers/cus_1", false, "again"),
                 "cap_exceeded") == 429);
    end();
}

/* The first attempt broke without an answer, the second was refused: nobody knows of the first. */
static void test_refused_at_the_second_attempt(void)
{
    static const struct {
        uint32_t status;
        bool retried, replayed, voided;
    } rows[] = {{429, true, false, false},
                {402, true, false, false},
                {402, true, true, true},
                {429, false, false, true}};

    wipe_store();
    begin();
    struct issued key = issue(50);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t request = pay(&key, NULL, "a");
        struct given given = granted(request);
        struct message_outcome outcome = {.grant = given.grant,
                                          .outcome = OUTCOME_ANSWERED,
                                          .status = rows[i].status,
                                          .complete = true,
                                          .retried = rows[i].retried,
                                          .replayed = rows[i].replayed};
        tell(VAULT, MESSAGE_SENT, &(struct message_sent){.grant = given.grant});
        tell(VAULT, MESSAGE_OUTCOME, &outcome);
        (void)expect(VAULT, MESSAGE_RELEASE);
        done(request, given.grant);
        call(CALL_HOLD_LIST, STR("stale"), NULL, NULL);
        const struct message_reply *reply = expect(CONTROL, MESSAGE_REPLY);
        CHECK((strcmp(member(reply, "state").text, "unknown") == 0) != rows[i].voided);
        end();
        wipe_store();
        begin();
        key = issue(50);
    }
    end();
}

/* What is read as it stands may not be decoded by the vendor. */
static void test_coded_body(void)
{
    wipe_store();
    begin();
    struct issued key = issue(50);
    struct message_presented presented = {
        .form = FORM_BEARER, .name = STR("authorization"), .value = str_from(key.token.text)};
    struct message_header headers[] = {
        {STR("content-type"), STR("application/x-www-form-urlencoded")},
        {STR("content-encoding"), STR("deflate")}};
    struct message_admit admit = {.request = ++t.next_request,
                                  .method = STR("POST"),
                                  .path = STR("/stripe/v1/payment_intents"),
                                  .body = BODY_LENGTH,
                                  .content_length = 20,
                                  .presented = &presented,
                                  .presented_count = 1,
                                  .headers = headers,
                                  .header_count = 2};
    tell(GATE, MESSAGE_ADMIT, &admit);
    CHECK(denied(admit.request, "bad_request") == 400);
    admit.request = ++t.next_request;
    headers[1].value = STR("identity");
    tell(GATE, MESSAGE_ADMIT, &admit);
    (void)expect(GATE, MESSAGE_READ_BODY);
    end();
}

static void test_revoke(void)
{
    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t request = ask(&key, "GET", "/stripe/v1/balance", false);
    struct given given = granted(request);
    t.deaf = true;
    call(CALL_KEY_REVOKE, str_from(key.id.text), NULL, NULL);
    const struct message_cut *cut = expect(VAULT, MESSAGE_REVOKE);
    CHECK(cut->key_count == 1);
    struct message_cut_done done_with = {.cut = cut->cut};
    (void)expect(GATE, MESSAGE_CUT);
    /* The token is dead at once, also while the row is not written yet. */
    CHECK(denied(ask(&key, "GET", "/stripe/v1/balance", false), "revoked_key") == 401);
    CHECK(silent(CONTROL));
    tell(VAULT, MESSAGE_REVOKED, &done_with);
    CHECK(silent(CONTROL)); /* not durable */
    t.deaf = false;
    const struct message_reply *reply = expect(CONTROL, MESSAGE_REPLY);
    CHECK(reply->status == 200 && strcmp(member(reply, "status").text, "revoked") == 0);
    struct message_outcome outcome = {
        .grant = given.grant, .outcome = OUTCOME_UNKNOWN, .error = UPSTREAM_REVOKED};
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    CHECK(denied(request, "revoked_key") == 401);
    /* The gate did not confirm: nobody waited for it, and the parent is asked to kill it. */
    CHECK(world() == 'G');
    end();
    begin();
    key = issue(10);
    request = ask(&key, "GET", "/stripe/v1/balance", false);
    (void)granted(request);
    call(CALL_KEY_REVOKE, str_from(key.id.text), NULL, NULL);
    CHECK(world() == 'V'); /* a silent vault */
    (void)close(t.fds[VAULT]);
    t.fds[VAULT] = -1;
    reply = expect(CONTROL, MESSAGE_REPLY);
    CHECK(reply->status == 200);
    end();
}

/* An operator who is impatient gets no answer before the first one could have been given. */
static void test_revoke_again(void)
{
    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t request = ask(&key, "GET", "/stripe/v1/balance", false);
    struct given given = granted(request);
    call(CALL_KEY_REVOKE, str_from(key.id.text), NULL, NULL);
    const struct message_cut *cut = expect(VAULT, MESSAGE_REVOKE);
    struct message_cut_done done_with = {.cut = cut->cut};
    (void)expect(GATE, MESSAGE_CUT);
    tell(GATE, MESSAGE_CUT_DONE, &done_with);
    call(CALL_KEY_REVOKE, str_from(key.id.text), NULL, NULL);
    CHECK(silent(CONTROL));
    tell(VAULT, MESSAGE_REVOKED, &done_with);
    for (int i = 0; i < 2; i++) {
        const struct message_reply *reply = expect(CONTROL, MESSAGE_REPLY);
        CHECK(reply->status == 200 && strcmp(member(reply, "status").text, "revoked") == 0);
    }
    struct message_outcome outcome = {
        .grant = given.grant, .outcome = OUTCOME_UNKNOWN, .error = UPSTREAM_REVOKED};
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    CHECK(denied(request, "revoked_key") == 401);
    end();
}

/* ---- the vendor is asked first ---- */

static const char *const three_dollars[] = {"amount_to_capture", "300", NULL};

static uint64_t capture(const struct issued *key)
{
    struct digest digest = digest_of(STR("capture"));
    uint64_t request =
        ask_keyed(key, "POST", "/stripe/v1/payment_intents/pi_9/capture", true, NULL);
    const struct message_read_body *read = expect(GATE, MESSAGE_READ_BODY);

    tell_facts(request, false, read->rule, three_dollars, &digest);
    return request;
}

/* The vendor's word about the intent; `told` is what the reader says its digest is. */
static void answer_fetch(uint32_t status, struct str told)
{
    static const char *const intent[] = {
        "/amount_capturable", "300", "/amount_received", "0", "/currency", "usd", NULL};
    const struct message_grant *fetch = expect(VAULT, MESSAGE_FETCH);
    uint64_t number = fetch->grant;
    uint32_t rule = fetch->answer_rule;
    struct digest digest = digest_of(told);
    struct message_outcome outcome = {.grant = number,
                                      .outcome = OUTCOME_ANSWERED,
                                      .status = status,
                                      .complete = true,
                                      .body_digest = digest_of(STR("intent"))};

    CHECK(str_equal(fetch->method, STR("GET")) && fetch->body == BODY_NONE && !fetch->has_hold);
    CHECK(str_equal(fetch->path, STR("/v1/payment_intents/pi_9")) && fetch->key == 0);
    CHECK(fetch->header_count == 1 && str_equal(fetch->headers[0].name, STR("stripe-version")));
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    tell_facts(number, true, rule, intent, &digest);
}

static void test_asked_first(void)
{
    static const char *const captured[] = {
        "/status", "succeeded", "/amount_received", "300", "/id", "pi_9", "/currency", "usd", NULL};

    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t request = capture(&key);
    answer_fetch(403, STR("intent"));
    CHECK(denied(request, "cost_unknown") == 403);
    request = capture(&key);
    answer_fetch(200, STR("what the reader made of it"));
    CHECK(denied(request, "cost_unknown") == 403);
    CHECK(shows(&key, "0.00", "0.00", "10.00"));

    request = capture(&key);
    uint64_t next = capture(&key); /* the same object: it waits */
    answer_fetch(200, STR("intent"));
    struct given given = granted(request);
    CHECK(shows(&key, "0.00", "3.00", "7.00"));
    CHECK(silent(GATE));
    struct digest digest = digest_of(STR("answer"));
    struct message_outcome outcome = {.grant = given.grant,
                                      .outcome = OUTCOME_ANSWERED,
                                      .status = 200,
                                      .complete = true,
                                      .body_digest = digest};
    tell(VAULT, MESSAGE_SENT, &(struct message_sent){.grant = given.grant});
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    tell_facts(given.grant, true, given.answer_rule, captured, &digest);
    /* The one that waited asks anew, since nothing is held for it any more. */
    answer_fetch(404, STR("intent"));
    CHECK(denied(next, "cost_unknown") == 403);
    CHECK(shows(&key, "3.00", "0.00", "7.00"));
    end();
}

static void test_restart(void)
{
    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t request = pay(&key, "k1", "a");
    struct given given = granted(request);
    succeed(request, &given);
    request = pay(&key, "k2", "b"); /* under way when the judge dies */
    (void)granted(request);
    struct issued gone = issue(10);
    call(CALL_KEY_REVOKE, str_from(gone.id.text), NULL, NULL);
    (void)expect(CONTROL, MESSAGE_REPLY);
    end();
    begin();
    CHECK(shows(&key, "1.00", "1.00", "8.00"));
    CHECK(denied(ask(&gone, "GET", "/stripe/v1/balance", false), "revoked_key") == 401);
    call(CALL_HOLD_LIST, STR("stale"), NULL, NULL);
    const struct message_reply *reply = expect(CONTROL, MESSAGE_REPLY);
    CHECK(strcmp(member(reply, "state").text, "unknown") == 0);
    /* The client asks again: under the hold that is there, and the answer settles it. */
    request = pay(&key, "k2", "b");
    given = granted(request);
    CHECK(shows(&key, "1.00", "1.00", "8.00"));
    succeed(request, &given);
    CHECK(shows(&key, "2.00", "0.00", "8.00"));
    CHECK(denied(pay(&key, "k1", "c"), "idempotency_mismatch") == 422);
    end();
}

/* A full disk refuses what needs it, loses no row, and lets reads go on. */
static void test_full_disk(void)
{
    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t running = pay(&key, NULL, "a");
    struct given given = granted(running);
    t.full = true;
    CHECK(denied(pay(&key, "b", "b"), "ledger_unavailable") == 503);
    CHECK(denied(pay(&key, "c", "c"), "ledger_unavailable") == 503);
    uint64_t read = ask(&key, "GET", "/stripe/v1/balance", false);
    struct given read_given = granted(read);
    struct message_outcome outcome = {
        .grant = read_given.grant, .outcome = OUTCOME_ANSWERED, .status = 200, .complete = true};
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    done(read, read_given.grant);
    CHECK(shows(&key, "0.00", "1.00", "9.00"));
    /* The answer of the one under way waits until its settlement is written. */
    outcome = (struct message_outcome){
        .grant = given.grant, .outcome = OUTCOME_ANSWERED, .status = 402, .complete = true};
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    CHECK(silent(VAULT));
    t.full = false;
    (void)expect(VAULT, MESSAGE_RELEASE);
    done(running, given.grant);
    CHECK(shows(&key, "0.00", "0.00", "10.00"));
    uint64_t again = pay(&key, "b", "b");
    (void)granted(again);
    end();
    begin(); /* checks that no audit row is missing */
    CHECK(shows(&key, "0.00", "1.00", "9.00"));
    end();
}

/* Refusals of one key have rows up to a number, and a few more with each second. */
static void test_refusals_without_end(void)
{
    size_t rows = 0;

    wipe_store();
    begin();
    struct issued key = issue(10);
    int64_t began_ms = clock_wall_ms();
    for (int i = 0; i < 10300; i++) {
        CHECK(denied(ask(&key, "GET", "/stripe/v1/payouts", false), "endpoint_not_allowed") == 403);
    }
    int64_t seconds = (clock_wall_ms() - began_ms) / 1000;
    end();
    for (size_t i = 0; i < t.row_count; i++) {
        rows += t.rows[i].type == MESSAGE_ROW_AUDIT;
    }
    CHECK(rows >= 10000 && rows <= (size_t)(10000 + 100 * (seconds + 2) + 10));
}

/* Whoever waits for an answer waits so long at most; the money is counted when there is room. */
static void test_full_for_long(void)
{
    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t running = pay(&key, "k", "a");
    struct given given = granted(running);
    tell(VAULT, MESSAGE_SENT, &(struct message_sent){.grant = given.grant});
    t.full = true;
    tell(VAULT, MESSAGE_OUTCOME,
         &(struct message_outcome){
             .grant = given.grant, .outcome = OUTCOME_ANSWERED, .status = 402, .complete = true});
    CHECK(!wait_for(t.fds[GATE], LIMIT_SETTLE_WAIT_MS - 1000)); /* not at once */
    CHECK(denied(running, "outcome_unknown") == 502);
    done(running, given.grant);
    CHECK(silent(VAULT) && silent(GATE)); /* and once */
    t.full = false;
    (void)expect(VAULT, MESSAGE_RELEASE);
    CHECK(shows(&key, "0.00", "0.00", "10.00"));
    CHECK(silent(GATE));
    end();
}

/* ---- tunnels ---- */

static uint64_t open_tunnel(const struct issued *key, const char *host, uint32_t port)
{
    struct message_presented presented = {.form = FORM_BASIC_PASS,
                                          .name = STR("proxy-authorization"),
                                          .value = str_from(key == NULL ? "" : key->token.text)};
    struct message_tunnel ask = {.request = ++t.next_request,
                                 .door = DOOR_CONNECT,
                                 .source = STR("192.0.2.1"),
                                 .host = str_from(host),
                                 .port = port,
                                 .presented = &presented,
                                 .presented_count = key == NULL ? 0 : 1};

    tell(GATE, MESSAGE_TUNNEL, &ask);
    return ask.request;
}

static void test_tunnels(void)
{
    static const struct {
        const char *host;
        uint32_t port;
        bool opens;
    } cases[] = {
        {"api.stripe.com", 443, true},   {"api.stripe.com", 80, true},
        {"files.stripe.com", 443, true}, {"connect.stripe.com", 443, true},
        {"api.github.com", 443, true},   {"api.stripe.com", 22, false},
        {"stripe.com", 443, false},      {"api.stripe.com.evil.example", 443, false},
        {"evil.example", 443, false},    {"127.0.0.1", 443, false},
        {"169.254.169.254", 80, false},  {"::1", 443, false},
    };

    wipe_store();
    begin();
    struct issued key = issue(10);
    struct issued stranger = {0};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t request = open_tunnel(&key, cases[i].host, cases[i].port);
        if (!cases[i].opens) {
            CHECK_CASE(denied(request, "endpoint_not_allowed") == 403, cases[i].host);
            continue;
        }
        const struct message_tunnelled *yes = expect(GATE, MESSAGE_TUNNELLED);
        CHECK_CASE(yes->request == request && !yes->splice && yes->key != 0, cases[i].host);
        tell(GATE, MESSAGE_TUNNEL_DONE, &(struct message_tunnel_done){.request = request});
    }
    CHECK(denied(open_tunnel(NULL, "api.stripe.com", 443), "missing_key") == 407);
    memcpy(stranger.token.text, "nobody", 7);
    CHECK(denied(open_tunnel(&stranger, "api.stripe.com", 443), "unknown_key") == 407);
    end();
}

/* What a dialer was asked for dies with it, and every gate is told so. */
static void test_lost_dials(void)
{
    struct str entries[] = {STR("/v1/balance")};
    struct str hosts[] = {STR("example.org")};

    wipe_store();
    begin();
    struct issued key = issue_by((struct policy){.vendor = STR("stripe"),
                                                 .entries = entries,
                                                 .entry_count = 1,
                                                 .hosts = hosts,
                                                 .host_count = 1,
                                                 .daily_cap = NANO_PER_USD,
                                                 .flat_price = MONEY_NONE});
    uint64_t last = 0;
    for (int i = 0; i < 2; i++) {
        (void)open_tunnel(&key, "example.org", 443);
        const struct message_dial *dial = expect(DIALER, MESSAGE_DIAL);
        CHECK(dial->dial > last && str_equal(dial->host, STR("example.org")));
        last = dial->dial;
        const struct message_tunnelled *yes = expect(GATE, MESSAGE_TUNNELLED);
        CHECK(yes->splice && yes->dial == last);
    }
    (void)close(t.fds[DIALER]);
    t.fds[DIALER] = -1;
    const struct message_dials_lost *lost = expect(GATE, MESSAGE_DIALS_LOST);
    CHECK(lost->dial == last);
    CHECK(denied(open_tunnel(&key, "example.org", 443), "upstream_unreachable") == 502);
    end();
}

/* The gate gives its key; the host is the judge's own word. */
static void test_leaves(void)
{
    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t request = open_tunnel(&key, "api.stripe.com", 443);
    (void)expect(GATE, MESSAGE_TUNNELLED);
    tell(GATE, MESSAGE_LEAF_GET,
         &(struct message_leaf_get){.request = request, .public_key = STR("key")});
    const struct message_leaf_sign *sign = expect(VAULT, MESSAGE_LEAF_SIGN);
    CHECK(sign->request == request && str_equal(sign->host, STR("api.stripe.com")) &&
          str_equal(sign->public_key, STR("key")));
    struct message_leaf leaf = {
        .request = request, .host = STR("evil.example"), .certificate = STR("c")};
    tell(VAULT, MESSAGE_LEAF_SIGNED, &leaf); /* of another host: it is not passed on */
    CHECK(silent(GATE));
    leaf.host = STR("api.stripe.com");
    tell(VAULT, MESSAGE_LEAF_SIGNED, &leaf);
    const struct message_leaf *told = expect(GATE, MESSAGE_LEAF);
    CHECK(told->request == request && str_equal(told->certificate, STR("c")));
    end();
}

static void test_impostor_tunnels(void)
{
    struct issued key;
    uint64_t request;

    wipe_store();
    begin();
    key = issue(10);
    tell(GATE, MESSAGE_LEAF_GET, &(struct message_leaf_get){.request = 77, .public_key = STR("k")});
    CHECK(world() == 'f');
    end();
    begin();
    key = issue(10);
    request = open_tunnel(&key, "api.stripe.com", 443);
    (void)expect(GATE, MESSAGE_TUNNELLED);
    tell(GATE, MESSAGE_TUNNEL_DONE, &(struct message_tunnel_done){.request = request});
    tell(GATE, MESSAGE_TUNNEL_DONE, &(struct message_tunnel_done){.request = request});
    CHECK(world() == 'f');
    end();
    begin();
    key = issue(10);
    (void)open_tunnel(&key, "api.stripe.com", 443);
    (void)expect(GATE, MESSAGE_TUNNELLED);
    t.next_request--;
    (void)open_tunnel(&key, "files.stripe.com", 443); /* the same number again */
    CHECK(world() == 'f');
    end();
    begin();
    key = issue(10);
    (void)open_tunnel(&key, "", 443);
    CHECK(world() == 'f');
    end();
    /* One that its client left before our word was read is over by DONE. */
    begin();
    key = issue(10);
    request = open_tunnel(&key, "api.stripe.com", 443);
    (void)expect(GATE, MESSAGE_TUNNELLED);
    done(request, 0);
    tell(GATE, MESSAGE_LEAF_GET,
         &(struct message_leaf_get){.request = request, .public_key = STR("k")});
    CHECK(world() == 'f');
    end();
}

static void test_impostor_gate(void)
{
    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t request = ask(&key, "GET", "/stripe/v1/balance", false);
    struct given given = granted(request);
    t.next_request--;
    (void)ask(&key, "GET", "/stripe/v1/balance", false); /* the same number again */
    CHECK(world() == 'f');
    end();
    begin();
    key = issue(10);
    request = ask(&key, "GET", "/stripe/v1/balance", false);
    given = granted(request);
    done(request, given.grant + 1);
    CHECK(world() == 'f');
    end();
    begin();
    key = issue(10);
    request = pay(&key, NULL, "a");
    given = granted(request);
    struct message_outcome outcome = {.grant = given.grant + 5, .outcome = OUTCOME_NOT_SENT};
    tell(VAULT, MESSAGE_OUTCOME, &outcome); /* a vault may speak of its own grants only */
    CHECK(world() == 'f');
    CHECK(shows(&key, "0.00", "1.00", "9.00"));
    end();
    begin();
    key = issue(10);
    uint64_t mine = ask(&key, "POST", "/stripe/v1/payment_intents", true);
    const struct message_read_body *read = expect(GATE, MESSAGE_READ_BODY);
    struct digest digest = digest_of(STR("x"));
    uint32_t rule = read->rule;
    tell_facts(mine + 1000, false, rule, one_dollar, &digest); /* of no request: ignored */
    CHECK(silent(GATE));
    tell_facts(mine, false, 0, one_dollar, &digest); /* read by another rule */
    CHECK(denied(mine, "denied") == 403);
    end();
}

/* A peer that broke the protocol is buried as any other, when it goes. */
static void test_faulted_vault(void)
{
    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t request = pay(&key, NULL, "a");
    (void)granted(request);
    CHECK(send(t.fds[VAULT], "\1\0\0\0\377\377\0\0\0", 9, MSG_NOSIGNAL) == 9);
    CHECK(world() == 'f');
    call(CALL_KEY_REVOKE, str_from(key.id.text), NULL, NULL);
    (void)close(t.fds[VAULT]);
    t.fds[VAULT] = -1;
    const struct message_reply *reply = expect(CONTROL, MESSAGE_REPLY);
    CHECK(reply->status == 200);
    /* It may have said SENT, which nobody read: no proof. */
    CHECK(shows(&key, "0.00", "1.00", "9.00"));
    end();
}

static bool system_is_synchronised(void)
{
    struct timex asked = {.modes = 0};

    return adjtimex(&asked) != TIME_ERROR && (asked.status & STA_UNSYNC) == 0;
}

/* A clock that jumped ahead would refill every cap: no money moves until somebody vouches for it.
 */
static void test_clock(void)
{
    if (system_is_synchronised()) {
        (void)printf("skipped: this system vouches for its time by itself\n");
        return;
    }
    wipe_store();
    t.jump_ms = 6 * 60 * 1000;
    begin();
    struct issued key = issue(10);
    CHECK(denied(pay(&key, NULL, "a"), "clock_suspect") == 503);
    CHECK(shows(&key, "0.00", "0.00", "10.00"));
    uint64_t read = ask(&key, "GET", "/stripe/v1/balance", false);
    struct given given = granted(read); /* what costs nothing goes on */
    done(read, given.grant);
    call(CALL_CLOCK_VOUCH, STR_NONE, NULL, NULL);
    const struct message_reply *reply = expect(CONTROL, MESSAGE_REPLY);
    CHECK(reply->status == 200 && str_has(reply->json, STR("\"was_suspect\":true")));
    uint64_t request = pay(&key, NULL, "b");
    given = granted(request);
    succeed(request, &given);
    CHECK(shows(&key, "1.00", "0.00", "9.00"));
    end();
    /* Less than five minutes is no jump. */
    wipe_store();
    t.jump_ms = 4 * 60 * 1000;
    begin();
    key = issue(10);
    request = pay(&key, NULL, "a");
    given = granted(request);
    succeed(request, &given);
    end();
    t.jump_ms = 0;
}

/* One dollar's worth of cents in another currency, with rates so many days old. */
static void pay_in_euros(const struct issued *key, const char *denial)
{
    static const char *const euros[] = {"amount", "100", "currency", "eur", NULL};
    struct digest digest = digest_of(STR("eur"));
    uint64_t request = ask_keyed(key, "POST", "/stripe/v1/payment_intents", true, NULL);
    const struct message_read_body *read = expect(GATE, MESSAGE_READ_BODY);

    tell_facts(request, false, read->rule, euros, &digest);
    if (denial != NULL) {
        CHECK(denied(request, denial) == 403);
    } else {
        struct given given = granted(request);
        succeed(request, &given);
    }
}

static void test_old_rates(void)
{
    static const struct {
        int64_t days;
        const char *denial;
    } cases[] = {{0, NULL}, {30, NULL}, {31, "fx_stale"}, {4000, "fx_stale"}};
    int64_t before = t.config->fx_as_of_ms;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        t.config->fx_as_of_ms = clock_wall_ms() - cases[i].days * 86400000;
        wipe_store();
        begin();
        struct issued key = issue(10);
        pay_in_euros(&key, cases[i].denial);
        uint64_t request = pay(&key, NULL, "usd"); /* dollars need no rate */
        struct given given = granted(request);
        succeed(request, &given);
        end();
    }
    t.config->fx_as_of_ms = before;
}

int main(void)
{
    struct arena *arena = arena_new();
    struct config config = {.generation = 7,
                            .ttl_default_ms = LIMIT_TTL_DEFAULT_MS,
                            .ttl_max_ms = LIMIT_TTL_MAX_MS,
                            .self_revoke = true};
    struct err err = {""};

    digest_setup();
    CHECK_CASE(load_builtin_packs(&config, arena, &err) == 0 &&
                   config_finish(&config, arena, &err) == 0,
               err.text);
    t.config = &config;
    t.arena = arena_new();
    buf_init(&t.in, LIMIT_FRAME_BYTES + 64);
    test_reads_and_refusals();
    test_other_hosts();
    test_other_accounts();
    test_accounts_and_customers();
    test_race_to_the_cent();
    test_money();
    test_clock();
    test_old_rates();
    test_repeats();
    test_asked_first();
    test_repeats_of_another_account();
    test_repeats_not_honoured();
    test_refused_at_the_second_attempt();
    test_coded_body();
    test_revoke();
    test_revoke_again();
    test_restart();
    test_full_disk();
    test_full_for_long();
    test_refusals_without_end();
    test_impostor_gate();
    test_tunnels();
    test_lost_dials();
    test_leaves();
    test_impostor_tunnels();
    test_faulted_vault();
    wipe_store();
    while (t.row_count > 0) {
        free(t.rows[--t.row_count].bytes);
    }
    buf_clear(&t.in);
    arena_free(t.arena);
    arena_free(arena);
    return test_done();
}
