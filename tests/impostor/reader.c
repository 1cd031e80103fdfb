/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An intruder in the reader's place: keybrake as ever, but for its readers, which lie about the
 * bodies that pass.  A body says by "metadata[lie]=..." which lie it wants; without one the truth
 * is told.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/roles.h"
#include "ipc/child.h"
#include "pack/facts.h"
#include "reader/reader.h"

enum { QUEUE = 4 * 1024 * 1024, BODY_MAX = 2 * 1024 * 1024 };

struct impostor {
    struct child child;
    struct channel *judge;
    struct config *config;
    struct arena *arena;
    struct message_body body; /* one at a time: the tests send no two together */
    struct buf bytes;
};

static bool wants(const struct impostor *self, const char *lie)
{
    struct buf mark;

    buf_init(&mark, 128);
    (void)buf_addf(&mark, "lie]=%s", lie);
    bool found = str_has(buf_str(&self->bytes), buf_str(&mark));
    buf_clear(&mark);
    return found;
}

/* The same answer about requests that nobody asked about. */
static void tell_of_others(struct impostor *self, struct message_facts facts)
{
    for (uint64_t step = 1; step < 50; step++) {
        facts.request = self->body.request + step;
        (void)channel_send(self->judge, MESSAGE_FACTS, &facts);
    }
}

static void try_calls(void)
{
    (void)syscall(SYS_openat, AT_FDCWD, "/etc/passwd", 0);
    (void)socket(AF_INET, SOCK_STREAM, 0);
}

static void on_end(void *ctx, struct channel *from, const void *m, int fd)
{
    struct impostor *self = ctx;
    struct message_facts facts = {.request = self->body.request,
                                  .answer = self->body.answer,
                                  .generation = self->body.generation,
                                  .rule = self->body.rule};

    (void)from;
    (void)m;
    (void)fd;
    arena_reset(self->arena);
    facts_read(&self->config->reads[self->body.rule], buf_str(&self->bytes), self->arena, &facts);
    facts.digest = digest_of(buf_str(&self->bytes));
    facts.length = buf_len(&self->bytes);
    for (size_t i = 0; i < facts.fact_count; i++) {
        if (wants(self, "less") && facts.facts[i].kind == FACT_INTEGER) {
            facts.facts[i].number = 1;
            facts.facts[i].text = STR("1");
        } else if (wants(self, "negative") && facts.facts[i].kind == FACT_INTEGER) {
            facts.facts[i].number = INT64_MIN;
        }
    }
    if (wants(self, "digest")) {
        facts.digest.bytes[0] ^= 1;
    } else if (wants(self, "length")) {
        facts.length += 1;
    } else if (wants(self, "rule")) {
        facts.rule = facts.rule == 0 ? 1 : 0;
    } else if (wants(self, "few")) {
        facts.fact_count = 0;
    } else if (wants(self, "others")) {
        tell_of_others(self, facts);
    } else if (wants(self, "call")) {
        try_calls();
    } else if (wants(self, "answer")) {
        facts.answer = true;
    }
    (void)channel_send(self->judge, MESSAGE_FACTS, &facts);
    if (wants(self, "twice")) {
        (void)channel_send(self->judge, MESSAGE_FACTS, &facts);
    }
    buf_cut(&self->bytes, 0);
}

static void on_body(void *ctx, struct channel *from, const void *m, int fd)
{
    struct impostor *self = ctx;

    (void)from;
    (void)fd;
    self->body = *(const struct message_body *)m;
    buf_cut(&self->bytes, 0);
}

static void on_data(void *ctx, struct channel *from, const void *m, int fd)
{
    struct impostor *self = ctx;
    const struct message_body_data *data = m;

    (void)from;
    (void)fd;
    (void)buf_add_str(&self->bytes, data->bytes);
}

static const struct channel_accept accepts[] = {
    {MESSAGE_BODY, 0, on_body},
    {MESSAGE_BODY_DATA, 0, on_data},
    {MESSAGE_BODY_END, 0, on_end},
};

static void on_closed(void *ctx, struct channel *channel)
{
    (void)ctx;
    (void)channel;
}

static void on_channel(void *ctx, enum process_role peer, uint32_t index, uint64_t incarnation,
                       int fd)
{
    struct impostor *self = ctx;
    struct channel_events events = {.closed = on_closed,
                                    .accepts = accepts,
                                    .accept_count = sizeof(accepts) / sizeof(accepts[0])};
    struct channel_limits limits = {.queue_max = QUEUE};

    (void)index;
    (void)incarnation;
    struct channel *channel = channel_new(self->child.loop, fd, &events, &limits, self);
    if (peer == ROLE_JUDGE) {
        self->judge = channel;
    }
}

static void on_gone(void *ctx, enum process_role peer, uint32_t index, uint64_t incarnation)
{
    (void)ctx;
    (void)peer;
    (void)index;
    (void)incarnation;
}

static void on_config(void *ctx, uint64_t generation, int fd)
{
    struct impostor *self = ctx;
    struct err err;

    self->config = config_open(fd, generation, &err);
    if (self->config == NULL) {
        abort();
    }
}

static void on_start(void *ctx)
{
    struct impostor *self = ctx;
    child_ready(&self->child);
}

static int impostor_main(int argc, char **argv)
{
    static const struct child_events events = {
        .channel = on_channel, .gone = on_gone, .config = on_config, .start = on_start};
    struct impostor *self = mem_zeroed(sizeof(*self));

    self->arena = arena_new();
    buf_init(&self->bytes, BODY_MAX);
    child_init(&self->child, ROLE_READER, argc, argv);
    child_confine(&self->child, &reader_confine);
    return child_run(&self->child, &events, self);
}

int main(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], "keybrake-reader") == 0) {
        return impostor_main(argc, argv);
    }
    role_main *role = argc > 0 ? role_find(argv[0]) : NULL;
    return role == NULL ? command_main(argc, argv) : role(argc, argv);
}
