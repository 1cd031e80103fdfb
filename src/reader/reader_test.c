/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real process, confined, with the test as its parent, gate, vault and judge.
 */
#include "reader/reader.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/test.h"
#include "ipc/channel.h"
#include "pack/pack.h"

enum { WAIT_MS = 10000, FACTS_KEPT = 32, RULE = 1 };

struct told {
    uint64_t request;
    bool answer;
    uint32_t rule;
    enum facts_state state;
    enum fact_kind kind;
    int64_t number;
    uint64_t length;
    struct digest digest;
};

struct bench {
    struct loop *loop;
    struct loop_timer timer;
    pid_t pid;
    struct channel *parent, *gate, *vault, *judge;
    struct told told[FACTS_KEPT];
    size_t told_count;
    size_t ready, pongs, drained;
    enum process_role accused;
    bool gate_ended, late;
    bool (*done)(const struct bench *bench);
};

/* ---- waiting ---- */

static void look(struct bench *bench)
{
    if (bench->done != NULL && bench->done(bench)) {
        bench->done = NULL;
        loop_stop(bench->loop, 0);
    }
}

static void on_late(void *ctx)
{
    struct bench *bench = ctx;

    bench->late = true;
    loop_stop(bench->loop, 0);
}

static void wait_until(struct bench *bench, bool (*done)(const struct bench *bench))
{
    if (done(bench)) {
        return;
    }
    bench->done = done;
    loop_timer_set(bench->loop, &bench->timer, WAIT_MS, on_late, bench);
    (void)loop_run(bench->loop);
    loop_timer_stop(bench->loop, &bench->timer);
    CHECK(!bench->late);
}

static bool is_ready(const struct bench *bench)
{
    return bench->ready > 0;
}

static bool has_pong(const struct bench *bench)
{
    return bench->pongs > 0;
}

static bool is_drained(const struct bench *bench)
{
    return bench->drained > 0;
}

static bool one_told(const struct bench *bench)
{
    return bench->told_count >= 1;
}

static bool two_told(const struct bench *bench)
{
    return bench->told_count >= 2;
}

static bool is_accused(const struct bench *bench)
{
    return bench->accused != ROLE_NONE;
}

static bool gate_is_cut(const struct bench *bench)
{
    return bench->gate_ended;
}

/* ---- what the reader says ---- */

static void on_ready(void *ctx, struct channel *from, const void *message, int fd)
{
    struct bench *bench = ctx;

    (void)from;
    (void)message;
    (void)fd;
    bench->ready++;
    look(bench);
}

static void on_pong(void *ctx, struct channel *from, const void *message, int fd)
{
    struct bench *bench = ctx;

    (void)from;
    (void)message;
    (void)fd;
    bench->pongs++;
    look(bench);
}

static void on_drained(void *ctx, struct channel *from, const void *message, int fd)
{
    struct bench *bench = ctx;

    (void)from;
    (void)message;
    (void)fd;
    bench->drained++;
    look(bench);
}

static void on_fault(void *ctx, struct channel *from, const void *message, int fd)
{
    const struct message_fault *fault = message;
    struct bench *bench = ctx;

    (void)from;
    (void)fd;
    bench->accused = fault->peer;
    look(bench);
}

static void on_facts(void *ctx, struct channel *from, const void *message, int fd)
{
    const struct message_facts *facts = message;
    struct bench *bench = ctx;
    struct told *told = &bench->told[bench->told_count % FACTS_KEPT];

    (void)from;
    (void)fd;
    *told = (struct told){.request = facts->request,
                          .answer = facts->answer,
                          .rule = facts->rule,
                          .state = facts->state,
                          .length = facts->length,
                          .digest = facts->digest};
    if (facts->fact_count > 0) {
        told->kind = facts->facts[0].kind;
        told->number = facts->facts[0].number;
    }
    bench->told_count++;
    look(bench);
}

static void on_wrong(void *ctx, struct channel *channel, const char *why)
{
    (void)ctx;
    (void)channel;
    CHECK_CASE(false, why);
}

static void on_closed(void *ctx, struct channel *channel)
{
    struct bench *bench = ctx;

    if (channel == bench->gate) {
        bench->gate_ended = true;
        look(bench);
    }
}

