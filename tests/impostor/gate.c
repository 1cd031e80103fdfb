/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An intruder in the gate's place: keybrake as ever, but for its gates, which obey whoever
 * connects to the door and misuse what a gate has: its channels, its descriptors, its allowed
 * calls.
 *
 * A connection sends one line, "ATTACK TOKEN\n"; half a second after the last message of the
 * others, it gets the names of what came back, in order, and the end.  tests/test_impostor.py holds
 * that against the vendor's log.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/roles.h"
#include "gate/gate.h"
#include "ipc/child.h"

enum { QUIET_MS = 500, LISTENERS_MAX = 8, QUEUE = 4 * 1024 * 1024 };

struct listener {
    struct loop_watch watch;
};

struct impostor {
    struct child child;
    struct channel *judge, *vault, *reader;
    struct listener listeners[LISTENERS_MAX];
    size_t listener_count;
    uint64_t next_request;

    /* the attack under way */
    int client;
    char attack[64], token[128];
    struct buf seen;
    struct loop_timer quiet;
    uint64_t request, grant;
    unsigned granted;
};

static const char path_charges[] = "/v1/charges";
static const char cheap_body[] = "amount=100&currency=usd&source=tok_visa";
static const char dear_body[] = "amount=999&currency=usd&source=tok_visa";

static bool is(const struct impostor *self, const char *attack)
{
    return strcmp(self->attack, attack) == 0;
}

/* ---- the end of an attack ---- */

static void finish(void *ctx)
{
    struct impostor *self = ctx;
    struct str seen = buf_str(&self->seen);

    if (self->client < 0) {
        return;
    }
    (void)send(self->client, seen.data, seen.len, MSG_NOSIGNAL);
    (void)close(self->client);
    self->client = -1;
    buf_clear(&self->seen);
}

static void note(struct impostor *self, const char *what, struct str more)
{
    (void)buf_addf(&self->seen, "%s %.*s\n", what, STR_FMT(more));
    loop_timer_set(self->child.loop, &self->quiet, QUIET_MS, finish, self);
}

/* ---- what a gate says ---- */

static void admit(struct impostor *self, const char *method, const char *path, const char *body)
{
    struct message_presented presented = {
        .form = FORM_BEARER, .name = STR("authorization"), .value = str_from(self->token)};
    struct message_header headers[] = {
        {STR("content-type"), STR("application/x-www-form-urlencoded")}};
    struct message_admit message = {
        .request = self->request = ++self->next_request,
        .source = STR("127.0.0.1"),
        .host = STR("impostor"),
        .method = str_from(method),
        .path = str_from(path),
        .body = body == NULL ? BODY_NONE : BODY_LENGTH,
        .content_length = body == NULL ? 0 : strlen(body),
        .presented = &presented,
        .presented_count = 1,
        .headers = headers,
        .header_count = body == NULL ? 0 : 1,
    };

    (void)channel_send(self->judge, MESSAGE_ADMIT, &message);
}

static void show_reader(struct impostor *self, const struct message_read_body *asked,
                        const char *body)
{
    struct message_body begin = {
        .request = asked->request, .generation = asked->generation, .rule = asked->rule};
    struct message_body_data data = {.request = asked->request, .bytes = str_from(body)};
    struct message_body_end end = {.request = asked->request, .complete = true};

    if (is(self, "wrong-rule")) {
        begin.rule = asked->rule == 0 ? 1 : asked->rule - 1;
    }
    (void)channel_send(self->reader, MESSAGE_BODY, &begin);
    (void)channel_send(self->reader, MESSAGE_BODY_DATA, &data);
    (void)channel_send(self->reader, MESSAGE_BODY_END, &end);
}

static void forward(struct impostor *self, uint64_t grant, struct message_header *headers,
                    size_t header_count, const char *body)
{
    struct message_forward message = {
        .grant = grant, .headers = headers, .header_count = header_count};
    struct message_data data = {.grant = grant, .bytes = str_from(body)};
    struct message_end end = {.grant = grant};

    (void)channel_send(self->vault, MESSAGE_FORWARD, &message);
    if (body != NULL) {
        (void)channel_send(self->vault, MESSAGE_DATA, &data);
        (void)channel_send(self->vault, MESSAGE_END, &end);
    }
}

