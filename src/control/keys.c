/* SPDX-License-Identifier: Apache-2.0 */
/* Vault keys: issue, list, change, and the variables that go with one. */
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "control/env.h"
#include "control/handlers.h"
#include "control/host.h"
#include "http/url.h"
#include "policy/policy_parse.h"

/* ---- what a sandbox can reach ---- */

static bool is_remote(struct str where)
{
    static const char *const remote[] = {"docker", "e2b", "modal", "fly", "k8s"};

    for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++) {
        if (str_equal(where, str_from(remote[i]))) {
            return true;
        }
    }
    return false;
}

/* 0.0.0.0 is where we listen, not where we are. */
static bool url_is_loopback(struct str text)
{
    struct url url;
    struct err ignored;

    return url_parse_base(text, &url, &ignored) < 0 || host_is_loopback(url.host) ||
           str_equal(url.host, STR("0.0.0.0")) || str_equal(url.host, STR("::"));
}

/* False with the remedy when what is made for `where` could not reach us. */
static bool is_reachable(const struct job *job, struct str where, struct err *err)
{
    struct str url = host_public_url(job->api->config, job->arena);

    if (where.len > 0 && !is_remote(where) && !str_equal(where, STR("sh"))) {
        (void)err_set(err, "for is one of: sh, docker, e2b, modal, fly, k8s");
        return false;
    }
    if (!is_remote(where) || !url_is_loopback(url)) {
        return true;
    }
    (void)err_set(err,
                  "a sandbox of %.*s cannot reach %.*s; start the server with --public-url and an "
                  "address that it can reach",
                  STR_FMT(where), STR_FMT(url.len > 0 ? url : STR("a Unix socket")));
    return false;
}

int keys_build_issue(struct job *job, struct message_call *call, struct buf *body, struct err *err)
{
    struct policy policy;
    int64_t now_ms = clock_wall_ms();

    (void)call;
    if (!is_reachable(job, job_argument(job, "for"), err)) {
        return -1; /* before anything is issued */
    }
    if (policy_parse(job->json, job->api->config, now_ms, job->arena, &policy, err) < 0 ||
        policy_check(&policy, job->api->config, now_ms, err) < 0) {
        return -1;
    }
    return job_encode(&policy_schema, &policy, body, err);
}

int keys_build_patch(struct job *job, struct message_call *call, struct buf *body, struct err *err)
{
    struct call_patch patch;

    (void)call;
    if (policy_parse_patch(job->json, clock_wall_ms(), job->arena, &patch, err) < 0) {
        return -1;
    }
    return job_encode(&call_patch_schema, &patch, body, err);
}

/* One of two spellings. */
static struct str either(const struct job *job, const char *name, const char *other)
{
    return job_has_argument(job, name) ? job_argument(job, name) : job_argument(job, other);
}

int keys_build_filter(struct job *job, struct message_call *call, struct buf *body, struct err *err)
{
    struct call_key_filter filter = {
        .label_prefix = either(job, "label", "agent_run_label"),
        .vendor = job_argument(job, "vendor"),
        .tenant = job_argument(job, "tenant"),
        .status = job_argument(job, "status"),
        .run_id = either(job, "run_id", "run"),
    };
    static const char *const statuses[] = {"active", "paused", "revoked", "expired"};

    (void)call;
    for (size_t i = 0; filter.status.len > 0; i++) {
        if (i == sizeof(statuses) / sizeof(statuses[0])) {
            return err_set(err, "status is one of: active, paused, revoked, expired");
        }
        if (str_equal(filter.status, str_from(statuses[i]))) {
            break;
        }
    }
    return job_encode(&call_key_filter_schema, &filter, body, err);
}

/* ---- answers ---- */

/* The judge's object, with more members before its last brace. */
static struct json_out reopen(struct buf *out, struct str object)
{
    (void)buf_add_str(out, str_slice(object, 0, object.len - 1));
    struct json_out json = json_begin(out);
    json.comma = object.len > 2; /* not "{}" */
    return json;
}

static void other_spelling(const struct job *job, struct json_out *json, const json_t *key)
{
    if (!job->other_spelling) {
        return;
    }
    json_name(json, "key_id");
    json_text(json, json_str(json_object_get(key, "id")));
    if (json_object_get(key, "token") != NULL) {
        json_name(json, "vault_key");
        json_text(json, json_str(json_object_get(key, "token")));
    }
    json_name(json, "agent_run_label");
    json_text_or_null(json, json_str(json_object_get(key, "label")));
}

static void relay_changed(struct job *job, const struct message_reply *reply, struct buf *object)
{
    struct message_reply changed = *reply;

    changed.json = buf_str(object);
    job_relay(job, &changed);
}

void keys_reply_one(struct job *job, const struct message_reply *reply)
{
    json_t *key = job->other_spelling && reply->code.len == 0
                      ? json_loadb(reply->json.data, reply->json.len, 0, NULL)
                      : NULL;

    if (!json_is_object(key)) {
        json_decref(key);
        job_relay(job, reply);
        return;
    }
    struct buf object;
    buf_init_wiped(&object, LIMIT_API_BODY_BYTES * 2);
    struct json_out json = reopen(&object, reply->json);
    other_spelling(job, &json, key);
    json_close(&json, '}');
    json_decref(key);
    relay_changed(job, reply, &object);
    buf_clear(&object);
}

