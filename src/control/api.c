/* SPDX-License-Identifier: Apache-2.0 */
#include "control/api.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "control/host.h"
#include "control/job.h"
#include "control/sandboxes.h"
#include "http/write.h"
#include "policy/token.h"
#include "tls/ca_file.h"

enum {
    QUEUE_MAX = 16 * 1024 * 1024,
    CURSOR_MAX = 1000,
    PATH_MAX_BYTES = 1000,
    SEALED_CA_MAX = 4096,
};

/* ---- the judge ---- */

static void on_reply(void *ctx, struct channel *from, const void *message, int fd)
{
    struct api *api = ctx;
    const struct message_reply *reply = message;
    struct job *job = table_remove(&api->calls, &reply->call);

    (void)from;
    (void)fd;
    if (job == NULL) {
        sandboxes_reply(api, reply); /* or its time was over */
        return;
    }
    list_remove(&job->link);
    loop_timer_stop(api->loop, &job->timer);
    job->call = 0;
    job->reply(job, reply);
}

static void drop_judge(struct api *api)
{
    channel_free(api->judge);
    api->judge = NULL;
    while (!list_empty(&api->jobs)) {
        struct job *job = LIST_THING(api->jobs.next, struct job, link);
        job_refuse(job, 503, "ledger_unavailable",
                   "the server is restarting; ask again to see whether it was done");
    }
}

static void on_fault(void *ctx, struct channel *channel, const char *why)
{
    struct api *api = ctx;

    (void)channel;
    if (api->fault != NULL) {
        api->fault(api->fault_ctx, why);
    }
}

static void on_closed(void *ctx, struct channel *channel)
{
    (void)channel;
    drop_judge(ctx);
}

void api_set_judge(struct api *api, int fd, void (*fault)(void *ctx, const char *why), void *ctx)
{
    static const struct channel_accept accepts[] = {{MESSAGE_REPLY, 0, on_reply}};
    static const struct channel_events events = {
        .accepts = accepts, .accept_count = 1, .fault = on_fault, .closed = on_closed};
    static const struct channel_limits limits = {.queue_max = QUEUE_MAX, .wipe = true};

    drop_judge(api);
    api->fault = fault;
    api->fault_ctx = ctx;
    api->judge = channel_new(api->loop, fd, &events, &limits, api);
}

/* ---- requests ---- */