/* Everything that a client's header could try to be. */
static void forward_with_bad_headers(struct impostor *self)
{
    struct message_header headers[] = {
        {STR("authorization"), STR("Bearer impostor")},
        {STR("x-api-key"), STR("impostor")},
        {STR("x_api_key"), STR("impostor")},
        {STR("host"), STR("impostor.example")},
        {STR("stripe-account"), STR("acct_impostor")},
        {STR("idempotency-key"), STR("impostor")},
        {STR("content-type"), STR("text/impostor")},
        {STR("transfer-encoding"), STR("chunked")},
        {STR("content-length"), STR("3")},
        {STR("connection"), STR("upgrade")},
        {STR("upgrade"), STR("impostor")},
        {STR("x-http-method-override"), STR("DELETE")},
        {STR("x-fine"), STR("fine")},
    };

    forward(self, self->grant, headers, sizeof(headers) / sizeof(headers[0]), NULL);
}

static void say_done(struct impostor *self, uint64_t grant)
{
    struct message_done message = {.request = self->request, .grant = grant, .client_gone = true};

    (void)channel_send(self->judge, MESSAGE_DONE, &message);
}

/* ---- what comes back ---- */

static void on_granted(void *ctx, struct channel *from, const void *m, int fd)
{
    struct impostor *self = ctx;
    const struct message_granted *granted = m;

    (void)from;
    (void)fd;
    self->grant = granted->grant;
    self->granted++;
    note(self, "granted", STR_NONE);
    if (is(self, "double-forward")) {
        forward(self, self->grant, NULL, 0, NULL);
        forward(self, self->grant, NULL, 0, NULL);
    } else if (is(self, "bad-headers")) {
        forward_with_bad_headers(self);
    } else if (is(self, "swap-body")) {
        forward(self, self->grant, NULL, 0, dear_body);
    } else if (is(self, "longer-body")) {
        forward(self, self->grant, NULL, 0, "amount=100&currency=usd&source=tok_visa&amount=999");
    } else if (is(self, "free-hold")) {
        struct message_reset reset = {.grant = self->grant, .error = UPSTREAM_CONNECT};
        forward(self, self->grant, NULL, 0, cheap_body);
        (void)channel_send(self->vault, MESSAGE_RESET, &reset);
        say_done(self, self->grant);
    } else if (is(self, "early-done")) {
        forward(self, self->grant, NULL, 0, cheap_body);
        say_done(self, self->grant);
    } else if (is(self, "next-grant")) {
        for (uint64_t step = 1; step < 200; step++) {
            forward(self, self->grant + step, NULL, 0, NULL);
        }
    }
}

static void on_read_body(void *ctx, struct channel *from, const void *m, int fd)
{
    struct impostor *self = ctx;

    (void)from;
    (void)fd;
    note(self, "read-body", STR_NONE);
    show_reader(self, m, cheap_body);
    if (is(self, "two-bodies")) {
        show_reader(self, m, dear_body);
    }
}

static void on_answer(void *ctx, struct channel *from, const void *m, int fd)
{
    struct impostor *self = ctx;
    const struct message_answer *answer = m;
    struct buf text;

    (void)from;
    (void)fd;
    buf_init(&text, 64);
    (void)buf_add_u64(&text, answer->status);
    note(self, "answer", buf_str(&text));
    buf_clear(&text);
}

static void on_head(void *ctx, struct channel *from, const void *m, int fd)
{
    struct impostor *self = ctx;
    const struct message_head *head = m;
    struct buf text;

    (void)from;
    (void)fd;
    buf_init(&text, 64);
    (void)buf_add_u64(&text, head->status);
    note(self, "head", buf_str(&text));
    buf_clear(&text);
}

static void on_data(void *ctx, struct channel *from, const void *m, int fd)
{
    const struct message_data *data = m;

    (void)from;
    (void)fd;
    note(ctx, "data", data->bytes);
}

static void on_end(void *ctx, struct channel *from, const void *m, int fd)
{
    (void)from;
    (void)m;
    (void)fd;
    note(ctx, "end", STR_NONE);
}

static void on_reset(void *ctx, struct channel *from, const void *m, int fd)
{
    const struct message_reset *reset = m;

    (void)from;
    (void)fd;
    note(ctx, "reset", reset->detail);
}