/* An issue's answer waits for the credential's public fields where a variable needs them. */
struct issued {
    json_t *key;
    struct buf object;
    uint64_t version;
    uint32_t status;
};

static void issued_free(void *own)
{
    struct issued *issued = own;

    json_decref(issued->key);
    buf_clear(&issued->object);
    free(issued);
}

static void finish_issue(struct job *job, const json_t *public_fields)
{
    struct issued *issued = job->own;
    const struct config *config = job->api->config;
    uint32_t pack = config_find_pack(config, json_str(json_object_get(issued->key, "vendor")));
    struct buf object;
    struct message_reply reply = {.status = issued->status, .version = issued->version};

    buf_init_wiped(&object, LIMIT_API_BODY_BYTES * 2);
    struct json_out json = reopen(&object, buf_str(&issued->object));
    other_spelling(job, &json, issued->key);
    if (pack != PACK_NONE) {
        json_name(&json, "public_url");
        json_text(&json, host_public_url(config, job->arena));
        json_name(&json, "env");
        env_write(&json, config, &config->packs[pack],
                  json_str(json_object_get(issued->key, "token")), public_fields, job->arena);
    }
    json_close(&json, '}');
    relay_changed(job, &reply, &object);
    buf_clear(&object);
}

static void on_credential(struct job *job, const struct message_reply *reply)
{
    json_t *credential =
        reply->code.len == 0 ? json_loadb(reply->json.data, reply->json.len, 0, NULL) : NULL;

    /* Not there any more: the key is issued all the same, without the variables that need it. */
    finish_issue(job, json_object_get(credential, "public_fields"));
    json_decref(credential);
}

void keys_reply_issue(struct job *job, const struct message_reply *reply)
{
    if (job_failed(job, reply)) {
        return;
    }
    json_t *key = json_loadb(reply->json.data, reply->json.len, 0, NULL);
    const struct config *config = job->api->config;
    uint32_t pack = config_find_pack(config, json_str(json_object_get(key, "vendor")));
    struct str credential = json_str(json_object_get(key, "credential"));
    if (!json_is_object(key)) {
        json_decref(key);
        job_relay(job, reply);
        return;
    }
    struct issued *issued = mem_zeroed(sizeof(*issued));
    issued->key = key;
    issued->version = reply->version;
    issued->status = reply->status;
    buf_init_wiped(&issued->object, LIMIT_API_BODY_BYTES * 2);
    (void)buf_add_str(&issued->object, reply->json);
    job->own = issued;
    job->own_free = issued_free;
    if (pack == PACK_NONE || !env_needs_fields(&config->packs[pack])) {
        finish_issue(job, NULL);
        return;
    }
    if (credential.len == 0) {
        credential = json_str(json_object_get(key, "vendor"));
    }
    struct message_call call = job_ask(job, CALL_CREDENTIAL_GET, credential);
    call.local = true; /* an issuer may not read credentials; ids are not secret */
    job_call(job, &call, on_credential);
}

/* ---- GET /v1/keys/{id}/env ---- */

static void answer_env(struct job *job, const json_t *key, const json_t *public_fields)
{
    const struct config *config = job->api->config;
    struct str vendor = json_str(json_object_get(key, "vendor"));
    uint32_t pack = config_find_pack(config, vendor);
    struct buf body;

    buf_init_wiped(&body, LIMIT_API_BODY_BYTES);
    struct json_out json = json_begin(&body);
    json_open(&json, '{');
    json_name(&json, "id");
    json_text(&json, json_str(json_object_get(key, "id")));
    json_name(&json, "vendor");
    json_text(&json, vendor);
    json_name(&json, "public_url");
    json_text(&json, host_public_url(config, job->arena));
    json_name(&json, "env");
    if (pack == PACK_NONE) {
        json_open(&json, '{');
        json_close(&json, '}');
    } else {
        env_write(&json, config, &config->packs[pack], STR("${token}"), public_fields, job->arena);
    }
    json_close(&json, '}');
    job_answer_json(job, 200, buf_str(&body));
    buf_clear(&body);
}

static void env_free(void *own)
{
    json_decref(own);
}

static void on_env_credential(struct job *job, const struct message_reply *reply)
{
    json_t *credential =
        reply->code.len == 0 ? json_loadb(reply->json.data, reply->json.len, 0, NULL) : NULL;
    json_t *key = json_incref((json_t *)job->own);

    answer_env(job, key, json_object_get(credential, "public_fields"));
    json_decref(key);
    json_decref(credential);
}

static void on_env_key(struct job *job, const struct message_reply *reply)
{
    if (job_failed(job, reply)) {
        return;
    }
    json_t *key = json_loadb(reply->json.data, reply->json.len, 0, NULL);
    struct str credential = json_str(json_object_get(key, "credential"));
    if (credential.len == 0) {
        credential = json_str(json_object_get(key, "vendor"));
    }
    job->own = key;
    job->own_free = env_free;
    struct message_call call = job_ask(job, CALL_CREDENTIAL_GET, credential);
    call.local = true;
    job_call(job, &call, on_env_credential);
}

void keys_run_env(struct job *job)
{
    struct str where = job_argument(job, "for");
    struct err err;

    if (!is_reachable(job, where, &err)) {
        bool known = is_remote(where);
        job_refuse(job, known ? 422 : 400, known ? "loopback_url" : "bad_request", "%s", err.text);
        return;
    }
    struct message_call call = job_ask(job, CALL_KEY_GET, job->id);
    job_call(job, &call, on_env_key);
}
