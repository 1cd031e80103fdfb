/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pack says of the vendor as a whole: where it is, how its credential travels, what is
 * judged of a request beside the path, and how it says no.
 */
#include <string.h>

#include "base/clock.h"
#include "http/url.h"
#include "pack/load_parts.h"

enum { ACCOUNT_PARAMS_MAX = 16, FIELDS_MAX = 16, FETCH_HEADERS_MAX = 8 };

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

int load_header_name(struct json_in *in, const struct json_place *at, struct str text,
                     struct str *ret)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    if (text.len == 0 || text.len > PACK_NAME_MAX) {
        return json_in_fail(in, at, "a header's name has 1 to %d bytes", PACK_NAME_MAX);
    }
    char *name = arena_zeroed(in->arena, text.len, 1);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && (c == '\0' || strchr(marks, c) == NULL)) {
            return json_in_fail(in, at, "\"%.*s\" is no name of a header", STR_FMT(text));
        }
        name[i] = ascii_lower(c);
    }
    *ret = str_of(name, text.len);
    return 0;
}

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

static int load_name(struct json_in *in, const struct json_place *at, struct str *ret)
{
    struct str name = str_from(at->name);

    if (name.len == 0 || name.len > PACK_NAME_MAX) {
        return json_in_fail(in, at, "a name has 1 to %d bytes", PACK_NAME_MAX);
    }
    *ret = arena_copy(in->arena, name);
    return 0;
}

/* ---- upstreams ---- */

static int load_base(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack_upstream *upstream = target;
    struct url url;
    struct str text;
    struct err why;

    if (json_in_text(in, at, value, PACK_TEXT_MAX, &text) != 0) {
        return -1;
    }
    if (url_parse_base(text, &url, &why) != 0) {
        return json_in_fail(in, at, "%s", why.text);
    }
    upstream->tls = url.tls;
    upstream->host = url.host;
    upstream->port = url.port;
    upstream->prefix = url.prefix;
    return 0;
}

static int load_hosts(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack_upstream *upstream = target;

    if (json_in_texts(in, at, value, PACK_LIST_MAX, PACK_HOST_MAX, &upstream->hosts,
                      &upstream->host_count) != 0) {
        return -1;
    }
    for (size_t i = 0; i < upstream->host_count; i++) {
        struct json_place here = {.up = at, .index = i};
        struct str host = upstream->hosts[i];
        if (str_starts(host, STR("*."))) {
            host = str_slice(host, 2, host.len);
        }
        if (!url_host_is_name(host)) {
            return json_in_fail(in, &here, "must be a host's name, or \"*.\" and one");
        }
        for (size_t k = 0; k < host.len; k++) {
            if (host.data[k] != ascii_lower(host.data[k])) {
                return json_in_fail(in, &here, "must be in lower case");
            }
        }
    }
    return 0;
}

static int load_is_default(struct json_in *in, const struct json_place *at, json_t *value,
                           void *target)
{
    return json_in_bool(in, at, value, &((struct pack_upstream *)target)->is_default);
}

static int load_allowed(struct json_in *in, const struct json_place *at, json_t *value,
                        void *target)
{
    return json_in_bool(in, at, value, &((struct pack_upstream *)target)->allowed);
}

static int load_upstream(struct json_in *in, const struct json_place *at, json_t *value,
                         void *element)
{
    static const struct json_member members[] = {{"base", JSON_OPTIONAL, load_base},
                                                 {"hosts", JSON_OPTIONAL, load_hosts},
                                                 {"default", JSON_OPTIONAL, load_is_default},
                                                 {"allow", JSON_OPTIONAL, load_allowed}};
    struct pack_upstream *upstream = element;

    upstream->allowed = true;
    if (load_name(in, at, &upstream->alias) != 0 ||
        json_in_object(in, at, value, members, COUNT(members), upstream) != 0) {
        return -1;
    }
    if (upstream->allowed && upstream->host.len == 0 && !load_context_of(in)->pack->generic) {
        return json_in_fail(in, at,
                            "needs a \"base\"; only a generic pack gets it with the "
                            "credential");
    }
    return 0;
}

int load_upstreams(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack *pack = target;
    size_t defaults = 0;

    if (json_in_map(in, at, value, PACK_LIST_MAX, sizeof(struct pack_upstream), load_upstream,
                    &pack->upstreams, &pack->upstream_count) != 0) {
        return -1;
    }
    for (size_t i = 0; i < pack->upstream_count; i++) {
        defaults += pack->upstreams[i].is_default && pack->upstreams[i].allowed;
    }
    return defaults == 1 ? 0 : json_in_fail(in, at, "needs one that is allowed and the default");
}

