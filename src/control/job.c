/* SPDX-License-Identifier: Apache-2.0 */
#include "control/job.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/problem.h"

enum { CALL_MS = 15 * 1000, DETAIL_MAX = 1024 };

struct str json_str(const json_t *value)
{
    return json_is_string(value) ? str_of(json_string_value(value), json_string_length(value))
                                 : STR_NONE;
}

static const struct argument *find_argument(const struct job *job, const char *name)
{
    for (size_t i = 0; i < job->argument_count; i++) {
        if (str_equal(job->arguments[i].name, str_from(name))) {
            return &job->arguments[i];
        }
    }
    return NULL;
}

struct str job_argument(const struct job *job, const char *name)
{
    const struct argument *argument = find_argument(job, name);
    return argument == NULL ? STR_NONE : argument->value;
}

bool job_has_argument(const struct job *job, const char *name)
{
    return find_argument(job, name) != NULL;
}

/* ---- ending ---- */

static void forget_call(struct job *job)
{
    if (job->call != 0) {
        (void)table_remove(&job->api->calls, &job->call);
        list_remove(&job->link);
        loop_timer_stop(job->api->loop, &job->timer);
        job->call = 0;
    }
}

static void job_free(struct job *job)
{
    forget_call(job);
    if (job->own_free != NULL) {
        job->own_free(job->own);
    }
    json_decref(job->json);
    buf_clear(&job->scratch);
    arena_free(job->arena);
    free(job);
}

void job_over(struct job *job)
{
    job_free(job);
}

void job_answer(struct job *job, const struct answer *answer)
{
    exchange_answer(job->exchange, answer);
    job_free(job);
}

void job_answer_json(struct job *job, unsigned status, struct str json)
{
    struct answer answer = {
        .status = status, .content_type = STR("application/json"), .body = json};
    job_answer(job, &answer);
}

/* `allow`: the methods that there are, or empty. */
static void answer_problem_allowing(struct job *job, unsigned status, struct str code,
                                    struct str detail, struct str allow)
{
    struct message_header headers[2];
    struct answer answer = {.status = status, .content_type = PROBLEM_TYPE, .headers = headers};
    struct buf body;

    buf_init_wiped(&body, PROBLEM_BYTES_MAX);
    problem_write(&body, status, code, detail);
    answer.body = buf_str(&body);
    if (status == 401) {
        headers[answer.header_count++] = (struct message_header){
            STR("www-authenticate"), STR("Bearer realm=\"keybrake control\"")};
    } else if (status == 503) {
        headers[answer.header_count++] = (struct message_header){STR("retry-after"), STR("1")};
    }
    if (allow.len > 0) {
        headers[answer.header_count++] = (struct message_header){STR("allow"), allow};
    }
    job_answer(job, &answer);
    buf_clear(&body);
}

static void answer_problem(struct job *job, unsigned status, struct str code, struct str detail)
{
    answer_problem_allowing(job, status, code, detail, STR_NONE);
}

void job_refuse_method(struct job *job, struct str allow)
{
    char detail[DETAIL_MAX];

    (void)snprintf(detail, sizeof(detail), "there is no such call; this path takes %.*s",
                   STR_FMT(allow));
    answer_problem_allowing(job, 405, STR("method_not_allowed"), str_from(detail), allow);
}

static void on_streamed(void *ctx)
{
    job_free(ctx);
}

void job_stream(struct job *job, const char *content_type, stream_more *more)
{
    struct answer answer = {.status = 200, .content_type = str_from(content_type)};
    exchange_stream(job->exchange, &answer, more, on_streamed, job);
}

void job_refuse(struct job *job, unsigned status, const char *code, const char *format, ...)
{
    char detail[DETAIL_MAX];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    answer_problem(job, status, str_from(code), str_from(detail));
}

bool job_failed(struct job *job, const struct message_reply *reply)
{
    if (reply->code.len == 0 && reply->status >= 200 && reply->status < 300) {
        return false;
    }
    job_relay(job, reply);
    return true;
}

void job_relay(struct job *job, const struct message_reply *reply)
{
    char etag[32];
    struct message_header headers[1];
    struct answer answer = {.status = reply->status,
                            .content_type = STR("application/json"),
                            .headers = headers,
                            .body = reply->json};

    if (reply->status < 200 || reply->status > 599) {
        job_refuse(job, 500, "internal", "the judge gave no status");
        return;
    }
    if (reply->code.len > 0) {
        answer_problem(job, reply->status, reply->code, reply->detail);
        return;
    }
    if (reply->version > 0) {
        (void)snprintf(etag, sizeof(etag), "\"%" PRIu64 "\"", reply->version);
        headers[answer.header_count++] = (struct message_header){STR("etag"), str_from(etag)};
    }
    if (reply->json.len == 0) {
        answer.content_type = STR_NONE;
        answer.status = reply->status == 200 ? 204 : reply->status;
    }
    job_answer(job, &answer);
}

/* ---- asking ---- */

int job_encode(const struct wire_schema *schema, const void *thing, struct buf *body,
               struct err *err)
{
    return wire_encode(schema, thing, body) ? 0 : err_set(err, "a text is longer than it may be");
}

struct message_call job_ask(const struct job *job, enum call_verb verb, struct str id)
{
    struct message_call call = {.verb = verb,
                                .local = job->local,
                                .token_digest = job->token_digest,
                                .vault_key = job->vault_key,
                                .id = id};

    if (job->local) {
        char actor[32];
        (void)snprintf(actor, sizeof(actor), "uid %u", (unsigned)job->exchange->peer->uid);
        call.actor = arena_copy(job->arena, str_from(actor));
    }
    return call;
}

uint64_t api_call(struct api *api, const struct message_call *call)
{
    struct message_call numbered = *call;

    numbered.call = ++api->next_call;
    (void)(api->judge != NULL && channel_send(api->judge, MESSAGE_CALL, &numbered));
    return numbered.call;
}

static void on_silence(void *ctx)
{
    struct job *job = ctx;

    log_warn("judge-silent", "call=%" PRIu64, job->call);
    forget_call(job);
    job_refuse(job, 503, "ledger_unavailable",
               "the server did not answer in time; ask again to see whether it was done");
}

void job_call(struct job *job, const struct message_call *call, job_reply *reply)
{
    struct api *api = job->api;
    struct message_call numbered = *call;

    forget_call(job);
    numbered.call = ++api->next_call;
    if (api->judge == NULL || !channel_send(api->judge, MESSAGE_CALL, &numbered)) {
        job_refuse(job, 503, "ledger_unavailable", "the server is starting or overloaded");
        return;
    }
    job->call = numbered.call;
    job->asked = numbered;
    job->asked.body = STR_NONE;
    job->reply = reply;
    table_add(&api->calls, job);
    list_add(&api->jobs, &job->link);
    loop_timer_set(api->loop, &job->timer, CALL_MS, on_silence, job);
}