static void on_cut(void *ctx, struct channel *from, const void *m, int fd)
{
    const struct message_cut *cut = m;
    struct message_cut_done done = {.cut = cut->cut};

    (void)ctx;
    (void)fd;
    (void)channel_send(from, MESSAGE_CUT_DONE, &done);
}

static void on_window(void *ctx, struct channel *from, const void *m, int fd)
{
    (void)ctx;
    (void)from;
    (void)m;
    (void)fd;
}

/* ---- calls that a gate may not make ---- */

static void forbidden_call(struct impostor *self)
{
    struct sockaddr_in there = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = self->listeners[0].watch.fd;
    long rc = -1;

    if (is(self, "call-socket")) {
        rc = socket(AF_INET, SOCK_STREAM, 0);
    } else if (is(self, "call-connect")) {
        rc = connect(listener, (struct sockaddr *)&there, sizeof(there));
    } else if (is(self, "call-open")) {
        rc = syscall(SYS_openat, AT_FDCWD, "/etc/passwd", 0);
    } else if (is(self, "call-execve")) {
        char *const argv[] = {NULL};
        rc = execve("/bin/true", argv, argv);
    } else if (is(self, "call-fork")) {
        rc = syscall(SYS_clone, 17, 0, 0, 0, 0);
    } else if (is(self, "call-ptrace")) {
        rc = ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
    } else if (is(self, "call-memfd")) {
        rc = syscall(SYS_memfd_create, "x", 0);
    } else if (is(self, "call-readv")) {
        rc = syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
    } else if (is(self, "call-fastopen")) {
        /* A listener that was shut down can dial, if one lets it. */
        (void)syscall(SYS_shutdown, listener, SHUT_RDWR);
        rc = sendto(listener, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&there, sizeof(there));
    } else if (is(self, "call-sendmsg-address")) {
        struct iovec piece = {.iov_base = self->attack, .iov_len = 1};
        struct msghdr header = {
            .msg_name = &there, .msg_namelen = sizeof(there), .msg_iov = &piece, .msg_iovlen = 1};
        (void)syscall(SYS_shutdown, listener, SHUT_RDWR);
        rc = sendmsg(listener, &header, MSG_FASTOPEN);
    } else if (is(self, "call-exec-page")) {
        rc = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                  0) == MAP_FAILED
                 ? -1
                 : 0;
    } else {
        note(self, "unknown", STR_NONE);
        return;
    }
    note(self, rc < 0 ? "refused" : "allowed", STR_NONE);
}

/* ---- the attacks ---- */

static void send_as_judge(struct impostor *self)
{
    struct message_grant grant = {.grant = 1, .method = STR("GET"), .path = STR("/v1/balance")};

    (void)channel_send(self->vault, MESSAGE_GRANT, &grant);
}

static void send_as_vault(struct impostor *self)
{
    struct message_outcome outcome = {.grant = self->grant, .outcome = OUTCOME_NOT_SENT};

    (void)channel_send(self->judge, MESSAGE_OUTCOME, &outcome);
}

static void send_as_reader(struct impostor *self)
{
    struct message_facts facts = {.request = self->request, .state = FACTS_OK};

    (void)channel_send(self->judge, MESSAGE_FACTS, &facts);
}

static void send_as_scribe(struct impostor *self)
{
    struct message_committed committed = {.batch = 1000000};

    (void)channel_send(self->judge, MESSAGE_COMMITTED, &committed);
}

static void send_as_control(struct impostor *self)
{
    struct message_call call = {.call = 1, .verb = CALL_KEY_LIST, .local = true};

    (void)channel_send(self->judge, MESSAGE_CALL, &call);
}

