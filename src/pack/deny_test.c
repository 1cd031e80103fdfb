/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/deny.h"

#include <jansson.h>
#include <string.h>

#include "base/test.h"
#include "pack/load.h"

static struct str header_of(const struct message_answer *answer, const char *name)
{
    struct str value = STR_NONE;

    for (size_t i = 0; i < answer->header_count; i++) {
        if (str_equal(answer->headers[i].name, str_from(name))) {
            CHECK_CASE(value.data == NULL, name); /* only once */
            value = answer->headers[i].value;
        }
    }
    return value;
}

static const char *text_at(json_t *body, const char *first, const char *second)
{
    json_t *value = json_object_get(body, first);

    if (second != NULL) {
        value = json_object_get(value, second);
    }
    return json_is_string(value) ? json_string_value(value) : "";
}

static struct denial denial_of(const char *code, uint32_t status)
{
    return (struct denial){.code = str_from(code),
                           .status = status,
                           .message = STR("no: \"x\"\r\nY: z \xc3\xa9 \xff"),
                           .request_id = STR("req_1")};
}

/* ---- the shape that each SDK reads (where code and message must be, and the type) ---- */

static const struct {
    const char *vendor;
    const char *code;
    uint32_t status;
    const char *outer, *message, *code_at, *type_at, *type;
    const char *id_header;
} shapes[] = {
    {"stripe", "endpoint_not_allowed", 403, "error", "message", "code", "type",
     "invalid_request_error", "request-id"},
    {"stripe", "cap_exceeded", 429, "error", "message", "code", "type", "rate_limit_error",
     "request-id"},
    {"stripe", "revoked_key", 401, "error", "message", "code", "type", "authentication_error",
     "request-id"},
    {"stripe", "idempotency_mismatch", 422, "error", "message", "code", "type", "idempotency_error",
     "request-id"},
    {"openai", "endpoint_not_allowed", 403, "error", "message", "code", "type", "permission_error",
     "x-request-id"},
    {"openai", "cap_exceeded", 429, "error", "message", "code", "type", "rate_limit_error",
     "x-request-id"},
    {"anthropic", "endpoint_not_allowed", 403, "error", "message", NULL, "type", "permission_error",
     "request-id"},
    {"anthropic", "revoked_key", 401, "error", "message", NULL, "type", "authentication_error",
     "request-id"},
    {"twilio", "endpoint_not_allowed", 403, NULL, "message", NULL, NULL, NULL, NULL},
    {"resend", "cap_exceeded", 429, NULL, "message", "name", NULL, NULL, NULL},
    {"github", "endpoint_not_allowed", 403, NULL, "message", "status", NULL, NULL,
     "x-github-request-id"},
    {"generic", "endpoint_not_allowed", 403, "error", "message", "code", "type", "permission_error",
     NULL},
};

static void check_shape(const struct config *config, size_t i)
{
    const struct pack *pack = &config->packs[config_find_pack(config, str_from(shapes[i].vendor))];
    struct denial denial = denial_of(shapes[i].code, shapes[i].status);
    struct arena *arena = arena_new();
    struct message_answer answer = {.status = 0};
    const char *what = shapes[i].vendor;

    deny_render(pack, &denial, arena, &answer);
    json_t *body = json_loadb(answer.body.data, answer.body.len, JSON_REJECT_DUPLICATES, NULL);
    json_t *at = shapes[i].outer == NULL ? body : json_object_get(body, shapes[i].outer);
    CHECK_CASE(json_is_object(at), what);
    CHECK_CASE(strcmp(text_at(at, shapes[i].message, NULL),
                      "no: \"x\"\r\nY: z \xc3\xa9 \xef\xbf\xbd") == 0,
               what);
    CHECK_CASE(shapes[i].code_at == NULL ||
                   strcmp(text_at(at, shapes[i].code_at, NULL), shapes[i].code) == 0,
               what);
    CHECK_CASE(shapes[i].type_at == NULL ||
                   strcmp(text_at(at, shapes[i].type_at, NULL), shapes[i].type) == 0,
               what);
    CHECK_CASE(answer.status == shapes[i].status, what);
    CHECK_CASE(str_equal(header_of(&answer, "content-type"), STR("application/json")), what);
    CHECK_CASE(str_equal(header_of(&answer, "keybrake-denied"), str_from(shapes[i].code)), what);
    CHECK_CASE(shapes[i].id_header == NULL ||
                   str_equal(header_of(&answer, shapes[i].id_header), STR("req_1")),
               what);
    json_decref(body);
    arena_free(arena);
}

