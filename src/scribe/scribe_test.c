/* SPDX-License-Identifier: Apache-2.0 */
/* The whole process, confined as in production; this program plays the parent, judge and vault. */
#include "scribe/scribe.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/test.h"
#include "ipc/channel.h"
#include "ipc/child.h"
#include "store/store.h"

enum { KEYS = 3000, QUEUE_MAX = 32 * 1024 * 1024, GIVE_UP_MS = 5000 };

/* What a parent, a judge and a vault see. */
struct house {
    char *dir;
    pid_t pid;
    struct loop *loop;
    struct channel *parent, *judge, *vault;
    struct loop_timer give_up;
    bool ready, drained, faulted, judge_closed;
    unsigned loaded_rows, keys;
    bool loaded;
    struct message_loaded end;
    uint64_t committed, refused;
    bool blob_came, blob_found;
    char blob[64];
    bool (*done)(const struct house *house);
};

static void stop_if_done(struct house *house)
{
    if (house->done(house)) {
        loop_stop(house->loop, 0);
    }
}

#define HANDLER(name, body)                                                                        \
    static void name(void *ctx, struct channel *from, const void *message, int fd)                 \
    {                                                                                              \
        struct house *house = ctx;                                                                 \
        (void)from;                                                                                \
        (void)fd;                                                                                  \
        (void)message;                                                                             \
        body;                                                                                      \
        stop_if_done(house);                                                                       \
    }
HANDLER(on_ready, house->ready = true)
HANDLER(on_drained, house->drained = true)
HANDLER(on_fault_said, house->faulted = true)
HANDLER(on_row, house->loaded_rows++)
HANDLER(on_key, house->keys++)
HANDLER(on_loaded, (house->loaded = true, house->end = *(const struct message_loaded *)message))
HANDLER(on_committed, house->committed = ((const struct message_committed *)message)->batch)
HANDLER(on_refused, house->refused = ((const struct message_store_refused *)message)->batch)

static void on_blob(void *ctx, struct channel *from, const void *message, int fd)
{
    struct house *house = ctx;
    const struct message_blob *blob = message;

    (void)from;
    (void)fd;
    house->blob_came = true;
    house->blob_found = blob->found;
    (void)snprintf(house->blob, sizeof(house->blob), "%.*s", STR_FMT(blob->sealed));
    stop_if_done(house);
}

static void on_closed(void *ctx, struct channel *channel)
{
    struct house *house = ctx;

    (void)channel;
    house->judge_closed = true;
    stop_if_done(house);
}

static void on_late(void *ctx)
{
    struct house *house = ctx;

    CHECK_CASE(false, "the scribe answers in time");
    loop_stop(house->loop, 1);
}

static const struct channel_accept parent_accepts[] = {
    {MESSAGE_READY, 0, on_ready},
    {MESSAGE_DRAINED, 0, on_drained},
    {MESSAGE_FAULT, 0, on_fault_said},
};
static const struct channel_accept judge_accepts[] = {
    {MESSAGE_ROW_META, 0, on_row},          {MESSAGE_ROW_OPERATOR, 0, on_row},
    {MESSAGE_ROW_CREDENTIAL, 0, on_row},    {MESSAGE_ROW_KEY, 0, on_key},
    {MESSAGE_ROW_TENANT, 0, on_row},        {MESSAGE_ROW_WINDOW, 0, on_row},
    {MESSAGE_LOADED, 0, on_loaded},         {MESSAGE_COMMITTED, 0, on_committed},
    {MESSAGE_STORE_REFUSED, 0, on_refused},
};
static const struct channel_accept vault_accepts[] = {{MESSAGE_BLOB, 0, on_blob}};

static struct channel *listen_on(struct house *house, int fd, const struct channel_accept *accepts,
                                 size_t count)
{
    struct channel_events events = {.accepts = accepts, .accept_count = count, .closed = on_closed};
    struct channel_limits limits = {.queue_max = QUEUE_MAX};

    return channel_new(house->loop, fd, &events, &limits, house);
}

