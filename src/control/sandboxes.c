/* SPDX-License-Identifier: Apache-2.0 */
#include "control/sandboxes.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/env.h"
#include "control/handlers.h"
#include "policy/policy_parse.h"
#include "tls/leaf.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

enum { CA_PEM_BYTES_MAX = 16 * 1024, CA_KEY_BYTES_MAX = 512, CA_DAYS = 2, WORD_BYTES = 160 };

/* Where a sandbox's base URLs point: a name that exists inside alone. */
#define DOOR_URL STR("http://keybrake.internal")

struct sandbox_session {
    struct api *api;
    struct list link;
    char *id;
    int fd, pidfd; /* pidfd -1: the kernel gives none */
    struct loop_watch watch, process;
    char word[WORD_BYTES]; /* what the launcher said last */
    size_t word_len;
    uint64_t ending; /* the CALL that ends it; 0: it lives */
};

/* What is on its way to become one. */
struct opening {
    struct api *api;
    int fds[LIMIT_SESSION_SOCKETS];
    size_t fd_count;
    struct buf ca_pem, ca_key;
    bool ca_is_ours; /* the launcher is to hear of it */
    json_t *session; /* the judge's answer */
    size_t next;     /* the key whose variables are written next */
    struct buf text;
    struct json_out out;
    bool opened; /* the judge has it: it must be ended if we cannot go on */
};

/* ---- the end ---- */

static struct message_call call_of(enum call_verb verb, const char *id)
{
    /* Ending is the server's own doing; the judge knows who opened it. */
    return (struct message_call){
        .verb = verb, .local = true, .actor = STR("keybrake"), .id = str_from(id)};
}

static uint64_t ask_end(struct api *api, const char *id, struct str reason)
{
    struct message_call call = call_of(CALL_SESSION_END, id);
    struct call_session_end end = {.reason = str_slice(reason, 0, LIMIT_LABEL_BYTES)};
    struct buf body;

    buf_init(&body, LIMIT_LABEL_BYTES + 64);
    (void)wire_encode(&call_session_end_schema, &end, &body);
    call.body = buf_str(&body);
    uint64_t number = api_call(api, &call);
    buf_clear(&body);
    if (api->parent != NULL) {
        api->parent->session_end(api->parent_ctx, str_from(id));
    }
    return number;
}

static void session_free(struct sandbox_session *session)
{
    struct api *api = session->api;

    loop_unwatch(api->loop, &session->watch);
    loop_unwatch(api->loop, &session->process);
    (void)close(session->fd);
    if (session->pidfd >= 0) {
        (void)close(session->pidfd);
    }
    list_remove(&session->link);
    api->sandbox_count--;
    free(session->id);
    free(session);
}

static void begin_end(struct sandbox_session *session, struct str reason)
{
    struct api *api = session->api;

    if (session->ending != 0) {
        return;
    }
    loop_unwatch(api->loop, &session->watch);
    loop_unwatch(api->loop, &session->process);
    log_info("session", "id=%s end=%s", session->id, log_text(reason).text);
    session->ending = ask_end(api, session->id, reason);
}

void sandboxes_reply(struct api *api, const struct message_reply *reply)
{
    for (struct list *at = api->sandboxes.next; at != &api->sandboxes; at = at->next) {
        struct sandbox_session *session = LIST_THING(at, struct sandbox_session, link);
        if (session->ending == reply->call) {
            (void)send(session->fd, "ended\n", 6, MSG_NOSIGNAL | MSG_DONTWAIT);
            session_free(session);
            return;
        }
    }
}

void sandboxes_close(struct api *api)
{
    struct list *link;

    while ((link = list_first(&api->sandboxes)) != NULL) {
        struct sandbox_session *session = LIST_THING(link, struct sandbox_session, link);
        begin_end(session, STR("the server stopped"));
        session_free(session);
    }
}

/* ---- the life ---- */

static bool is_plain(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] < 0x20 || (unsigned char)text.data[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

/* One line says why it ends; the end of the stream alone says that nobody is left to say it. */
static void on_word(void *ctx, uint32_t events)
{
    struct sandbox_session *session = ctx;
    ssize_t got = recv(session->fd, session->word + session->word_len,
                       sizeof(session->word) - session->word_len, MSG_DONTWAIT);

    (void)events;
    if (got > 0) {
        session->word_len += (size_t)got;
        struct str word = str_of(session->word, session->word_len);
        size_t end = str_index(word, '\n', 0);
        if (end < word.len) {
            word = str_slice(word, 0, end);
            begin_end(session, is_plain(word) && word.len > 0 ? word : STR("it ended"));
        } else if (session->word_len == sizeof(session->word)) {
            begin_end(session, STR("its launcher talks nonsense"));
        }
        return;
    }
    if (got == 0 || (events & (EPOLLHUP | EPOLLERR)) != 0) {
        begin_end(session, STR("its launcher is gone"));
    }
}

static void on_process(void *ctx, uint32_t events)
{
    struct sandbox_session *session = ctx;

    (void)events;
    /* Another process may hold the connection; the launcher is dead all the same.  What it said
     * just before counts. */
    on_word(session, EPOLLHUP);
    begin_end(session, STR("its launcher is gone"));
}

static void session_begin(struct api *api, struct str id, int fd)
{
    struct sandbox_session *session = mem_zeroed(sizeof(*session));
    socklen_t size = sizeof(session->pidfd);

    session->api = api;
    session->id = mem_copy_str(id);
    session->fd = fd;
    session->watch = session->process = LOOP_WATCH_NONE;
    list_init(&session->link);
    list_add(&api->sandboxes, &session->link);
    api->sandbox_count++;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &session->pidfd, &size) < 0) {
        session->pidfd = -1;
    } else {
        loop_watch(api->loop, &session->process, session->pidfd, EPOLLIN, on_process, session);
    }
    loop_watch(api->loop, &session->watch, fd, EPOLLIN, on_word, session);
}