static void check_numbers(const struct config *config)
{
    struct arena *arena = arena_new();
    struct message_answer answer = {.status = 0};
    struct denial denial = denial_of("cap_exceeded", 429);

    deny_render(&config->packs[config_find_pack(config, STR("twilio"))], &denial, arena, &answer);
    json_t *body = json_loadb(answer.body.data, answer.body.len, 0, NULL);
    CHECK(json_integer_value(json_object_get(body, "code")) == 429);
    CHECK(json_integer_value(json_object_get(body, "status")) == 429);
    json_decref(body);
    deny_render(&config->packs[config_find_pack(config, STR("anthropic"))], &denial, arena,
                &answer);
    body = json_loadb(answer.body.data, answer.body.len, 0, NULL);
    CHECK(strcmp(text_at(body, "type", NULL), "error") == 0);
    CHECK(strcmp(text_at(json_object_get(body, "error"), "details", "error_code"),
                 "cap_exceeded") == 0);
    CHECK(strcmp(text_at(body, "request_id", NULL), "req_1") == 0);
    json_decref(body);
    arena_free(arena);
}

/* ---- retries ---- */

static const struct {
    enum deny_retry retry;
    uint32_t after;
    const char *should, *retry_after;
} retries[] = {
    {DENY_RETRY_NO, 0, "false", ""},  {DENY_RETRY_NO, 5, "false", ""}, /* never a wait for a cap */
    {DENY_RETRY_YES, 0, "true", ""},  {DENY_RETRY_YES, 1, "true", "1"},
    {DENY_RETRY_AFTER, 30, "", "30"},
};

static void check_retries(void)
{
    for (size_t i = 0; i < sizeof(retries) / sizeof(retries[0]); i++) {
        struct arena *arena = arena_new();
        struct message_answer answer = {.status = 0};
        struct denial denial = denial_of("rate_limited", 429);
        denial.retry = retries[i].retry;
        denial.retry_after_s = retries[i].after;
        deny_render(NULL, &denial, arena, &answer);
        struct str should = str_from(retries[i].should);
        CHECK_CASE(str_equal(header_of(&answer, "x-should-retry"), should), retries[i].should);
        CHECK_CASE(str_equal(header_of(&answer, "stripe-should-retry"), should), retries[i].should);
        CHECK_CASE(str_equal(header_of(&answer, "retry-after"), str_from(retries[i].retry_after)),
                   retries[i].should);
        arena_free(arena);
    }
}

/* ---- as text ---- */

static void check_plain(void)
{
    struct arena *arena = arena_new();
    struct message_answer answer = {.status = 0};
    struct denial denial = denial_of("endpoint_not_allowed", 403);

    denial.message = STR("GET /x\033[2J is not allowed");
    denial.plain = true;
    deny_render(NULL, &denial, arena, &answer);
    CHECK(str_equal(header_of(&answer, "content-type"), STR("text/plain; charset=utf-8")));
    CHECK(str_starts(answer.body, STR("keybrake: GET /x")));
    CHECK(str_ends(answer.body, STR("[2J is not allowed\n")));
    CHECK(str_index(answer.body, '\033', 0) == answer.body.len);
    CHECK(str_equal(header_of(&answer, "keybrake-denied"), STR("endpoint_not_allowed")));
    arena_free(arena);
}

/* ---- without a pack ---- */