static const struct channel_accept parent_accepts[] = {{MESSAGE_READY, 0, on_ready},
                                                       {MESSAGE_PONG, 0, on_pong},
                                                       {MESSAGE_DRAINED, 0, on_drained},
                                                       {MESSAGE_FAULT, 0, on_fault}};
static const struct channel_accept judge_accepts[] = {{MESSAGE_FACTS, 0, on_facts}};

static struct channel *channel_of(struct bench *bench, int fd, const struct channel_accept *accepts,
                                  size_t count)
{
    struct channel_events events = {
        .accepts = accepts, .accept_count = count, .fault = on_wrong, .closed = on_closed};
    struct channel_limits limits = {.queue_max = 8 * 1024 * 1024};

    return channel_new(bench->loop, fd, &events, &limits, bench);
}

/* ---- the house around it ---- */

static void make_pair(int pair[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        abort();
    }
}

static void start(struct bench *bench)
{
    static char role[] = "keybrake-reader", index[] = "0", incarnation[] = "1", dir[] = "/nowhere",
                user[] = "";
    static char *argv[] = {role, index, incarnation, dir, user, NULL};
    int pair[2];
    struct err err;

    *bench = (struct bench){.loop = loop_new(&err)};
    make_pair(pair);
    bench->pid = fork();
    if (bench->pid == 0) {
        (void)dup2(pair[1], 3);
        if (pair[0] != 3) {
            (void)close(pair[0]);
        }
        _exit(reader_main(5, argv));
    }
    (void)close(pair[1]);
    bench->parent = channel_of(bench, pair[0], parent_accepts, 4);
}

static void give_channel(struct bench *bench, enum process_role role, uint64_t incarnation,
                         struct channel **ret)
{
    struct message_channel message = {.peer = role, .incarnation = incarnation};
    int pair[2];

    make_pair(pair);
    CHECK(channel_send_fd(bench->parent, MESSAGE_CHANNEL, &message, pair[1]));
    (void)close(pair[1]);
    *ret = role == ROLE_JUDGE ? channel_of(bench, pair[0], judge_accepts, 1)
                              : channel_of(bench, pair[0], NULL, 0);
}