/* ---- credential ---- */

static int load_secret(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    return json_in_bool(in, at, value, &((struct pack_field *)target)->secret);
}

static int load_required(struct json_in *in, const struct json_place *at, json_t *value,
                         void *target)
{
    return json_in_bool(in, at, value, &((struct pack_field *)target)->required);
}

static int load_prefixes(struct json_in *in, const struct json_place *at, json_t *value,
                         void *target)
{
    struct pack_field *field = target;

    return json_in_texts(in, at, value, PACK_LIST_MAX, PACK_NAME_MAX, &field->prefixes,
                         &field->prefix_count);
}

static int load_field(struct json_in *in, const struct json_place *at, json_t *value, void *element)
{
    static const struct json_member members[] = {{"secret", JSON_REQUIRED, load_secret},
                                                 {"required", JSON_OPTIONAL, load_required},
                                                 {"prefixes", JSON_OPTIONAL, load_prefixes}};
    struct pack_field *field = element;

    return load_name(in, at, &field->name) != 0
               ? -1
               : json_in_object(in, at, value, members, COUNT(members), field);
}

static const struct pack_field *find_field(const struct pack *pack, struct str name)
{
    for (size_t i = 0; i < pack->field_count; i++) {
        if (str_equal(pack->fields[i].name, name)) {
            return &pack->fields[i];
        }
    }
    return NULL;
}

/* The name of a field of the credential; `public_only`: it may be shown. */
static int load_field_name(struct json_in *in, const struct json_place *at, json_t *value,
                           bool public_only, struct str *ret)
{
    const struct pack *pack = load_context_of(in)->pack;

    if (json_in_text(in, at, value, PACK_NAME_MAX, ret) != 0) {
        return -1;
    }
    const struct pack_field *field = find_field(pack, *ret);
    if (field == NULL) {
        return json_in_fail(in, at, "the credential has no field \"%.*s\"", STR_FMT(*ret));
    }
    if (public_only && field->secret) {
        return json_in_fail(in, at, "the field \"%.*s\" is secret", STR_FMT(*ret));
    }
    return 0;
}

static int load_fields(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack *pack = target;

    if (json_in_map(in, at, value, FIELDS_MAX, sizeof(struct pack_field), load_field, &pack->fields,
                    &pack->field_count) != 0) {
        return -1;
    }
    for (size_t i = 0; i < pack->field_count; i++) {
        if (pack->fields[i].secret && pack->fields[i].required) {
            pack->inject.secret_field = pack->fields[i].name;
            return 0;
        }
    }
    return json_in_fail(in, at, "needs a field that is both secret and required");
}

static int load_live(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    return json_in_text(in, at, value, PACK_NAME_MAX, &((struct pack *)target)->live_mark);
}

static int load_test(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    return json_in_text(in, at, value, PACK_NAME_MAX, &((struct pack *)target)->test_mark);
}

static int load_check(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack *pack = target;

    if (json_in_text(in, at, value, PACK_TEXT_MAX, &pack->check) != 0) {
        return -1;
    }
    return str_starts(pack->check, STR("/")) ? 0 : json_in_fail(in, at, "a path begins with \"/\"");
}

static int load_accept(struct json_in *in, const struct json_place *at, json_t *value,
                       void *element)
{
    static const struct {
        const char *word;
        enum credential_form form;
    } forms[] = {{"bearer", FORM_BEARER},
                 {"token", FORM_TOKEN},
                 {"basic-user", FORM_BASIC_USER},
                 {"basic-pass", FORM_BASIC_PASS}};
    struct pack_accept *accept = element;
    struct str text;

    if (json_in_text(in, at, value, PACK_NAME_MAX, &text) != 0) {
        return -1;
    }
    if (str_starts(text, STR("header:"))) {
        accept->form = FORM_HEADER;
        return load_header_name(in, at, str_slice(text, 7, text.len), &accept->name);
    }
    for (size_t i = 0; i < COUNT(forms); i++) {
        if (str_equal(text, str_from(forms[i].word))) {
            accept->form = forms[i].form;
            return 0;
        }
    }
    return json_in_fail(in, at, "must be bearer, token, basic-user, basic-pass or header:NAME");
}

