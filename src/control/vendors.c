/* SPDX-License-Identifier: Apache-2.0 */
/* Vendors, as the configuration has them. */
#include "base/limits.h"
#include "control/handlers.h"
#include "policy/policy_json.h"
#include "policy/usd.h"

enum { VENDOR_BYTES_MAX = 4 * 1024 * 1024 };

static void write_head(struct json_out *json, const struct pack *pack)
{
    json_name(json, "vendor");
    json_text(json, pack->vendor);
    json_name(json, "revision");
    json_text(json, pack->revision);
    json_name(json, "operation_count");
    json_u64(json, pack->operation_count);
}

static void on_list(struct job *job, const struct message_reply *reply)
{
    const struct config *config = job->api->config;
    struct buf body;

    if (job_failed(job, reply)) {
        return;
    }
    buf_init(&body, LIMIT_API_BODY_BYTES);
    struct json_out json = json_begin(&body);
    json_open(&json, '{');
    json_name(&json, "data");
    json_open(&json, '[');
    for (size_t i = 0; i < config->pack_count; i++) {
        json_open(&json, '{');
        write_head(&json, &config->packs[i]);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_name(&json, "next_cursor");
    json_put_null(&json);
    json_close(&json, '}');
    job_answer_json(job, 200, buf_str(&body));
    buf_clear(&body);
}

static void write_upstreams(struct json_out *json, const struct pack *pack)
{
    json_name(json, "upstreams");
    json_open(json, '[');
    for (size_t i = 0; i < pack->upstream_count; i++) {
        const struct pack_upstream *upstream = &pack->upstreams[i];
        json_open(json, '{');
        json_name(json, "alias");
        json_text(json, upstream->alias);
        json_name(json, "host");
        json_text(json, upstream->host);
        json_name(json, "allowed");
        json_bool(json, upstream->allowed);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void write_fields(struct json_out *json, const struct pack *pack)
{
    json_name(json, "credential_fields");
    json_open(json, '[');
    for (size_t i = 0; i < pack->field_count; i++) {
        const struct pack_field *field = &pack->fields[i];
        json_open(json, '{');
        json_name(json, "name");
        json_text(json, field->name);
        json_name(json, "secret");
        json_bool(json, field->secret);
        json_name(json, "required");
        json_bool(json, field->required);
        json_name(json, "prefixes");
        json_open(json, '[');
        for (size_t k = 0; k < field->prefix_count; k++) {
            json_text(json, field->prefixes[k]);
        }
        json_close(json, ']');
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void write_endpoints(struct json_out *json, const struct pack *pack, uint32_t operation)
{
    json_name(json, "endpoints");
    json_open(json, '[');
    for (size_t i = 0; i < pack->match_count; i++) {
        if (pack->matches[i].operation == operation) {
            struct buf text;
            buf_init(&text, LIMIT_ENTRY_BYTES * 2);
            (void)buf_add_str(&text, pack->matches[i].method);
            (void)buf_add_char(&text, ' ');
            (void)buf_add_str(&text, pack->matches[i].path);
            json_text(json, buf_str(&text));
            buf_clear(&text);
        }
    }
    json_close(json, ']');
}

static void write_operations(struct json_out *json, const struct pack *pack)
{
    json_name(json, "operations");
    json_open(json, '[');
    for (uint32_t i = 0; i < pack->operation_count; i++) {
        const struct pack_operation *operation = &pack->operations[i];
        json_open(json, '{');
        json_name(json, "name");
        json_text(json, operation->name);
        json_name(json, "class");
        json_text(json, str_from(operation_class_name(operation->class)));
        json_name(json, "only_by_name");
        json_bool(json, operation_class_is_guarded(operation->class));
        json_name(json, "costs");
        json_bool(json, operation->cost != PACK_NONE);
        write_endpoints(json, pack, i);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void write_prices(struct json_out *json, const struct pack *pack)
{
    json_name(json, "prices");
    json_open(json, '[');
    for (size_t i = 0; i < pack->rate_count; i++) {
        const struct pack_rate *rate = &pack->rates[i];
        json_open(json, '{');
        json_name(json, "name");
        json_text(json, rate->name);
        json_name(json, "match");
        json_text(json, rate->match);
        json_name(json, "price_usd");
        json_usd(json, rate->price);
        json_name(json, "source");
        json_text(json, rate->source);
        json_name(json, "as_of");
        json_time(json, rate->as_of_ms);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void on_show(struct job *job, const struct message_reply *reply)
{
    const struct config *config = job->api->config;
    uint32_t index = config_find_pack(config, job->id);
    struct buf body;

    if (job_failed(job, reply)) {
        return;
    }
    if (index == PACK_NONE) {
        job_refuse(job, 404, "not_found", "there is no vendor '%.*s' here",
                   STR_FMT(str_slice(job->id, 0, LIMIT_NAME_BYTES)));
        return;
    }
    buf_init(&body, VENDOR_BYTES_MAX);
    struct json_out json = json_begin(&body);
    json_open(&json, '{');
    write_head(&json, &config->packs[index]);
    write_upstreams(&json, &config->packs[index]);
    write_fields(&json, &config->packs[index]);
    write_operations(&json, &config->packs[index]);
    write_prices(&json, &config->packs[index]);
    json_close(&json, '}');
    job_answer_json(job, 200, buf_str(&body));
    buf_clear(&body);
}

void vendors_run_list(struct job *job)
{
    struct message_call call = job_ask(job, CALL_AUTHORISE, STR("vendors"));
    job_call(job, &call, on_list);
}

void vendors_run_show(struct job *job)
{
    struct message_call call = job_ask(job, CALL_AUTHORISE, STR("vendors"));
    job_call(job, &call, on_show);
}
