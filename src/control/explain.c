/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What would happen to a request.  Control stands where the gate and the reader stand for a real
 * one: it checks that the path is plain, and reads the body when the judge asks for its facts.
 */
#include <string.h>

#include "base/limits.h"
#include "control/handlers.h"
#include "control/json_alloc.h"
#include "control/members.h"
#include "http/url.h"
#include "http/write.h"
#include "pack/facts.h"

enum { ASKED_MAX = 2, METHOD_BYTES_MAX = 32 };

struct explanation {
    struct message_admit admit;
    struct str body;
    struct str key;
    unsigned asked; /* how often the judge wanted facts */
};

static int check_members(json_t *json, struct err *err)
{
    static const char *const known[] = {"key",     "key_id", "method", "path",   "query",
                                        "headers", "body",   "host",   "source", NULL};

    return members_known(json, known, err);
}

static int take_target(struct explanation *it, json_t *json, struct err *err)
{
    struct message_admit *admit = &it->admit;
    const char *why = NULL;

    admit->method = json_str(json_object_get(json, "method"));
    struct str rest = json_str(json_object_get(json, "path"));
    size_t len = rest.len;
    admit->path = str_take_until(&rest, '?');
    admit->has_query = admit->path.len < len;
    admit->query = rest;
    if (json_object_get(json, "query") != NULL && !admit->has_query) {
        admit->query = json_str(json_object_get(json, "query"));
        admit->has_query = true;
    }
    if (!http_is_token(admit->method) || admit->method.len > METHOD_BYTES_MAX) {
        return err_set(err, "method is missing, or is none");
    }
    if (admit->path.len == 0 || admit->path.len + admit->query.len > LIMIT_TARGET_BYTES) {
        return err_set(err, "path is missing, or longer than a request's may be");
    }
    if (!url_path_is_plain(admit->path, &why) ||
        (admit->has_query && !url_query_is_plain(admit->query, &why))) {
        return err_set(err, "such a request is refused with bad_request: %s", why);
    }
    return 0;
}

static int take_headers(struct job *job, struct explanation *it, json_t *headers, struct err *err)
{
    size_t count = json_object_size(headers);
    const char *name;
    json_t *value;

    if (headers != NULL && !json_is_object(headers)) {
        return err_set(err, "headers is not an object");
    }
    if (count > LIMIT_FIELDS) {
        return err_set(err, "more than %d headers", LIMIT_FIELDS);
    }
    if (count == 0) {
        return 0;
    }
    it->admit.headers = arena_zeroed(job->arena, count, sizeof(*it->admit.headers));
    json_object_foreach(headers, name, value)
    {
        struct str text = json_str(value);
        struct str lower = arena_copy(job->arena, str_from(name));
        char *at = arena_zeroed(job->arena, lower.len + 1, 1);
        for (size_t i = 0; i < lower.len; i++) {
            at[i] = ascii_lower(lower.data[i]);
        }
        lower = str_of(at, lower.len);
        if (!json_is_string(value) || !http_is_token(lower) || !http_is_field_value(text) ||
            text.len > LIMIT_HEAD_BYTES || lower.len > LIMIT_NAME_BYTES * 4) {
            return err_set(err, "header '%.64s' is not one", name);
        }
        if (!header_is_credential(job->api->config, lower)) {
            it->admit.headers[it->admit.header_count++] = (struct message_header){lower, text};
        }
    }
    return 0;
}

static int take_body(struct job *job, struct explanation *it, json_t *body, struct err *err)
{
    if (body == NULL || json_is_null(body)) {
        return 0;
    }
    it->body = json_str(body);
    if (json_is_object(body)) {
        char *text = json_dumps(body, JSON_COMPACT);
        it->body = text == NULL ? STR_NONE : arena_copy(job->arena, str_from(text));
        json_alloc_free(text);
    } else if (!json_is_string(body)) {
        return err_set(err, "body is a text as it would be sent, or a JSON object");
    }
    it->admit.body = BODY_LENGTH;
    it->admit.content_length = it->body.len;
    return 0;
}

static int take_all(struct job *job, struct explanation *it, struct err *err)
{
    json_t *json = job->json;
    json_t *key = json_object_get(json, "key");

    if (check_members(json, err) < 0) {
        return -1;
    }
    it->key = json_str(key == NULL ? json_object_get(json, "key_id") : key);
    if (it->key.len == 0 || it->key.len > LIMIT_NAME_BYTES) {
        return err_set(err, "key is missing: the id of a key");
    }
    it->admit.host = json_str(json_object_get(json, "host"));
    it->admit.source = json_str(json_object_get(json, "source"));
    if (it->admit.host.len > LIMIT_LABEL_BYTES * 2 || it->admit.source.len > LIMIT_LABEL_BYTES) {
        return err_set(err, "host or source is too long");
    }
    return take_target(it, json, err) < 0 ||
                   take_headers(job, it, json_object_get(json, "headers"), err) < 0 ||
                   take_body(job, it, json_object_get(json, "body"), err) < 0
               ? -1
               : 0;
}

static void on_explained(struct job *job, const struct message_reply *reply);

static void ask(struct job *job, enum call_verb verb, const struct wire_schema *schema,
                const void *thing)
{
    struct explanation *it = job->own;
    struct message_call call = job_ask(job, verb, it->key);
    struct err err = {""};

    buf_clear(&job->scratch);
    if (job_encode(schema, thing, &job->scratch, &err) < 0) {
        job_refuse(job, 400, "bad_request", "%s", err.text);
        return;
    }
    call.body = buf_str(&job->scratch);
    job_call(job, &call, on_explained);
}

static void on_explained(struct job *job, const struct message_reply *reply)
{
    struct explanation *it = job->own;
    const struct config *config = job->api->config;
    struct call_explain_facts with = {.admit = it->admit};

    if (!str_equal(reply->code, STR("read_body"))) {
        job_relay(job, reply);
        return;
    }
    if (reply->version >= config->read_count || it->asked++ == ASKED_MAX) {
        job_refuse(job, 503, "ledger_unavailable", "the configuration just changed; ask again");
        return;
    }
    facts_read(&config->reads[reply->version], it->body, job->arena, &with.facts);
    with.facts.request = it->admit.request;
    with.facts.generation = config->generation;
    with.facts.rule = (uint32_t)reply->version;
    with.facts.digest = digest_of(it->body);
    with.facts.length = it->body.len;
    ask(job, CALL_EXPLAIN_FACTS, &call_explain_facts_schema, &with);
}

void explain_run(struct job *job)
{
    struct explanation *it = arena_zeroed(job->arena, 1, sizeof(*it));
    struct err err = {""};

    if (take_all(job, it, &err) < 0) {
        job_refuse(job, 400, "bad_request", "%s", err.text);
        return;
    }
    job->own = it;
    ask(job, CALL_EXPLAIN, &message_admit_schema, &it->admit);
}