static int load_accepts(struct json_in *in, const struct json_place *at, json_t *value,
                        void *target)
{
    struct pack *pack = target;

    if (json_in_array(in, at, value, PACK_LIST_MAX, sizeof(struct pack_accept), load_accept,
                      &pack->accepts, &pack->accept_count) != 0) {
        return -1;
    }
    return pack->accept_count > 0 ? 0 : json_in_fail(in, at, "must name a form");
}

static int load_inject(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    static const struct {
        const char *word;
        enum inject_kind kind;
    } kinds[] = {{"bearer", INJECT_BEARER},
                 {"basic", INJECT_BASIC},
                 {"token", INJECT_TOKEN},
                 {"same", INJECT_SAME}};
    struct pack *pack = target;
    struct str text;

    if (json_in_text(in, at, value, PACK_NAME_MAX, &text) != 0) {
        return -1;
    }
    if (str_starts(text, STR("header:"))) {
        pack->inject.kind = INJECT_HEADER;
        return load_header_name(in, at, str_slice(text, 7, text.len), &pack->inject.header);
    }
    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (str_equal(text, str_from(kinds[i].word))) {
            pack->inject.kind = kinds[i].kind;
            return 0;
        }
    }
    return json_in_fail(in, at, "must be bearer, basic, token, same or header:NAME");
}

static int load_user(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack_inject *inject = &((struct pack *)target)->inject;
    size_t count = json_array_size(value);
    struct json_place here = {.up = at};

    if (!json_is_array(value)) {
        return json_in_text(in, at, value, PACK_NAME_MAX, &inject->user_literal);
    }
    if (count == 0 || count > FIELDS_MAX) {
        return json_in_fail(in, at, "must name 1 to %d fields", FIELDS_MAX);
    }
    inject->user_fields = arena_zeroed(in->arena, count, sizeof(struct str));
    inject->user_field_count = count;
    for (; here.index < count; here.index++) {
        if (load_field_name(in, &here, json_array_get(value, here.index), true,
                            &inject->user_fields[here.index]) != 0) {
            return -1;
        }
    }
    return 0;
}

static int load_set_header(struct json_in *in, const struct json_place *at, json_t *value,
                           void *element)
{
    struct pack_set_header *header = element;

    return load_header_name(in, at, str_from(at->name), &header->name) != 0
               ? -1
               : load_field_name(in, at, value, false, &header->field);
}

static int load_set_headers(struct json_in *in, const struct json_place *at, json_t *value,
                            void *target)
{
    struct pack *pack = target;

    return json_in_map(in, at, value, PACK_LIST_MAX, sizeof(struct pack_set_header),
                       load_set_header, &pack->set_headers, &pack->set_header_count);
}

static int load_bound_param(struct json_in *in, const struct json_place *at, json_t *value,
                            void *element)
{
    struct pack_bound_param *bound = element;

    return load_name(in, at, &bound->param) != 0
               ? -1
               : load_field_name(in, at, value, true, &bound->field);
}

static int load_bound_params(struct json_in *in, const struct json_place *at, json_t *value,
                             void *target)
{
    struct pack *pack = target;

    return json_in_map(in, at, value, PACK_LIST_MAX, sizeof(struct pack_bound_param),
                       load_bound_param, &pack->bound_params, &pack->bound_param_count);
}

int load_credential(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    static const struct json_member members[] = {
        {"check", JSON_OPTIONAL, load_check},      {"fields", JSON_REQUIRED, load_fields},
        {"live", JSON_OPTIONAL, load_live},        {"test", JSON_OPTIONAL, load_test},
        {"accept", JSON_REQUIRED, load_accepts},   {"inject", JSON_REQUIRED, load_inject},
        {"user", JSON_OPTIONAL, load_user},        {"headers", JSON_OPTIONAL, load_set_headers},
        {"path", JSON_OPTIONAL, load_bound_params}};
    struct pack *pack = target;

    if (json_in_object(in, at, value, members, COUNT(members), target) != 0) {
        return -1;
    }
    bool user = pack->inject.user_field_count > 0 || pack->inject.user_literal.len > 0;
    if (user && pack->inject.kind != INJECT_BASIC) {
        return json_in_fail(in, at, "\"user\" is for \"inject\": \"basic\" only");
    }
    return 0;
}

/* ---- request ---- */

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

