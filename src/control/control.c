/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control: the operator's API.
 *
 * Holds: operators' requests, an operator's or vault key's token while it is answered, the control
 * listener's certificate; a real key from the first byte of its PUT until it is sealed.
 * Meets: the operator's browser and command line, our own messages.
 * May: read the database; seal a credential, never unseal one; ask the judge.  Decides nothing.
 */
#include "control/control.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/api.h"
#include "control/json_alloc.h"
#include "control/sandboxes.h"
#include "ipc/child.h"
#include "store/query.h"
#include "tls/tls.h"

static const int syscalls[] = {
    SYS_accept4,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_getpeername,
    SYS_getsockname,
    /* SQLite, reading */
    SYS_openat,
    SYS_newfstatat,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_faccessat,
    SYS_pread64,
    SYS_readlink,
    SYS_getcwd,
    SYS_geteuid,
    SYS_getpid,
    SYS_fadvise64,
    SYS_statfs,
};

enum { DIRECTORY_MAX = 4096, DESCRIPTORS = 64 + 512 };

struct control {
    struct child child;
    struct api *api;
    bool started;
};

static void on_fault(void *ctx, const char *why)
{
    struct control *control = ctx;
    child_fault(&control->child, ROLE_JUDGE, 0, why);
}

static void on_channel(void *ctx, enum process_role peer, uint32_t peer_index, uint64_t incarnation,
                       int fd)
{
    struct control *control = ctx;

    (void)peer_index;
    (void)incarnation;
    if (peer != ROLE_JUDGE) {
        log_error("parent-fault", "why=\"a channel to %s\"", role_name(peer));
        exit(EXIT_FAILURE);
    }
    api_set_judge(control->api, fd, on_fault, control);
}

static void on_gone(void *ctx, enum process_role peer, uint32_t peer_index, uint64_t incarnation)
{
    /* The channel's own end ends what waits for the judge. */
    (void)ctx;
    (void)peer;
    (void)peer_index;
    (void)incarnation;
}

static void on_config(void *ctx, uint64_t generation, int fd)
{
    struct control *control = ctx;
    struct err err;
    struct config *config = config_open(fd, generation, &err);

    if (config == NULL) {
        log_error("config", "%s", err.text);
        exit(EXIT_FAILURE);
    }
    api_set_config(control->api, config);
}

static void on_listener(void *ctx, const struct message_listener *listener, int fd)
{
    struct control *control = ctx;
    enum listen_kind kind = listener->unix_socket ? LISTEN_UNIX
                            : listener->tls       ? LISTEN_TLS
                                                  : LISTEN_PLAIN;

    if (!listener->control) {
        log_error("parent-fault", "why=\"a door's socket\"");
        exit(EXIT_FAILURE);
    }
    server_listen(api_server(control->api), fd, kind);
}

static void on_door(void *ctx, const struct message_door *door)
{
    struct control *control = ctx;
    api_set_door(control->api, door->listener, door->address);
}

static void on_certificate(void *ctx, const struct message_certificate *certificate)
{
    struct control *control = ctx;
    struct err err;

    if (server_set_certificate(api_server(control->api), certificate->chain_pem,
                               certificate->key_pem, &err) < 0) {
        log_error("certificate", "%s", err.text);
    }
}

static void on_ca(void *ctx, const struct message_ca *ca)
{
    struct control *control = ctx;
    api_set_ca(control->api, ca->file);
}

static void on_start(void *ctx)
{
    struct control *control = ctx;

    if (!api_is_ready(control->api)) {
        log_error("parent-fault", "why=\"started without a judge or a configuration\"");
        exit(EXIT_FAILURE);
    }
    if (!control->started) {
        control->started = true;
        child_ready(&control->child);
    }
}

static void on_drained(void *ctx)
{
    struct control *control = ctx;
    child_drained(&control->child);
}

static void on_drain(void *ctx)
{
    struct control *control = ctx;
    sandboxes_close(control->api);
    server_drain(api_server(control->api), on_drained, control);
}

static const struct child_events events = {
    .channel = on_channel,
    .gone = on_gone,
    .config = on_config,
    .listener = on_listener,
    .door = on_door,
    .certificate = on_certificate,
    .ca = on_ca,
    .start = on_start,
    .drain = on_drain,
};

static void hand_over(void *ctx, const struct message_listener *listener, int fd)
{
    struct control *control = ctx;

    child_hand_listener(&control->child, listener, fd);
}

static void end_session(void *ctx, struct str session)
{
    struct control *control = ctx;

    child_session_end(&control->child, session);
}

static const struct api_parent parent = {.hand = hand_over, .session_end = end_session};

static void setup_libraries(void)
{
    tls_setup();
    json_alloc_setup();
    if (sodium_init() < 0) {
        log_error("start", "libsodium does not start");
        exit(EXIT_FAILURE);
    }
}

static void confine_us(struct control *control)
{
    char directory[DIRECTORY_MAX];
    const struct confine_path paths[] = {{directory, CONFINE_READ}};
    const struct confine confine = {
        .syscalls = syscalls,
        .syscall_count = sizeof(syscalls) / sizeof(syscalls[0]),
        .map = true,  /* SQLite's shared memory with the writer */
        .send = true, /* a sandbox's sockets, to the parent */
        .file_lock = true,
        .paths = paths,
        .path_count = 1,
        /* A sandbox has its launcher's connection here, and the launcher's pidfd. */
        .files_max = LIMIT_API_CONNECTIONS + 2 * LIMIT_SESSIONS + DESCRIPTORS,
    };

    int len = snprintf(directory, sizeof(directory), "%s/db", control->child.data_dir);
    if (len < 0 || (size_t)len >= sizeof(directory)) {
        log_error("start", "the data directory's name is too long");
        exit(EXIT_FAILURE);
    }
    child_confine(&control->child, &confine);
}

int control_main(int argc, char **argv)
{
    struct control control = {0};
    struct err err = {""};

    child_init(&control.child, ROLE_CONTROL, argc, argv);
    setup_libraries();
    struct query *query = query_open(control.child.data_dir, &err);
    if (query == NULL) {
        log_error("database", "%s", err.text);
        exit(EXIT_FAILURE);
    }
    control.api = api_new(control.child.loop, query);
    api_set_parent(control.api, &parent, &control);
    confine_us(&control);
    /* Not api_free() afterwards: closing a database looks at its path, for which we would be
     * killed. */
    return child_run(&control.child, &events, &control);
}