static void be_scribe(const char *dir, int parent_fd, rlim_t file_max)
{
    char role[] = "keybrake-scribe", index[] = "0", incarnation[] = "1", user[] = "";
    char *data_dir = mem_copy_str(str_from(dir));
    char *argv[] = {role, index, incarnation, data_dir, user, NULL};

    if (dup2(parent_fd, 3) < 0) {
        _exit(1);
    }
    for (int fd = 4; fd < 64; fd++) {
        (void)close(fd);
    }
    if (file_max != 0) {
        struct rlimit limit = {file_max, file_max};
        (void)setrlimit(RLIMIT_FSIZE, &limit);
    }
    _exit(scribe_main(5, argv));
}

static void make_pair(int pair[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        abort();
    }
}

/* Hands the scribe a channel to a peer; returns our end. */
static int give_channel(struct house *house, enum process_role peer)
{
    struct message_channel channel = {.peer = peer, .incarnation = 1};
    int pair[2];

    make_pair(pair);
    CHECK(channel_send_fd(house->parent, MESSAGE_CHANNEL, &channel, pair[1]));
    (void)close(pair[1]);
    return pair[0];
}

static void start(struct house *house, const char *dir, rlim_t file_max)
{
    struct err err;
    int pair[2];

    *house = (struct house){.dir = mem_copy_str(str_from(dir)), .loop = loop_new(&err)};
    make_pair(pair);
    (void)fflush(stdout);
    house->pid = fork();
    if (house->pid == 0) {
        be_scribe(dir, pair[1], file_max);
    }
    (void)close(pair[1]);
    house->parent = listen_on(house, pair[0], parent_accepts,
                              sizeof(parent_accepts) / sizeof(parent_accepts[0]));
    house->judge = listen_on(house, give_channel(house, ROLE_JUDGE), judge_accepts,
                             sizeof(judge_accepts) / sizeof(judge_accepts[0]));
    house->vault = listen_on(house, give_channel(house, ROLE_VAULT), vault_accepts, 1);
    CHECK(channel_send(house->parent, MESSAGE_START, &(struct message_empty){0}));
}

static void run_until(struct house *house, bool (*done)(const struct house *house))
{
    house->done = done;
    loop_timer_set(house->loop, &house->give_up, GIVE_UP_MS, on_late, house);
    (void)loop_run(house->loop);
}

/* Returns the scribe's exit status, or minus the signal that killed it. */
static int finish(struct house *house)
{
    int status = 0;

    channel_free(house->judge);
    channel_free(house->vault);
    channel_free(house->parent);
    (void)waitpid(house->pid, &status, 0);
    loop_timer_stop(house->loop, &house->give_up);
    loop_free(house->loop);
    free(house->dir);
    int result = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    if (result != 0 && result != CHILD_EXIT_FATAL) {
        (void)printf("the scribe ended with %d\n", result);
    }
    return result;
}

static char *make_dir(void)
{
    char *name = test_directory_new();
    struct message_row_operator admin = {.token = 1, .role = OPERATOR_ADMIN};
    struct store_seed seed = {.operators = &admin, .operator_count = 1};
    struct err err = {""};

    CHECK_CASE(store_create(name, &seed, &err) == 0, err.text);
    return name;
}

/* ---- a first life: load, write, ask for a box, drain ---- */

static void put(struct house *house, enum message_type type, const void *row)
{
    CHECK(channel_send(house->judge, type, row));
}

static void end_batch(struct house *house, uint64_t batch, bool wait)
{
    struct message_commit commit = {.batch = batch, .wait = wait};
    put(house, MESSAGE_COMMIT, &commit);
}

static void write_all(struct house *house)
{
    struct message_row_credential credential = {
        .credential = 7, .name = STR("stripe"), .version = 1, .sealed = STR("the box")};
    char id[24];

    put(house, MESSAGE_ROW_CREDENTIAL, &credential);
    end_batch(house, 1, true);
    for (uint64_t i = 1; i <= KEYS; i++) {
        (void)snprintf(id, sizeof(id), "key_%016llu", (unsigned long long)i);
        char policy[1000] = {0};
        struct message_row_key key = {
            .key = i, .id = str_from(id), .policy = str_of(policy, sizeof(policy))};
        struct message_row_audit row = {.sequence = i, .hash = {{(unsigned char)i, 1}}, .key = i};
        put(house, MESSAGE_ROW_KEY, &key);
        put(house, MESSAGE_ROW_AUDIT, &row);
        end_batch(house, 1 + i, i % 3 == 0);
    }
}

