/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is judged of a request beside its path: body forms, headers, accounts, idempotency.
 */
#include <string.h>

#include "base/clock.h"
#include "pack/load_parts.h"

enum { ACCOUNT_PARAMS_MAX = 16, PARAMS_MAX = 16, FETCH_HEADERS_MAX = 8 };

static int load_header_names(struct json_in *in, const struct json_place *at, json_t *value,
                             struct str **ret, size_t *ret_count)
{
    if (json_in_texts(in, at, value, PACK_LIST_MAX, PACK_NAME_MAX, ret, ret_count) != 0) {
        return -1;
    }
    for (size_t i = 0; i < *ret_count; i++) {
        struct json_place here = {.up = at, .index = i};
        if (load_header_name(in, &here, (*ret)[i], &(*ret)[i]) != 0) {
            return -1;
        }
    }
    return 0;
}

static int load_encoding(struct json_in *in, const struct json_place *at, json_t *value,
                         void *element)
{
    static const char *const words[ENCODING_COUNT] = {"any", "form", "json", "multipart"};
    struct pack_encoding *encoding = element;
    size_t word;

    encoding->prefix = arena_copy(in->arena, str_from(at->name));
    if (!str_starts(encoding->prefix, STR("/")) || encoding->prefix.len > PACK_TEXT_MAX) {
        return json_in_fail(in, at, "must be the beginning of a path");
    }
    if (json_in_word(in, at, value, words, ENCODING_COUNT, &word) != 0) {
        return -1;
    }
    encoding->encoding = (enum body_encoding)word;
    return 0;
}

static int load_encodings(struct json_in *in, const struct json_place *at, json_t *value,
                          void *target)
{
    struct pack *pack = target;

    return json_in_map(in, at, value, PACK_LIST_MAX, sizeof(struct pack_encoding), load_encoding,
                       &pack->encodings, &pack->encoding_count);
}

static int load_once(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct load_context *context = load_context_of(in);

    (void)target;
    return json_in_texts(in, at, value, PACK_LIST_MAX, PACK_NAME_MAX, &context->once,
                         &context->once_count);
}

static int load_judged_header(struct json_in *in, const struct json_place *at, json_t *value,
                              void *element)
{
    static const char *const words[] = {"pass", "accounts"};
    struct pack_header *header = element;
    size_t word;

    if (load_header_name(in, at, str_from(at->name), &header->name) != 0 ||
        json_in_word(in, at, value, words, COUNT(words), &word) != 0) {
        return -1;
    }
    header->rule = word == 0 ? HEADER_PASS : HEADER_ACCOUNTS;
    return 0;
}

static int load_judged_headers(struct json_in *in, const struct json_place *at, json_t *value,
                               void *target)
{
    struct pack *pack = target;

    return json_in_map(in, at, value, PACK_LIST_MAX - 1, sizeof(struct pack_header),
                       load_judged_header, &pack->headers, &pack->header_count);
}

static int load_drop_headers(struct json_in *in, const struct json_place *at, json_t *value,
                             void *target)
{
    struct pack *pack = target;

    return load_header_names(in, at, value, &pack->drop_headers, &pack->drop_header_count);
}

static int load_fetch_header(struct json_in *in, const struct json_place *at, json_t *value,
                             void *element)
{
    struct message_header *header = element;

    return load_header_name(in, at, str_from(at->name), &header->name) != 0
               ? -1
               : json_in_text(in, at, value, PACK_NAME_MAX, &header->value);
}

static int load_fetch_headers(struct json_in *in, const struct json_place *at, json_t *value,
                              void *target)
{
    struct pack *pack = target;

    return json_in_map(in, at, value, FETCH_HEADERS_MAX, sizeof(struct message_header),
                       load_fetch_header, &pack->fetch_headers, &pack->fetch_header_count);
}

static int load_account_params(struct json_in *in, const struct json_place *at, json_t *value,
                               void *target)
{
    struct pack *pack = target;

    return json_in_texts(in, at, value, ACCOUNT_PARAMS_MAX, PACK_NAME_MAX, &pack->account_params,
                         &pack->account_param_count);
}

static int load_account_pointers(struct json_in *in, const struct json_place *at, json_t *value,
                                 void *target)
{
    struct pack *pack = target;

    if (json_in_texts(in, at, value, ACCOUNT_PARAMS_MAX, PACK_NAME_MAX, &pack->account_pointers,
                      &pack->account_pointer_count) != 0) {
        return -1;
    }
    for (size_t i = 0; i < pack->account_pointer_count; i++) {
        if (!str_starts(pack->account_pointers[i], STR("/"))) {
            return json_in_fail(in, at, "a JSON pointer begins with \"/\"");
        }
    }
    return 0;
}

