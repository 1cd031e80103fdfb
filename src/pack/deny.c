/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/deny.h"

#include "base/json_out.h"

enum {
    BODY_BYTES_MAX = 64 * 1024,
    VALUE_BYTES_MAX = 4096,
    OWN_HEADERS_MAX = 8, /* those that add_headers() may add itself */
};

/* Shown as its own error, with the message, by the SDKs of stripe, openai, anthropic, twilio,
 * sendgrid and octokit; so for a vendor that nobody has described it is the best guess. */
static const char universal_body[] =
    "{\"type\":\"error\",\"error\":{\"type\":\"${type}\",\"code\":\"${code}\","
    "\"message\":\"${message}\",\"status\":\"${code}\"},\"name\":\"${code}\","
    "\"message\":\"${message}\",\"code\":\"${code}\",\"status\":${status},"
    "\"statusCode\":${status},\"errors\":[{\"message\":\"${message}\",\"code\":\"${code}\"}],"
    "\"request_id\":\"${request_id}\"}";

struct status_words {
    uint32_t status;
    const char *words;
    const char *type; /* of the universal body */
};
static const struct status_words statuses[] = {
    {200, "OK", "permission_error"},
    {400, "Bad Request", "invalid_request_error"},
    {401, "Unauthorized", "authentication_error"},
    {402, "Payment Required", "billing_error"},
    {403, "Forbidden", "permission_error"},
    {404, "Not Found", "not_found_error"},
    {405, "Method Not Allowed", "invalid_request_error"},
    {408, "Request Timeout", "invalid_request_error"},
    {409, "Conflict", "conflict_error"},
    {413, "Content Too Large", "request_too_large"},
    {414, "URI Too Long", "invalid_request_error"},
    {415, "Unsupported Media Type", "invalid_request_error"},
    {417, "Expectation Failed", "invalid_request_error"},
    {422, "Unprocessable Content", "invalid_request_error"},
    {429, "Too Many Requests", "rate_limit_error"},
    {431, "Request Header Fields Too Large", "invalid_request_error"},
    {500, "Internal Server Error", "api_error"},
    {501, "Not Implemented", "invalid_request_error"},
    {502, "Bad Gateway", "api_error"},
    {503, "Service Unavailable", "overloaded_error"},
    {504, "Gateway Timeout", "api_error"},
    {505, "HTTP Version Not Supported", "invalid_request_error"},
};

struct rendering {
    const struct pack *pack;
    const struct denial *denial;
    uint32_t status;
    struct arena *arena;
};

static const struct status_words *words_of(uint32_t status)
{
    static const struct status_words other = {0, "Refused", "api_error"};

    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (statuses[i].status == status) {
            return &statuses[i];
        }
    }
    return &other;
}

static uint32_t status_of(const struct pack *pack, const struct denial *denial)
{
    for (size_t i = 0; pack != NULL && i < pack->deny.status_count; i++) {
        if (str_equal(pack->deny.statuses[i].code, denial->code)) {
            return pack->deny.statuses[i].status;
        }
    }
    return denial->status;
}

/* By the code, else by the status ("401"), else "default", else what the status means to us. */
static struct str type_of(const struct rendering *r)
{
    struct str rest = str_from(words_of(r->status)->type);
    char digits[4] = {(char)('0' + r->status / 100 % 10), (char)('0' + r->status / 10 % 10),
                      (char)('0' + r->status % 10), '\0'};
    struct str by_status = STR_NONE;

    for (size_t i = 0; r->pack != NULL && i < r->pack->deny.type_count; i++) {
        const struct pack_type *type = &r->pack->deny.types[i];
        if (str_equal(type->code, r->denial->code)) {
            return type->type;
        }
        if (str_equal(type->code, str_from(digits))) {
            by_status = type->type;
        } else if (str_equal(type->code, STR("default"))) {
            rest = type->type;
        }
    }
    return by_status.len > 0 ? by_status : rest;
}

/* ---- placeholders ---- */

/* Printable ASCII only, so that no text can end a header or begin another one. */
static void add_header_safe(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool plain = c >= 0x20 && c < 0x7f;
        (void)buf_add(out, plain ? &text.data[i] : "?", 1);
    }
}

static void add_value(const struct rendering *r, struct str name, bool json, struct buf *out)
{
    struct str value = STR_NONE;

    if (str_equal(name, STR("status"))) {
        (void)buf_add_u64(out, r->status);
        return;
    }
    if (str_equal(name, STR("code")) || str_equal(name, STR("urn"))) {
        if (name.data[0] == 'u') {
            (void)buf_add_str(out, STR("urn:keybrake:"));
        }
        value = r->denial->code;
    } else if (str_equal(name, STR("message"))) {
        value = r->denial->message;
    } else if (str_equal(name, STR("request_id"))) {
        value = r->denial->request_id;
    } else if (str_equal(name, STR("type"))) {
        value = type_of(r);
    }
    if (json) {
        json_escape(out, value);
    } else {
        add_header_safe(out, value);
    }
}