static bool take_decoded(struct arena *arena, struct str text, bool plus_is_space, struct str *ret)
{
    char *out = arena_zeroed(arena, text.len + 1, 1);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '%') {
            int high = i + 2 < text.len ? ascii_hex_value(text.data[i + 1]) : -1;
            int low = i + 2 < text.len ? ascii_hex_value(text.data[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if ((unsigned char)c < 0x20 || c == 0x7f) {
            return false;
        }
        out[len++] = c;
    }
    *ret = str_of(out, len);
    return true;
}

static bool is_paging(struct str name)
{
    return str_equal(name, STR("limit")) || str_equal(name, STR("cursor"));
}

static bool takes_argument(const struct route *route, struct str name)
{
    if ((route->flags & ROUTE_PAGED) != 0 && is_paging(name)) {
        return true;
    }
    for (const char *const *at = route->queries; at != NULL && *at != NULL; at++) {
        if (str_equal(name, str_from(*at))) {
            return true;
        }
    }
    return false;
}

static int take_arguments(struct job *job, struct str query, struct err *err)
{
    while (query.len > 0) {
        struct str value = str_take_until(&query, '&');
        struct str name = str_take_until(&value, '=');
        struct argument argument;

        if (name.len == 0 && value.len == 0) {
            continue;
        }
        if (!take_decoded(job->arena, name, true, &argument.name) ||
            !take_decoded(job->arena, value, true, &argument.value)) {
            return err_set(err, "the query is not well encoded");
        }
        if (!takes_argument(job->route, argument.name)) {
            return err_set(err, "the query parameter '%.*s' is not known here",
                           STR_FMT(str_slice(argument.name, 0, 64)));
        }
        for (size_t i = 0; i < job->argument_count; i++) {
            if (str_equal(job->arguments[i].name, argument.name)) {
                return err_set(err, "the query parameter '%.*s' is given twice",
                               STR_FMT(argument.name));
            }
        }
        if (job->argument_count == ARGUMENTS_MAX) {
            return err_set(err, "too many query parameters");
        }
        job->arguments[job->argument_count++] = argument;
    }
    return 0;
}

static int take_body(struct job *job, struct err *err)
{
    struct str body = job->exchange->body;
    unsigned flags = job->route->flags;
    json_error_t problem;

    if (body.len == 0) {
        return (flags & ROUTE_BODY) != 0 ? err_set(err, "the body is missing: a JSON object") : 0;
    }
    job->json = json_loadb(body.data, body.len, JSON_REJECT_DUPLICATES, &problem);
    if (job->json == NULL) {
        /* jansson's text may quote the body, which may hold a secret: tell the place only. */
        return err_set(err, "the body is not JSON: line %d, column %d", problem.line,
                       problem.column);
    }
    if (!json_is_object(job->json)) {
        return err_set(err, "the body is not a JSON object");
    }
    if ((flags & (ROUTE_BODY | ROUTE_BODY_MAY)) == 0 && json_object_size(job->json) > 0) {
        return err_set(err, "this call takes no body");
    }
    return 0;
}

static int take_page(const struct job *job, struct message_call *call, struct err *err)
{
    if ((job->route->flags & ROUTE_PAGED) == 0) {
        return 0;
    }
    call->limit = LIMIT_API_PAGE;
    call->cursor = job_argument(job, "cursor");
    if (call->cursor.len > CURSOR_MAX) {
        return err_set(err, "cursor is not one of ours");
    }
    if (job_has_argument(job, "limit") && (!str_to_u64(job_argument(job, "limit"), &call->limit) ||
                                           call->limit == 0 || call->limit > LIMIT_API_PAGE_MAX)) {
        return err_set(err, "limit is a number from 1 to %d", LIMIT_API_PAGE_MAX);
    }
    return 0;
}

/* Who asks.  False: refused. */
static bool identify(struct job *job)
{
    const struct http_head *head = job->exchange->head;
    const struct str *field = http_field(head, STR("authorization"));
    size_t count = http_field_count(head, STR("authorization"));

    if (count == 0) {
        job->local = job->exchange->peer->trusted;
        if (job->local || (job->route->flags & ROUTE_OPEN) != 0) {
            return true;
        }
        job_refuse(job, 401, "missing_token",
                   "say who you are: Authorization: Bearer kbo_..., a token of `keybrake token "
                   "add` or of `keybrake init` (on the command line: $KEYBRAKE_TOKEN)");
        return false;
    }
    struct str rest = field == NULL ? STR_NONE : *field;
    struct str scheme = str_take_until(&rest, ' ');
    struct str token = str_trim(rest);
    enum token_kind kind = token_kind(token);
    if (!str_equal_nocase(scheme, STR("bearer")) || kind == TOKEN_KIND_NONE) {
        job_refuse(job, 401, "unknown_token", "the bearer token is not one of ours");
        return false;
    }
    job->token_digest = digest_of(token);
    job->vault_key = kind == TOKEN_KIND_VAULT_KEY;
    if (job->vault_key && (job->route->flags & ROUTE_VAULT_KEY) == 0) {
        job_refuse(job, 403, "forbidden",
                   "a vault key may only see and end itself: GET /v1/self, DELETE /v1/keys/self");
        return false;
    }
    return true;
}

static int take_conditions(struct job *job, struct message_call *call, struct err *err)
{
    const struct http_head *head = job->exchange->head;
    const struct str *key = http_field(head, STR("idempotency-key"));
    const struct str *match = http_field(head, STR("if-match"));

    if (http_field_count(head, STR("idempotency-key")) > 1 ||
        http_field_count(head, STR("if-match")) > 1) {
        return err_set(err, "a header is given twice");
    }
    if (key != NULL) {
        if (key->len == 0 || key->len > LIMIT_IDEMPOTENCY_KEY_BYTES) {
            return err_set(err, "Idempotency-Key has 1 to %d bytes", LIMIT_IDEMPOTENCY_KEY_BYTES);
        }
        call->idempotency_key = *key;
        call->body_digest = digest_of(job->exchange->body);
    }
    if (match != NULL && !str_equal(*match, STR("*"))) {
        struct str tag = *match;
        if (str_starts(tag, STR("\"")) && str_ends(tag, STR("\"")) && tag.len > 2) {
            tag = str_slice(tag, 1, tag.len - 1);
        }
        if (!str_to_u64(tag, &call->if_match) || call->if_match == 0) {
            return err_set(err, "If-Match is not a policy version such as \"3\"");
        }
    }
    return 0;
}

static void ask_judge(struct job *job)
{
    const struct route *route = job->route;
    struct message_call call = job_ask(job, route->verb, job->id);
    struct err err = {""};

    buf_clear(&job->scratch);
    if (take_page(job, &call, &err) < 0 || take_conditions(job, &call, &err) < 0 ||
        (route->build != NULL && route->build(job, &call, &job->scratch, &err) < 0)) {
        job_refuse(job, 400, "bad_request", "%s", err.text);
        return;
    }
    call.body = buf_str(&job->scratch);
    job_call(job, &call, route->reply != NULL ? route->reply : job_relay);
}

static struct job *job_new(struct api *api, struct exchange *exchange)
{
    struct job *job = mem_zeroed(sizeof(*job));

    job->api = api;
    job->exchange = exchange;
    job->arena = arena_new();
    list_init(&job->link);
    buf_init_wiped(&job->scratch, LIMIT_API_BODY_BYTES);
    return job;
}

/* The other published spelling: /vault/keys... */
static struct str plain_path(struct job *job, struct str path)
{
    if (!str_equal(path, STR("/vault/keys")) && !str_starts(path, STR("/vault/keys/"))) {
        return path;
    }
    struct buf full;
    buf_init(&full, LIMIT_TARGET_BYTES);
    (void)buf_add_str(&full, STR("/v1"));
    (void)buf_add_str(&full, str_slice(path, sizeof("/vault") - 1, path.len));
    path = arena_copy(job->arena, buf_str(&full));
    buf_clear(&full);
    job->other_spelling = true;
    return path;
}

static bool find_route(struct job *job)
{
    const struct http_head *head = job->exchange->head;
    struct str raw_id = STR_NONE;
    struct buf allow;
    bool found = false;

    buf_init(&allow, 256);
    struct str path = plain_path(job, head->path);
    switch (route_find(head->method, path, &job->route, &raw_id, &allow)) {
    case ROUTE_FOUND:
        found = take_decoded(job->arena, raw_id, false, &job->id) && job->id.len <= PATH_MAX_BYTES;
        if ((job->route->flags & ROUTE_SELF) != 0) {
            job->id = STR("self");
        }
        if (!found) {
            job_refuse(job, 400, "bad_request", "the path is not well encoded");
        }
        break;
    case ROUTE_OTHER_METHOD:
        job_refuse_method(job, buf_str(&allow));
        break;
    case ROUTE_NOT_FOUND:
        job_refuse(job, 404, "not_found", "there is no such call; see docs/api.md");
        break;
    }
    buf_clear(&allow);
    return found;
}

static void handle(void *ctx, struct exchange *exchange)
{
    struct api *api = ctx;
    struct job *job = job_new(api, exchange);
    const struct http_head *head = exchange->head;
    struct err err = {""};

    if (!exchange->peer->unix_socket && !host_is_ours(api->config, head, &err)) {
        job_refuse(job, 403, "wrong_host", "%s", err.text);
        return;
    }
    if (!find_route(job) || !identify(job)) {
        return;
    }
    if (take_arguments(job, head->query, &err) < 0 || take_body(job, &err) < 0) {
        job_refuse(job, 400, "bad_request", "%s", err.text);
        return;
    }
    if (api->config == NULL) {
        job_refuse(job, 503, "ledger_unavailable", "the server is starting");
        return;
    }
    if (job->route->run != NULL) {
        job->route->run(job);
    } else {
        ask_judge(job);
    }
}

/* ---- life ---- */

struct api *api_new(struct loop *loop, struct query *query)
{
    struct api *api = mem_zeroed(sizeof(*api));

    api->loop = loop;
    api->query = query;
    api->server = server_new(loop, handle, api);
    api->calls = TABLE_OF(struct job, call);
    list_init(&api->jobs);
    list_init(&api->sandboxes);
    return api;
}

void api_free(struct api *api)
{
    if (api == NULL) {
        return;
    }
    drop_judge(api);
    sandboxes_close(api);
    server_free(api->server);
    table_clear(&api->calls);
    query_close(api->query);
    config_free(api->config);
    free(api->ca_pem);
    free(api);
}

void api_set_parent(struct api *api, const struct api_parent *parent, void *ctx)
{
    api->parent = parent;
    api->parent_ctx = ctx;
}

struct server *api_server(struct api *api)
{
    return api->server;
}

void api_set_config(struct api *api, struct config *config)
{
    config_free(api->config); /* no job keeps a pointer into it from one turn to the next */
    api->config = config;
    for (size_t i = 0; i < config->listener_count; i++) {
        if (i < CONFIG_LISTENERS_MAX && api->doors[i][0] != '\0') {
            config->listeners[i].address = str_from(api->doors[i]);
        }
    }
}

void api_set_door(struct api *api, uint32_t listener, struct str address)
{
    if (listener >= CONFIG_LISTENERS_MAX || address.len >= sizeof(api->doors[0])) {
        return;
    }
    memcpy(api->doors[listener], address.data, address.len);
    api->doors[listener][address.len] = '\0';
    if (api->config != NULL && listener < api->config->listener_count) {
        api->config->listeners[listener].address = str_from(api->doors[listener]);
    }
}

void api_set_ca(struct api *api, struct str file)
{
    struct buf sealed;
    struct str pem;

    buf_init(&sealed, SEALED_CA_MAX);
    free(api->ca_pem);
    api->ca_pem = ca_file_read(file, &pem, &sealed) ? mem_copy_str(pem) : NULL;
    buf_clear(&sealed);
}

bool api_is_ready(const struct api *api)
{
    return api->config != NULL && api->judge != NULL;
}