static int load_account_prefix(struct json_in *in, const struct json_place *at, json_t *value,
                               void *target)
{
    return json_in_text(in, at, value, PACK_NAME_MAX, &((struct pack *)target)->account_prefix);
}

static int load_accounts(struct json_in *in, const struct json_place *at, json_t *value,
                         void *target)
{
    static const struct json_member members[] = {{"params", JSON_REQUIRED, load_account_params},
                                                 {"pointers", JSON_OPTIONAL, load_account_pointers},
                                                 {"prefix", JSON_OPTIONAL, load_account_prefix}};

    return json_in_object(in, at, value, members, COUNT(members), target);
}

static int load_card_data(struct json_in *in, const struct json_place *at, json_t *value,
                          void *target)
{
    (void)target;
    return json_in_bool(in, at, value, &load_context_of(in)->refuse_card_data);
}

/* ---- idempotency ---- */

static int load_idempotency_header(struct json_in *in, const struct json_place *at, json_t *value,
                                   void *target)
{
    struct str text;

    return json_in_text(in, at, value, PACK_NAME_MAX, &text) != 0
               ? -1
               : load_header_name(in, at, text, &((struct pack_idempotency *)target)->header);
}

static int load_replay_header(struct json_in *in, const struct json_place *at, json_t *value,
                              void *target)
{
    struct str text;

    return json_in_text(in, at, value, PACK_NAME_MAX, &text) != 0
               ? -1
               : load_header_name(in, at, text,
                                  &((struct pack_idempotency *)target)->replay_header);
}

static int load_idempotency_max(struct json_in *in, const struct json_place *at, json_t *value,
                                void *target)
{
    return json_in_integer(in, at, value, 64, 4096, &((struct pack_idempotency *)target)->max);
}

static int load_duration(struct json_in *in, const struct json_place *at, json_t *value,
                         uint64_t *ret_ms)
{
    struct str text;

    if (json_in_text(in, at, value, PACK_NAME_MAX, &text) != 0) {
        return -1;
    }
    return clock_parse_duration(text, ret_ms)
               ? 0
               : json_in_fail(in, at, "must be a duration such as \"30s\" or \"24h\"");
}

static int load_remembers(struct json_in *in, const struct json_place *at, json_t *value,
                          void *target)
{
    return load_duration(in, at, value, &((struct pack_idempotency *)target)->window_ms);
}

static int load_every_post(struct json_in *in, const struct json_place *at, json_t *value,
                           void *target)
{
    return json_in_bool(in, at, value, &((struct pack_idempotency *)target)->every_post);
}

/* The header is judged, so that what goes out is what the judge made of it. */
static int judge_idempotency(struct json_in *in, struct pack *pack)
{
    struct pack_header *headers =
        arena_zeroed(in->arena, pack->header_count + 1, sizeof(struct pack_header));

    if (pack->header_count > 0) {
        memcpy(headers, pack->headers, pack->header_count * sizeof(struct pack_header));
    }
    headers[pack->header_count] =
        (struct pack_header){pack->idempotency.header, HEADER_IDEMPOTENCY};
    pack->headers = headers;
    pack->header_count++;
    return 0;
}

static int load_idempotency(struct json_in *in, const struct json_place *at, json_t *value,
                            void *target)
{
    static const struct json_member members[] = {
        {"header", JSON_REQUIRED, load_idempotency_header},
        {"max", JSON_REQUIRED, load_idempotency_max},
        {"remembers", JSON_REQUIRED, load_remembers},
        {"replay_header", JSON_OPTIONAL, load_replay_header},
        {"every_post", JSON_OPTIONAL, load_every_post}};
    struct pack *pack = target;

    return json_in_object(in, at, value, members, COUNT(members), &pack->idempotency) != 0
               ? -1
               : judge_idempotency(in, pack);
}

static int load_params(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct load_context *context = load_context_of(in);

    (void)target;
    return json_in_texts(in, at, value, PARAMS_MAX, PACK_NAME_MAX, &context->params,
                         &context->param_count);
}

int load_request(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    static const struct json_member members[] = {
        {"encodings", JSON_OPTIONAL, load_encodings},
        {"once", JSON_OPTIONAL, load_once},
        {"params", JSON_OPTIONAL, load_params},
        {"headers", JSON_OPTIONAL, load_judged_headers},
        {"drop_headers", JSON_OPTIONAL, load_drop_headers},
        {"fetch_headers", JSON_OPTIONAL, load_fetch_headers},
        {"accounts", JSON_OPTIONAL, load_accounts},
        {"refuse_card_data", JSON_OPTIONAL, load_card_data},
        {"idempotency", JSON_OPTIONAL, load_idempotency}};

    return json_in_object(in, at, value, members, COUNT(members), target) != 0
               ? -1
               : load_default_read(in);
}