static struct str fill(const struct rendering *r, struct str template, bool json)
{
    struct buf out;

    buf_init(&out, json ? BODY_BYTES_MAX : VALUE_BYTES_MAX);
    while (template.len > 0) {
        size_t end = str_starts(template, STR("${")) ? str_index(template, '}', 0) : template.len;
        if (end < template.len) {
            add_value(r, str_slice(template, 2, end), json, &out);
            template = str_slice(template, end + 1, template.len);
            continue;
        }
        size_t plain = str_index(template, '$', 1);
        (void)buf_add_str(&out, str_slice(template, 0, plain));
        template = str_slice(template, plain, template.len);
    }
    struct str result = arena_copy(r->arena, buf_str(&out));
    buf_clear(&out);
    return result;
}

/* ---- headers ---- */

static void add_header(struct message_answer *answer, struct str name, struct str value)
{
    answer->headers[answer->header_count++] = (struct message_header){name, value};
}

static bool accepts_only_basic(const struct pack *pack)
{
    for (size_t i = 0; i < pack->accept_count; i++) {
        enum credential_form form = pack->accepts[i].form;
        if (form != FORM_BASIC_USER && form != FORM_BASIC_PASS) {
            return false;
        }
    }
    return pack->accept_count > 0;
}

static void add_retry(const struct rendering *r, struct message_answer *answer)
{
    if (r->denial->retry != DENY_RETRY_NO && r->denial->retry_after_s > 0) {
        struct buf digits;
        buf_init(&digits, 16);
        (void)buf_add_u64(&digits, r->denial->retry_after_s);
        add_header(answer, STR("retry-after"), arena_copy(r->arena, buf_str(&digits)));
        buf_clear(&digits);
    }
    if (r->denial->retry == DENY_RETRY_AFTER) {
        return; /* a verdict of ours would overrule the wait */
    }
    struct str again = r->denial->retry == DENY_RETRY_YES ? STR("true") : STR("false");
    add_header(answer, STR("x-should-retry"), again);
    add_header(answer, STR("stripe-should-retry"), again);
}

static void add_headers(const struct rendering *r, struct message_answer *answer)
{
    size_t own = r->pack == NULL ? 0 : r->pack->deny.header_count;
    struct str content_type = r->denial->plain  ? STR("text/plain; charset=utf-8")
                              : r->pack == NULL ? STR_NONE
                                                : r->pack->deny.content_type;

    answer->headers = arena_zeroed(r->arena, own + OWN_HEADERS_MAX, sizeof(struct message_header));
    add_header(answer, STR("content-type"),
               content_type.len > 0 ? content_type : STR("application/json"));
    for (size_t i = 0; i < own; i++) {
        add_header(answer, r->pack->deny.headers[i].name,
                   fill(r, r->pack->deny.headers[i].value, false));
    }
    add_header(answer, STR("keybrake-denied"), fill(r, STR("${code}"), false));
    if (r->denial->request_id.len > 0) {
        add_header(answer, STR("keybrake-request-id"), fill(r, STR("${request_id}"), false));
    }
    add_header(answer, STR("cache-control"), STR("no-store"));
    if (r->status == 401) {
        add_header(answer, STR("www-authenticate"),
                   r->pack != NULL && accepts_only_basic(r->pack)
                       ? STR("Basic realm=\"keybrake\"")
                       : STR("Bearer realm=\"keybrake\""));
    }
    add_retry(r, answer);
}

static struct str reason_of(const struct rendering *r)
{
    struct buf out;

    buf_init(&out, VALUE_BYTES_MAX);
    (void)buf_add_str(&out, str_from(words_of(r->status)->words));
    (void)buf_add_str(&out, STR(" (keybrake: "));
    add_header_safe(&out, r->denial->code);
    (void)buf_add_char(&out, ')');
    struct str reason = arena_copy(r->arena, buf_str(&out));
    buf_clear(&out);
    return reason;
}

void deny_render(const struct pack *pack, const struct denial *denial, struct arena *arena,
                 struct message_answer *ret)
{
    struct rendering r = {
        .pack = pack, .denial = denial, .status = status_of(pack, denial), .arena = arena};
    bool own = pack != NULL && pack->deny.body.len > 0;

    ret->status = r.status;
    ret->reason = reason_of(&r);
    ret->header_count = 0;
    add_headers(&r, ret);
    ret->body = denial->plain ? fill(&r, STR("keybrake: ${message}\n"), false)
                              : fill(&r, own ? pack->deny.body : str_from(universal_body), true);
}