int load_request(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    static const struct json_member members[] = {
        {"encodings", JSON_OPTIONAL, load_encodings},
        {"once", JSON_OPTIONAL, load_once},
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

/* ---- deny ---- */

static int load_denial_status(struct json_in *in, const struct json_place *at, json_t *value,
                              void *element)
{
    struct pack_status *status = element;
    uint64_t number;

    if (load_name(in, at, &status->code) != 0 ||
        json_in_integer(in, at, value, 200, 599, &number) != 0) {
        return -1;
    }
    status->status = (uint32_t)number;
    return 0;
}

static int load_statuses(struct json_in *in, const struct json_place *at, json_t *value,
                         void *target)
{
    struct pack_deny *deny = target;

    return json_in_map(in, at, value, PACK_LIST_MAX, sizeof(struct pack_status), load_denial_status,
                       &deny->statuses, &deny->status_count);
}

static int check_placeholders(struct json_in *in, const struct json_place *at, struct str text)
{
    static const char *const known[] = {"code", "message", "status", "request_id", "type", "urn"};

    for (size_t i = str_index(text, '$', 0); i < text.len; i = str_index(text, '$', i + 1)) {
        struct str rest = str_slice(text, i, text.len);
        size_t end = str_index(rest, '}', 0);
        bool found = !str_starts(rest, STR("${"));
        for (size_t k = 0; !found && k < COUNT(known); k++) {
            found = str_equal(str_slice(rest, 2, end), str_from(known[k])) && end < rest.len;
        }
        if (!found) {
            return json_in_fail(in, at,
                                "a placeholder is ${code}, ${message}, ${status}, "
                                "${request_id}, ${type} or ${urn}");
        }
    }
    return 0;
}

static int load_denial_header(struct json_in *in, const struct json_place *at, json_t *value,
                              void *element)
{
    struct message_header *header = element;

    if (load_header_name(in, at, str_from(at->name), &header->name) != 0 ||
        json_in_text(in, at, value, PACK_TEXT_MAX, &header->value) != 0) {
        return -1;
    }
    return check_placeholders(in, at, header->value);
}

static int load_denial_headers(struct json_in *in, const struct json_place *at, json_t *value,
                               void *target)
{
    struct pack_deny *deny = target;

    return json_in_map(in, at, value, PACK_LIST_MAX / 4, sizeof(struct message_header),
                       load_denial_header, &deny->headers, &deny->header_count);
}

static int load_content_type(struct json_in *in, const struct json_place *at, json_t *value,
                             void *target)
{
    return json_in_text(in, at, value, PACK_NAME_MAX, &((struct pack_deny *)target)->content_type);
}

/* A value that is "${status}" and nothing else is a number in the answer. */
static struct str unquote_status(struct arena *arena, struct str body)
{
    struct str quoted = STR("\"${status}\"");
    char *out = arena_zeroed(arena, body.len, 1);
    size_t used = 0;

    while (body.len > 0) {
        bool here = str_starts(body, quoted);
        size_t take = here ? quoted.len : 1;
        size_t skip = here ? 1 : 0;
        memcpy(out + used, body.data + skip, take - 2 * skip);
        used += take - 2 * skip;
        body = str_slice(body, take, body.len);
    }
    return str_of(out, used);
}

static int load_body(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack_deny *deny = target;
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    struct str body = str_from(text);
    int result = 0;

    if (body.len == 0 || body.len > PACK_BODY_MAX) {
        result = json_in_fail(in, at, "is longer than %d bytes", PACK_BODY_MAX);
    } else if (check_placeholders(in, at, body) != 0) {
        result = -1;
    } else {
        deny->body = unquote_status(in->arena, body);
    }
    free(text);
    return result;
}

static int load_type(struct json_in *in, const struct json_place *at, json_t *value, void *element)
{
    struct pack_type *type = element;

    return load_name(in, at, &type->code) != 0
               ? -1
               : json_in_text(in, at, value, PACK_NAME_MAX, &type->type);
}

static int load_types(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack_deny *deny = target;

    return json_in_map(in, at, value, PACK_LIST_MAX, sizeof(struct pack_type), load_type,
                       &deny->types, &deny->type_count);
}

int load_deny(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    static const struct json_member members[] = {{"statuses", JSON_OPTIONAL, load_statuses},
                                                 {"headers", JSON_OPTIONAL, load_denial_headers},
                                                 {"content_type", JSON_OPTIONAL, load_content_type},
                                                 {"body", JSON_OPTIONAL, load_body},
                                                 {"types", JSON_OPTIONAL, load_types}};

    return json_in_object(in, at, value, members, COUNT(members), &((struct pack *)target)->deny);
}