static void give_config(struct bench *bench, uint64_t generation)
{
    struct pack_selector selectors[] = {{SELECT_FORM, STR("amount")}};
    struct pack_read reads[] = {
        {.encoding = ENCODING_ANY},
        {.encoding = ENCODING_FORM, .selectors = selectors, .selector_count = 1}};
    struct config config = {.reads = reads, .read_count = 2};
    struct message_config message = {.generation = generation};
    struct buf bytes;
    int fd = memfd_create("config", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    buf_init(&bytes, 65536);
    CHECK(wire_encode(&config_schema, &config, &bytes));
    struct str all = buf_str(&bytes);
    CHECK(write(fd, all.data, all.len) == (ssize_t)all.len);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
    CHECK(channel_send_fd(bench->parent, MESSAGE_CONFIG, &message, fd));
    (void)close(fd);
    buf_clear(&bytes);
}

static void set_up(struct bench *bench)
{
    start(bench);
    give_config(bench, 1);
    give_channel(bench, ROLE_JUDGE, 1, &bench->judge);
    give_channel(bench, ROLE_GATE, 1, &bench->gate);
    give_channel(bench, ROLE_VAULT, 1, &bench->vault);
    (void)channel_send(bench->parent, MESSAGE_START, &(struct message_empty){0});
    wait_until(bench, is_ready);
}

/* It ends by itself when its parent is gone, and was not killed for a call. */
static void tear_down(struct bench *bench)
{
    int status = -1;

    channel_free(bench->parent);
    CHECK(waitpid(bench->pid, &status, 0) == bench->pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
    channel_free(bench->judge);
    channel_free(bench->gate);
    channel_free(bench->vault);
    loop_free(bench->loop);
}

/* ---- bodies ---- */

static void begin(struct channel *channel, uint64_t request, bool answer, uint64_t generation,
                  uint32_t rule)
{
    struct message_body message = {
        .request = request, .answer = answer, .generation = generation, .rule = rule};
    CHECK(channel_send(channel, MESSAGE_BODY, &message));
}

static void data(struct channel *channel, uint64_t request, struct str bytes)
{
    struct message_body_data message = {.request = request, .bytes = bytes};
    CHECK(channel_send(channel, MESSAGE_BODY_DATA, &message));
}

static void end(struct channel *channel, uint64_t request, bool complete)
{
    struct message_body_end message = {.request = request, .complete = complete};
    CHECK(channel_send(channel, MESSAGE_BODY_END, &message));
}

static void whole(struct channel *channel, uint64_t request, bool answer, const char *bytes)
{
    begin(channel, request, answer, 1, RULE);
    data(channel, request, str_from(bytes));
    end(channel, request, true);
}

static bool digest_is(const struct told *told, const char *bytes)
{
    struct digest digest = digest_of(str_from(bytes));
    return digest_equal(&told->digest, &digest) && told->length == strlen(bytes);
}

static void test_reads(void)
{
    struct bench bench;

    set_up(&bench);
    whole(bench.gate, 7, false, "amount=50");
    wait_until(&bench, one_told);
    CHECK(bench.told[0].request == 7 && !bench.told[0].answer && bench.told[0].rule == RULE);
    CHECK(bench.told[0].state == FACTS_OK && bench.told[0].number == 50);
    CHECK(digest_is(&bench.told[0], "amount=50"));
    whole(bench.vault, 9, true, "amount=5e1");
    wait_until(&bench, two_told);
    CHECK(bench.told[1].request == 9 && bench.told[1].answer);
    CHECK(bench.told[1].kind == FACT_TEXT && digest_is(&bench.told[1], "amount=5e1"));
    tear_down(&bench);
}

/* Bodies of one peer in pieces, mixed; one of them is abandoned. */
static void test_mixed(void)
{
    struct bench bench;

    set_up(&bench);
    begin(bench.gate, 1, false, 1, RULE);
    begin(bench.gate, 2, false, 1, RULE);
    data(bench.gate, 1, STR("amo"));
    data(bench.gate, 2, STR("amount=2"));
    data(bench.gate, 1, STR("unt=1"));
    end(bench.gate, 2, false);
    end(bench.gate, 1, true);
    wait_until(&bench, two_told);
    CHECK(bench.told[0].request == 2 && bench.told[0].state == FACTS_UNREADABLE);
    CHECK(bench.told[1].request == 1 && bench.told[1].number == 1);
    tear_down(&bench);
}

static void test_too_large(void)
{
    static char bytes[LIMIT_JUDGED_BODY_BYTES];
    struct bench bench;

    set_up(&bench);
    memset(bytes, 'x', sizeof(bytes));
    begin(bench.gate, 1, false, 1, RULE);
    data(bench.gate, 1, str_of(bytes, sizeof(bytes)));
    data(bench.gate, 1, STR("y"));
    end(bench.gate, 1, true);
    wait_until(&bench, one_told);
    CHECK(bench.told[0].state == FACTS_TOO_LARGE && bench.told[0].length == sizeof(bytes) + 1);
    tear_down(&bench);
}

/* A rule of a configuration that is still on its way waits for it; one that is no rule is told. */
static void test_generations(void)
{
    struct bench bench;

    set_up(&bench);
    begin(bench.gate, 1, false, 2, RULE);
    data(bench.gate, 1, STR("amount=50"));
    end(bench.gate, 1, true);
    begin(bench.gate, 2, false, 1, 99);
    end(bench.gate, 2, true);
    wait_until(&bench, one_told);
    CHECK(bench.told[0].request == 2 && bench.told[0].state == FACTS_UNREADABLE);
    give_config(&bench, 2);
    wait_until(&bench, two_told);
    CHECK(bench.told[1].request == 1 && bench.told[1].number == 50);
    tear_down(&bench);
}

static void misbehave(void (*wrong)(struct bench *bench), enum process_role accused)
{
    struct bench bench;

    set_up(&bench);
    wrong(&bench);
    wait_until(&bench, is_accused);
    CHECK(bench.accused == accused);
    if (accused == ROLE_GATE) {
        wait_until(&bench, gate_is_cut);
        whole(bench.vault, 3, true, "amount=3"); /* the others are served on */
        wait_until(&bench, one_told);
        CHECK(bench.told[0].request == 3);
    }
    tear_down(&bench);
}

static void data_of_nothing(struct bench *bench)
{
    data(bench->gate, 1, STR("x"));
}

static void end_of_nothing(struct bench *bench)
{
    end(bench->gate, 1, true);
}

static void begin_twice(struct bench *bench)
{
    begin(bench->gate, 1, false, 1, RULE);
    begin(bench->gate, 1, false, 1, RULE);
}

static void answer_by_a_gate(struct bench *bench)
{
    begin(bench->gate, 1, true, 1, RULE);
}

static void request_by_a_vault(struct bench *bench)
{
    begin(bench->vault, 1, false, 1, RULE);
}

static void facts_by_a_gate(struct bench *bench)
{
    struct message_facts facts = {.request = 1};
    CHECK(channel_send(bench->gate, MESSAGE_FACTS, &facts));
}

static void too_many(struct bench *bench)
{
    for (uint64_t i = 0; i <= LIMIT_OPEN_ADMISSIONS_A_GATE; i++) {
        begin(bench->gate, i, false, 1, RULE);
    }
}

static void test_misbehaviour(void)
{
    misbehave(data_of_nothing, ROLE_GATE);
    misbehave(end_of_nothing, ROLE_GATE);
    misbehave(begin_twice, ROLE_GATE);
    misbehave(answer_by_a_gate, ROLE_GATE);
    misbehave(facts_by_a_gate, ROLE_GATE);
    misbehave(too_many, ROLE_GATE);
    misbehave(request_by_a_vault, ROLE_VAULT);
}

/* The next gate counts anew: of a dead one nothing may be told any more. */
static void test_dead_gate(void)
{
    struct message_gone gone = {.peer = ROLE_GATE, .incarnation = 1};
    struct bench bench;

    set_up(&bench);
    begin(bench.gate, 1, false, 2, RULE); /* it waits for a configuration */
    data(bench.gate, 1, STR("amount=666"));
    end(bench.gate, 1, true);
    CHECK(channel_flush(bench.gate));
    CHECK(channel_send(bench.parent, MESSAGE_GONE, &gone));
    wait_until(&bench, gate_is_cut);
    channel_free(bench.gate);
    give_channel(&bench, ROLE_GATE, 2, &bench.gate);
    begin(bench.gate, 1, false, 2, RULE);
    data(bench.gate, 1, STR("amount=50"));
    end(bench.gate, 1, true);
    give_config(&bench, 2);
    wait_until(&bench, one_told);
    CHECK(bench.told[0].request == 1 && bench.told[0].number == 50);
    tear_down(&bench);
}

/* A vault that is gone had sent one answer whole: it counts. */
static void test_dead_vault(void)
{
    struct message_gone gone = {.peer = ROLE_VAULT, .incarnation = 1};
    struct bench bench;

    set_up(&bench);
    CHECK(channel_send(bench.parent, MESSAGE_GONE, &gone));
    whole(bench.vault, 5, true, "amount=5");
    begin(bench.vault, 6, true, 1, RULE);
    CHECK(channel_flush(bench.vault));
    channel_free(bench.vault);
    bench.vault = NULL;
    wait_until(&bench, one_told);
    CHECK(bench.told[0].request == 5 && bench.told[0].number == 5);
    whole(bench.gate, 7, false, "amount=7");
    wait_until(&bench, two_told);
    CHECK(bench.told[1].request == 7 && bench.told_count == 2);
    tear_down(&bench);
}

static void test_parent(void)
{
    struct message_ping ping = {.number = 1};
    struct bench bench;

    set_up(&bench);
    CHECK(channel_send(bench.parent, MESSAGE_PING, &ping));
    wait_until(&bench, has_pong);
    CHECK(channel_send(bench.parent, MESSAGE_DRAIN, &(struct message_empty){0}));
    wait_until(&bench, is_drained);
    tear_down(&bench);
}

int main(void)
{
    test_parent();
    test_reads();
    test_mixed();
    test_too_large();
    test_generations();
    test_misbehaviour();
    test_dead_gate();
    test_dead_vault();
    return test_done();
}