/* ---- the opening ---- */

static void opening_free(void *own)
{
    struct opening *opening = own;

    for (size_t i = 0; i < opening->fd_count; i++) {
        (void)close(opening->fds[i]);
    }
    if (opening->opened) {
        (void)ask_end(opening->api, json_string_value(json_object_get(opening->session, "id")),
                      STR("its launcher is gone"));
    }
    json_decref(opening->session);
    buf_clear(&opening->ca_pem);
    buf_clear(&opening->ca_key);
    buf_clear(&opening->text);
    free(opening);
}

static bool is_listening(int fd)
{
    int value = 0;
    socklen_t size = sizeof(value);

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) < 0 || value == 0) {
        return false;
    }
    size = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) == 0 && value == SOCK_STREAM;
}

static int take_sockets(struct job *job, struct opening *opening, struct err *err)
{
    struct exchange *exchange = job->exchange;

    if (!exchange->peer->unix_socket || exchange->fd_count == 0) {
        return err_set(err, "a session is opened over the local socket, with the sandbox's "
                            "listening sockets beside the request");
    }
    for (size_t i = 0; i < exchange->fd_count; i++) {
        if (!is_listening(exchange->fds[i])) {
            return err_set(err, "descriptor %zu is no listening socket", i);
        }
    }
    memcpy(opening->fds, exchange->fds, exchange->fd_count * sizeof(int));
    opening->fd_count = exchange->fd_count;
    exchange->fd_count = 0;
    return 0;
}

/* We have made many, and a launcher would first have to set OpenSSL up for its one. */
static int make_ca(struct opening *opening, struct err *err)
{
    struct ca_wish wish = {.name = "keybrake sandbox", .now_ms = clock_wall_ms(), .days = CA_DAYS};

    opening->ca_is_ours = true;
    return ca_make_plain(&wish, &opening->ca_pem, &opening->ca_key, err);
}

static int take_ca(struct job *job, struct opening *opening, struct err *err)
{
    const json_t *pem = json_object_get(job->json, "ca_pem");
    const json_t *key = json_object_get(job->json, "ca_key");

    buf_init(&opening->ca_pem, CA_PEM_BYTES_MAX);
    buf_init_wiped(&opening->ca_key, CA_KEY_BYTES_MAX);
    if (pem == NULL && key == NULL) {
        return make_ca(opening, err);
    }
    (void)buf_add_str(&opening->ca_pem, json_str(pem));
    if (buf_len(&opening->ca_pem) == 0 || opening->ca_pem.overflow ||
        !base64_decode(&opening->ca_key, json_str(key)) || buf_len(&opening->ca_key) == 0) {
        return err_set(err, "ca_pem and ca_key are a certificate and its private key in base64");
    }
    return 0;
}

static int build_policies(struct job *job, struct call_session *session, struct err *err)
{
    const json_t *keys = json_object_get(job->json, "keys");
    size_t count = json_array_size(keys);
    const char *name;
    json_t *value;

    json_object_foreach(job->json, name, value)
    {
        if (strcmp(name, "keys") != 0 && strcmp(name, "ca_pem") != 0 &&
            strcmp(name, "ca_key") != 0) {
            return err_set(err, "the field '%.64s' is not known here", name);
        }
    }
    if (!json_is_array(keys) || count > LIMIT_SESSION_KEYS) {
        return err_set(err, "keys is a list of at most %d policies", LIMIT_SESSION_KEYS);
    }
    session->policies = arena_zeroed(job->arena, count + 1, sizeof(struct policy));
    session->policy_count = count;
    for (size_t i = 0; i < count; i++) {
        int64_t now_ms = clock_wall_ms();
        struct policy *policy = &session->policies[i];
        if (policy_parse(json_array_get(keys, i), job->api->config, now_ms, job->arena, policy,
                         err) < 0 ||
            policy_check(policy, job->api->config, now_ms, err) < 0) {
            return err_prefix(err, "keys[%zu]", i);
        }
    }
    return 0;
}

static void go_on(struct job *job);