static bool first_life(const struct house *house)
{
    struct house *self = house->dir == NULL ? NULL : (struct house *)(uintptr_t)house;

    if (house->ready && house->loaded && house->committed == 0 && house->keys == 0) {
        CHECK(house->loaded_rows == 1 && house->end.audit_sequence == 0);
        self->keys = 1; /* once */
        write_all(self);
        struct message_blob_get none = {.credential = 9};
        CHECK(channel_send(self->vault, MESSAGE_BLOB_GET, &none));
    }
    if (house->blob_came && !house->blob_found && house->committed == KEYS + 1) {
        struct message_blob_get get = {.credential = 7};
        self->blob_came = false;
        CHECK(channel_send(self->vault, MESSAGE_BLOB_GET, &get));
    }
    if (house->blob_came && house->blob_found && !house->drained) {
        self->blob_found = false;
        CHECK(strcmp(house->blob, "the box") == 0);
        /* Said in the same turn as DRAIN, and nobody waits: stored all the same. */
        struct message_row_tenant tenant = {.name = STR("acme")};
        put(self, MESSAGE_ROW_TENANT, &tenant);
        end_batch(self, KEYS + 2, false);
        CHECK(channel_flush(self->judge));
        usleep(20000);
        CHECK(channel_send(self->parent, MESSAGE_DRAIN, &(struct message_empty){0}));
    }
    return house->drained && house->committed == KEYS + 2;
}

static bool second_life(const struct house *house)
{
    return house->loaded;
}

static void test_lives(void)
{
    char *dir = make_dir();
    struct house house;

    start(&house, dir, 0);
    put(&house, MESSAGE_LOAD, &(struct message_empty){0});
    run_until(&house, first_life);
    CHECK(finish(&house) == 0);

    /* More than a channel's queue holds at once: it waits for us. */
    start(&house, dir, 0);
    put(&house, MESSAGE_LOAD, &(struct message_empty){0});
    run_until(&house, second_life);
    CHECK(house.keys == KEYS && house.loaded_rows == 3);
    CHECK(house.end.audit_sequence == KEYS);
    CHECK(!house.faulted);
    CHECK(finish(&house) == 0);
    test_directory_free(dir);
}

/* ---- a full disk, of a bound on file sizes ---- */

static bool full_life(const struct house *house)
{
    struct house *self = (struct house *)(uintptr_t)house;

    if (house->loaded && house->committed == 0 && house->keys == 0) {
        self->keys = 1;
        write_all(self);
    }
    return house->refused == KEYS + 1;
}

static void test_full(void)
{
    char *dir = make_dir();
    struct house house;

    start(&house, dir, 2 * 1024 * 1024);
    put(&house, MESSAGE_LOAD, &(struct message_empty){0});
    run_until(&house, full_life);
    CHECK(house.committed > 0 && house.committed < KEYS);
    CHECK(finish(&house) == 0); /* it lived */
    test_directory_free(dir);
}

/* ---- what ends it ---- */

static bool said_fault(const struct house *house)
{
    return house->faulted;
}

static void test_fault(void)
{
    char *dir = make_dir();
    struct house house;
    struct message_row_tenant tenant = {.name = STR("acme")};

    start(&house, dir, 0);
    put(&house, MESSAGE_ROW_TENANT, &tenant); /* before LOAD */
    run_until(&house, said_fault);
    CHECK(finish(&house) == 0);
    test_directory_free(dir);
}

static bool is_closed(const struct house *house)
{
    return house->judge_closed;
}

static void test_no_database(void)
{
    char *name = test_directory_new();
    struct house house;

    start(&house, name, 0);
    run_until(&house, is_closed);
    CHECK(finish(&house) == CHILD_EXIT_FATAL);
    test_directory_free(name);
}

int main(void)
{
    test_lives();
    test_full();
    test_fault();
    test_no_database();
    return test_done();
}