static void begin(struct impostor *self)
{
    note(self, "began", STR_NONE);
    if (is(self, "guess-grant")) {
        for (uint64_t grant = 0; grant < 2000; grant++) {
            forward(self, grant, NULL, 0, NULL);
        }
    } else if (is(self, "no-key")) {
        self->token[0] = '\0';
        admit(self, "GET", "/v1/balance", NULL);
    } else if (is(self, "odd-path")) {
        admit(self, "GET", "/v1/balance/../charges", NULL);
    } else if (is(self, "odd-method")) {
        admit(self, "GET / HTTP/1.1\r\nX: ", "/v1/balance", NULL);
    } else if (is(self, "same-number")) {
        admit(self, "GET", "/v1/balance", NULL);
        self->next_request--;
        admit(self, "GET", "/v1/balance", NULL);
    } else if (is(self, "done-for-nothing")) {
        say_done(self, 12345);
    } else if (is(self, "as-judge")) {
        send_as_judge(self);
    } else if (is(self, "as-vault")) {
        send_as_vault(self);
    } else if (is(self, "as-reader")) {
        send_as_reader(self);
    } else if (is(self, "as-scribe")) {
        send_as_scribe(self);
    } else if (is(self, "as-control")) {
        send_as_control(self);
    } else if (str_starts(str_from(self->attack), STR("call-"))) {
        forbidden_call(self);
    } else if (is(self, "bad-headers") || is(self, "double-forward") || is(self, "next-grant")) {
        admit(self, "GET", "/v1/double/echo", NULL);
    } else { /* swap-body, longer-body, wrong-rule, two-bodies, free-hold */
        admit(self, "POST", path_charges, cheap_body);
    }
}

static void on_connection(void *ctx, uint32_t events)
{
    struct impostor *self = ctx;
    char line[256];

    (void)events;
    int fd = accept4(self->listeners[0].watch.fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    ssize_t got = recv(fd, line, sizeof(line) - 1, 0);
    if (got <= 0 || self->client >= 0) {
        (void)close(fd);
        return;
    }
    line[got] = '\0';
    self->client = fd;
    self->token[0] = '\0';
    (void)sscanf(line, "%63s %127s", self->attack, self->token);
    begin(self);
}

/* ---- a gate's life ---- */

static const struct channel_accept from_judge[] = {
    {MESSAGE_GRANTED, 0, on_granted},
    {MESSAGE_READ_BODY, 0, on_read_body},
    {MESSAGE_ANSWER, 0, on_answer},
    {MESSAGE_CUT, 0, on_cut},
};
static const struct channel_accept from_vault[] = {
    {MESSAGE_HEAD, 0, on_head},   {MESSAGE_DATA, 0, on_data},     {MESSAGE_END, 0, on_end},
    {MESSAGE_RESET, 0, on_reset}, {MESSAGE_WINDOW, 0, on_window},
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
    struct channel_events events = {.closed = on_closed};
    struct channel_limits limits = {.queue_max = QUEUE};

    (void)index;
    (void)incarnation;
    if (peer == ROLE_JUDGE) {
        events.accepts = from_judge;
        events.accept_count = sizeof(from_judge) / sizeof(from_judge[0]);
        self->judge = channel_new(self->child.loop, fd, &events, &limits, self);
    } else if (peer == ROLE_VAULT) {
        events.accepts = from_vault;
        events.accept_count = sizeof(from_vault) / sizeof(from_vault[0]);
        self->vault = channel_new(self->child.loop, fd, &events, &limits, self);
    } else {
        self->reader = channel_new(self->child.loop, fd, &events, &limits, self);
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
    (void)ctx;
    (void)generation;
    (void)close(fd);
}

static void on_listener(void *ctx, const struct message_listener *listener, int fd)
{
    struct impostor *self = ctx;

    (void)listener;
    if (self->listener_count == 0) {
        self->listeners[0].watch = LOOP_WATCH_NONE;
        loop_watch(self->child.loop, &self->listeners[0].watch, fd, EPOLLIN, on_connection, self);
        self->listener_count = 1;
    }
}

static void on_certificate(void *ctx, const struct message_certificate *certificate)
{
    (void)ctx;
    (void)certificate;
}

static void on_start(void *ctx)
{
    struct impostor *self = ctx;
    child_ready(&self->child);
}

static int impostor_main(int argc, char **argv)
{
    static const struct child_events events = {
        .channel = on_channel,
        .gone = on_gone,
        .config = on_config,
        .listener = on_listener,
        .certificate = on_certificate,
        .start = on_start,
    };
    struct impostor *self = mem_zeroed(sizeof(*self));

    self->client = -1;
    buf_init(&self->seen, 1024 * 1024);
    child_init(&self->child, ROLE_GATE, argc, argv);
    child_confine(&self->child, &gate_confine);
    return child_run(&self->child, &events, self);
}

int main(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], "keybrake-gate") == 0) {
        return impostor_main(argc, argv);
    }
    role_main *role = argc > 0 ? role_find(argv[0]) : NULL;
    return role == NULL ? command_main(argc, argv) : role(argc, argv);
}