static void finish(struct job *job)
{
    struct opening *opening = job->own;
    struct api *api = job->api;
    struct str id = json_str(json_object_get(opening->session, "id"));
    uint32_t gate = (uint32_t)json_integer_value(json_object_get(opening->session, "gate"));
    struct answer answer = {.status = 201, .content_type = STR("application/json")};

    json_close(&opening->out, ']');
    json_close(&opening->out, '}');
    for (size_t i = 0; i < opening->fd_count && api->parent != NULL; i++) {
        struct message_listener listener = {.listener = gate,
                                            .kind = LISTENER_SESSION,
                                            .address = STR("sandbox"),
                                            .session = id,
                                            .ca_pem = buf_str(&opening->ca_pem),
                                            .ca_key = buf_str(&opening->ca_key)};
        api->parent->hand(api->parent_ctx, &listener, opening->fds[i]);
    }
    answer.body = buf_str(&opening->text);
    int fd = exchange_take_over(job->exchange, &answer);
    if (fd >= 0) {
        opening->opened = false;
        session_begin(api, id, fd);
    }
    job_over(job);
}

static void write_key(struct opening *opening, const json_t *key, const struct pack *pack,
                      const json_t *public_fields)
{
    struct json_out *out = &opening->out;
    static const char *const members[] = {"id", "vendor", "token", "expires_at"};
    size_t at;
    json_t *warning;

    json_open(out, '{');
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        json_name(out, members[i]);
        json_text(out, json_str(json_object_get(key, members[i])));
    }
    json_name(out, "warnings");
    json_open(out, '[');
    json_array_foreach(json_object_get(key, "warnings"), at, warning)
    {
        json_text(out, json_str(warning));
    }
    json_close(out, ']');
    json_name(out, "env");
    env_write_at(out, DOOR_URL, pack, json_str(json_object_get(key, "token")), public_fields);
    json_close(out, '}');
    opening->next++;
}

static const struct pack *pack_of(const struct job *job, const json_t *key)
{
    const struct config *config = job->api->config;
    uint32_t pack = config_find_pack(config, json_str(json_object_get(key, "vendor")));

    return pack == PACK_NONE ? NULL : &config->packs[pack];
}

static void on_fields(struct job *job, const struct message_reply *reply)
{
    struct opening *opening = job->own;
    const json_t *key = json_array_get(json_object_get(opening->session, "keys"), opening->next);
    const struct pack *pack = pack_of(job, key);
    json_t *credential =
        reply->code.len == 0 ? json_loadb(reply->json.data, reply->json.len, 0, NULL) : NULL;

    if (pack == NULL) {
        opening->next++; /* unloaded meanwhile */
    } else {
        write_key(opening, key, pack, json_object_get(credential, "public_fields"));
    }
    json_decref(credential);
    go_on(job);
}

/* Each key's variables, of which some need the credential's public fields. */
static void go_on(struct job *job)
{
    struct opening *opening = job->own;
    const json_t *keys = json_object_get(opening->session, "keys");

    while (opening->next < json_array_size(keys)) {
        const json_t *key = json_array_get(keys, opening->next);
        const struct pack *pack = pack_of(job, key);
        if (pack == NULL) {
            opening->next++;
        } else if (!env_needs_fields(pack)) {
            write_key(opening, key, pack, NULL);
        } else {
            struct message_call call =
                job_ask(job, CALL_CREDENTIAL_GET, json_str(json_object_get(key, "credential")));
            call.local = true; /* an issuer may not read credentials; ids are not secret */
            job_call(job, &call, on_fields);
            return;
        }
    }
    finish(job);
}

static void on_opened(struct job *job, const struct message_reply *reply)
{
    struct opening *opening = job->own;

    if (job_failed(job, reply)) {
        return;
    }
    opening->session = json_loadb(reply->json.data, reply->json.len, 0, NULL);
    if (json_string_value(json_object_get(opening->session, "id")) == NULL) {
        job_refuse(job, 500, "internal", "the judge opened no session");
        return;
    }
    opening->opened = true;
    buf_init_wiped(&opening->text, LIMIT_API_BODY_BYTES);
    opening->out = json_begin(&opening->text);
    json_open(&opening->out, '{');
    json_name(&opening->out, "id");
    json_text(&opening->out, json_str(json_object_get(opening->session, "id")));
    if (opening->ca_is_ours) {
        json_name(&opening->out, "ca_pem");
        json_text(&opening->out, buf_str(&opening->ca_pem));
    }
    json_name(&opening->out, "keys");
    json_open(&opening->out, '[');
    go_on(job);
}

void sandboxes_run_open(struct job *job)
{
    struct opening *opening = mem_zeroed(sizeof(*opening));
    struct call_session session = {0};
    struct err err = {""};
    struct buf body;

    opening->api = job->api;
    job->own = opening;
    job->own_free = opening_free;
    buf_init(&body, LIMIT_API_BODY_BYTES);
    if (take_sockets(job, opening, &err) < 0 || take_ca(job, opening, &err) < 0 ||
        build_policies(job, &session, &err) < 0 ||
        job_encode(&call_session_schema, &session, &body, &err) < 0) {
        buf_clear(&body);
        job_refuse(job, 400, "bad_request", "%s", err.text);
        return;
    }
    struct message_call call = job_ask(job, CALL_SESSION_OPEN, STR_NONE);
    call.body = buf_str(&body);
    job_call(job, &call, on_opened);
    buf_clear(&body);
}
