/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole requests through the API, with a judge that says what the first byte chooses.  Each
 * connection must end, each CALL must decode, and no planted secret may come back.
 */
#include <assert.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/job.h"
#include "control/json_alloc.h"
#include "policy/testing.h"

enum { WAIT_MS = 5000, BYTES_MAX = 4 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config config;
static struct arena *kept; /* its texts; for the whole run */

struct world {
    struct loop *loop;
    struct loop_watch watch;
    struct loop_timer deadline;
    int client;
    unsigned choice;
    struct arena *arena;
};

static const struct wire_schema *schema_of(enum call_verb verb)
{
    switch (verb) {
    case CALL_KEY_ISSUE:
        return &policy_schema;
    case CALL_KEY_PATCH:
        return &call_patch_schema;
    case CALL_KEY_LIST:
        return &call_key_filter_schema;
    case CALL_CREDENTIAL_PUT:
    case CALL_CREDENTIAL_REMOVE:
        return &call_credential_schema;
    case CALL_TENANT_PUT:
        return &call_tenant_schema;
    case CALL_STOP_ADD:
        return &call_stop_schema;
    case CALL_OPERATOR_ADD:
        return &call_operator_schema;
    case CALL_PRICE_PUT:
        return message_schema(MESSAGE_ROW_PRICE);
    case CALL_EXPLAIN:
        return &message_admit_schema;
    case CALL_EXPLAIN_FACTS:
        return &call_explain_facts_schema;
    default:
        return NULL;
    }
}

static void on_call(void *ctx, struct channel *from, const void *message, int fd)
{
    static const struct message_reply replies[] = {
        {.status = 200, .json = STR("{}")},
        {.status = 200, .json = STR("{\"id\":\"k\",\"token\":\"t\",\"vendor\":\"shop\"}")},
        {.status = 404, .code = STR("not_found"), .detail = STR("no")},
        {.status = 100, .code = STR("read_body"), .version = 0},
    };
    struct world *world = ctx;
    const struct message_call *call = message;
    const struct wire_schema *schema = schema_of(call->verb);

    (void)fd;
    if (schema != NULL) {
        void *thing = arena_zeroed(world->arena, 1, schema->size);
        assert(wire_decode(schema, call->body, world->arena, thing));
    } else {
        assert(call->body.len == 0);
    }
    struct message_reply reply = replies[world->choice % 4];
    world->choice /= 4;
    reply.call = call->call;
    (void)channel_send(from, MESSAGE_REPLY, &reply);
}

static void on_closed(void *ctx, struct channel *channel)
{
    (void)ctx;
    (void)channel;
}

static void on_answer(void *ctx, uint32_t events)
{
    struct world *world = ctx;
    char bytes[65536];

    (void)events;
    if (recv(world->client, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0) {
        loop_stop(world->loop, 0);
    }
}

static void on_deadline(void *ctx)
{
    (void)ctx;
    abort(); /* a connection that never ends */
}

static void setup(void)
{
    digest_setup();
    json_alloc_setup();
    assert(sodium_init() >= 0);
    kept = arena_new();
    testing_config(&config, kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct channel_accept accepts[] = {{MESSAGE_CALL, 0, on_call}};
    static const struct channel_events events = {
        .accepts = accepts, .accept_count = 1, .closed = on_closed};
    static const struct channel_limits limits = {.queue_max = BYTES_MAX};
    struct world world = {.watch = LOOP_WATCH_NONE};
    struct err err;
    int judge[2];
    int client[2];

    if (size < 1 || size > 60000) {
        return 0;
    }
    if (config.pack_count == 0) {
        setup();
    }
    world.choice = data[0];
    world.arena = arena_new();
    world.loop = loop_new(&err);
    struct api *api = api_new(world.loop, NULL);
    api->config = &config;
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, judge) == 0);
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client) == 0);
    api_set_judge(api, judge[0], NULL, NULL);
    struct channel *played = channel_new(world.loop, judge[1], &events, &limits, &world);
    server_connection(api_server(api), client[0], LISTEN_UNIX);
    world.client = client[1];
    (void)send(world.client, data + 1, size - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)shutdown(world.client, SHUT_WR);
    loop_watch(world.loop, &world.watch, world.client, EPOLLIN, on_answer, &world);
    loop_timer_set(world.loop, &world.deadline, WAIT_MS, on_deadline, &world);
    (void)loop_run(world.loop);
    loop_unwatch(world.loop, &world.watch);
    loop_timer_stop(world.loop, &world.deadline);
    (void)close(world.client);
    api->config = NULL;
    api_free(api);
    channel_free(played);
    loop_free(world.loop);
    arena_free(world.arena);
    return 0;
}