static void check_universal(void)
{
    struct arena *arena = arena_new();
    struct message_answer answer = {.status = 0};
    struct denial denial = denial_of("bad_request", 400);

    deny_render(NULL, &denial, arena, &answer);
    CHECK(str_equal(answer.reason, STR("Bad Request (keybrake: bad_request)")));
    json_t *body = json_loadb(answer.body.data, answer.body.len, JSON_REJECT_DUPLICATES, NULL);
    CHECK(strcmp(text_at(body, "type", NULL), "error") == 0);
    CHECK(strcmp(text_at(body, "name", NULL), "bad_request") == 0);
    CHECK(strcmp(text_at(body, "error", "type"), "invalid_request_error") == 0);
    CHECK(strcmp(text_at(body, "error", "code"), "bad_request") == 0);
    CHECK(json_integer_value(json_object_get(body, "status")) == 400);
    CHECK(json_integer_value(json_object_get(body, "statusCode")) == 400);
    CHECK(json_array_size(json_object_get(body, "errors")) == 1);
    CHECK(header_of(&answer, "www-authenticate").len == 0);
    json_decref(body);
    arena_free(arena);
}

/* No text of ours or the client's can begin a new header or line. */
static void check_header_safety(void)
{
    static struct message_header own[] = {
        {{"x-why", 5}, {"${message} $ ${code} ${nothing} ${status", 40}}};
    struct pack pack = {.deny = {.headers = own, .header_count = 1}};
    struct arena *arena = arena_new();
    struct message_answer answer = {.status = 0};
    struct denial denial = denial_of("a\r\nb: c", 401);

    deny_render(&pack, &denial, arena, &answer);
    for (size_t i = 0; i < answer.header_count; i++) {
        struct str value = answer.headers[i].value;
        for (size_t k = 0; k < value.len; k++) {
            CHECK(value.data[k] >= 0x20 && value.data[k] < 0x7f);
        }
    }
    CHECK(str_equal(header_of(&answer, "x-why"), STR("no: \"x\"??Y: z ?? ? $ a??b: c  ${status")));
    CHECK(str_equal(answer.reason, STR("Unauthorized (keybrake: a??b: c)")));
    CHECK(str_starts(header_of(&answer, "www-authenticate"), STR("Bearer ")));
    arena_free(arena);
}

static void check_overrides(void)
{
    static struct pack_status statuses[] = {{{"cap_exceeded", 12}, 402}};
    static struct pack_accept basic[] = {{FORM_BASIC_PASS, {NULL, 0}}};
    struct pack pack = {
        .deny = {.statuses = statuses, .status_count = 1}, .accepts = basic, .accept_count = 1};
    struct arena *arena = arena_new();
    struct message_answer answer = {.status = 0};
    struct denial cap = denial_of("cap_exceeded", 429);
    struct denial key = denial_of("unknown_key", 401);
    struct denial odd = denial_of("odd", 418);

    deny_render(&pack, &cap, arena, &answer);
    CHECK(answer.status == 402);
    CHECK(str_equal(answer.reason, STR("Payment Required (keybrake: cap_exceeded)")));
    deny_render(&pack, &key, arena, &answer);
    CHECK(str_starts(header_of(&answer, "www-authenticate"), STR("Basic ")));
    deny_render(&pack, &odd, arena, &answer);
    CHECK(answer.status == 418);
    CHECK(str_equal(answer.reason, STR("Refused (keybrake: odd)")));
    arena_free(arena);
}

int main(void)
{
    struct arena *arena = arena_new();
    struct config config = {.packs = NULL};
    struct err err = {.text = ""};

    bool loaded = load_builtin_packs(&config, arena, &err) == 0;
    CHECK_CASE(loaded, err.text);
    for (size_t i = 0; loaded && i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        check_shape(&config, i);
    }
    if (loaded) {
        check_numbers(&config);
        check_overrides();
    }
    check_retries();
    check_plain();
    check_universal();
    check_header_safety();
    arena_free(arena);
    return test_done();
}
