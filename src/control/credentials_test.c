/* SPDX-License-Identifier: Apache-2.0 */
/* How a real key is taken, checked and sealed; the test has the vault's key pair. */
#include <sodium.h>

#include "base/encode.h"
#include "control/json_alloc.h"
#include "control/testing.h"
#include "store/store.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SECRET "sk_test_aPlantedSecret00001111"

static unsigned char public_key[crypto_box_PUBLICKEYBYTES], secret_key[crypto_box_SECRETKEYBYTES];
static struct buf scratch;

static struct str put(const char *body)
{
    buf_cut(&scratch, 0);
    (void)buf_addf(&scratch,
                   "PUT /v1/credentials/main HTTP/1.1\r\nHost: localhost\r\n"
                   "Content-Length: %zu\r\n\r\n%s",
                   strlen(body), body);
    return buf_str(&scratch);
}

static struct query *open_store(const char *directory)
{
    char hex[2 * sizeof(public_key) + 1];
    struct err err = {""};
    const struct message_row_meta meta = {
        STR("vault_public_key"),
        str_from(sodium_bin2hex(hex, sizeof(hex), public_key, sizeof(public_key)))};
    const struct store_seed seed = {.metas = &meta, .meta_count = 1};

    CHECK_CASE(store_create(directory, &seed, &err) == 0, err.text);
    struct query *query = query_open(directory, &err);
    CHECK_CASE(query != NULL, err.text);
    return query;
}

static void unseal(const struct call_credential *call, struct arena *arena,
                   struct sealed_credential *ret)
{
    size_t len = call->sealed.len - crypto_box_SEALBYTES;
    unsigned char *plain = arena_zeroed(arena, len, 1);

    CHECK(call->sealed.len > crypto_box_SEALBYTES);
    CHECK(crypto_box_seal_open(plain, (const unsigned char *)call->sealed.data, call->sealed.len,
                               public_key, secret_key) == 0);
    CHECK(wire_decode(&sealed_credential_schema, str_of(plain, len), arena, ret));
}

static void test_first_and_next_version(const char *directory)
{
    static const struct testing_reply fresh[] = {{.status = 404, .code = "no_such_credential"},
                                                 {.status = 201, .json = "{\"version\":1}"}};
    static const struct testing_reply rotated[] = {{.status = 200, .json = "{}", .version = 4},
                                                   {.status = 200, .json = "{\"version\":5}"}};

    for (size_t i = 0; i < 2; i++) {
        struct testing t;
        struct call_credential call;
        struct sealed_credential sealed;
        testing_ask(&t, open_store(directory), LISTEN_UNIX,
                    put("{\"vendor\":\"shop\",\"fields\":{\"secret\":\"" SECRET
                        "\",\"account\":\"AC7\"},\"new_account\":true}"),
                    1, i == 0 ? fresh : rotated, 2);
        CHECK(testing_status(&t) == (i == 0 ? 201 : 200) && t.call_count == 2);
        CHECK(t.calls[0].call.verb == CALL_CREDENTIAL_GET &&
              t.calls[1].call.verb == CALL_CREDENTIAL_PUT);
        CHECK(!str_has(t.calls[1].call.body, STR(SECRET)));
        CHECK(wire_decode(&call_credential_schema, t.calls[1].call.body, t.arena, &call));
        CHECK(str_equal(call.name, STR("main")) && str_equal(call.vendor, STR("shop")));
        CHECK(call.version == (i == 0 ? 1 : 5) && !call.live_mode && call.new_account);
        CHECK(str_equal(call.public_fields, STR("{\"account\":\"AC7\"}")));
        CHECK(str_equal(call.account_mark, call.public_fields));
        CHECK(str_equal(call.secret_hint, STR("sk_test_...1111")));
        unseal(&call, t.arena, &sealed);
        CHECK(sealed.version == call.version && str_equal(sealed.name, STR("main")));
        CHECK(sealed.field_count == 2 && sealed.secret_field_count == 1 &&
              str_equal(sealed.secret_fields[0], STR("secret")));
        CHECK(sealed.host_count == 1 && str_equal(sealed.hosts[0], STR("api.shop.example")));
        CHECK(!sealed.allow_private && sealed.upstream.len == 0 && sealed.ca_pem.len == 0);
        for (size_t k = 0; k < sealed.field_count; k++) {
            if (str_equal(sealed.fields[k].name, STR("secret"))) {
                CHECK(str_equal(sealed.fields[k].value, STR(SECRET)));
            }
        }
        testing_end(&t);
        testing_remove_database(directory);
    }
}

static void test_upstream_and_text(const char *directory)
{
    static const struct testing_reply fresh[] = {{.status = 404, .code = "no_such_credential"},
                                                 {.status = 201, .json = "{}"}};
    struct testing t;
    struct call_credential call;
    struct sealed_credential sealed;

    testing_ask(&t, open_store(directory), LISTEN_UNIX,
                put("{\"vendor\":\"shop\",\"secret\":\"sk_live_aPlantedSecret00001111\","
                    "\"upstream\":\"http://127.0.0.1:9/base\",\"allow_private\":true}"),
                1, fresh, 2);
    CHECK(wire_decode(&call_credential_schema, t.calls[1].call.body, t.arena, &call));
    CHECK(call.live_mode && call.allow_private &&
          str_equal(call.upstream, STR("http://127.0.0.1:9/base")));
    CHECK(str_equal(call.public_fields, STR("{}")));
    unseal(&call, t.arena, &sealed);
    CHECK(sealed.host_count == 1 && str_equal(sealed.hosts[0], STR("127.0.0.1")));
    CHECK(sealed.allow_private && str_equal(sealed.upstream, call.upstream));
    testing_end(&t);
    testing_remove_database(directory);
}

/* Each is refused with 400 before the judge is told anything of it, and no answer repeats the
 * secret. */
static void test_refusals(void)
{
    static const struct testing_reply fresh[] = {{.status = 404, .code = "no_such_credential"}};
    static const char *const bodies[] = {
        "{}",
        "{\"vendor\":\"shop\"}",
        "{\"secret\":\"" SECRET "\"}",
        "{\"vendor\":\"nobody\",\"secret\":\"" SECRET "\"}",
        "{\"vendor\":\"shop\",\"secret\":\"sk_test_short\"}",
        "{\"vendor\":\"shop\",\"secret\":\"wrong_aPlantedSecret00001111\"}",
        "{\"vendor\":\"shop\",\"secret\":\"" SECRET "\\r\\nX: aPlantedSecret\"}",
        "{\"vendor\":\"shop\",\"secret\":\"" SECRET " \"}",
        "{\"vendor\":\"shop\",\"secret\":\"" SECRET "\",\"surprise\":\"aPlantedSecret\"}",
        "{\"vendor\":\"shop\",\"secret\":\"" SECRET "\",\"fields\":{\"secret\":\"" SECRET "\"}}",
        "{\"vendor\":\"shop\",\"fields\":{\"account\":\"AC7\"}}",
        "{\"vendor\":\"shop\",\"fields\":{\"secret\":\"" SECRET "\",\"other\":\"x\"}}",
        "{\"vendor\":\"shop\",\"fields\":{\"secret\":7}}",
        "{\"vendor\":\"shop\",\"fields\":\"" SECRET "\"}",
        "{\"vendor\":\"shop\",\"secret\":[\"" SECRET "\"]}",
        "{\"vendor\":\"shop\",\"fields\":{\"secret\":\"" SECRET "\",\"account\":\"XX\"}}",
        "{\"vendor\":\"shop\",\"secret\":\"" SECRET "\",\"upstream\":\"ftp://x\"}",
        "{\"vendor\":\"shop\",\"secret\":\"" SECRET "\",\"upstream\":\"https://u@h\"}",
        "{\"vendor\":\"shop\",\"secret\":\"" SECRET "\",\"upstream\":\"http://h.example\"}",
        "{\"vendor\":\"shop\",\"secret\":\"" SECRET "\",\"upstream\":7}",
        "{\"vendor\":\"shop\",\"secret\":\"" SECRET "\",\"ca_pem\":\"nonsense\"}",
        "{\"vendor\":\"shop\",\"secret\":\"" SECRET "\",\"allow_private\":1}",
        "{\"vendor\":\"any\",\"secret\":\"" SECRET "\"}",
        "{\"vendor\":\"any\",\"secret\":\"vk_0000000000000000000000000000000049wGMy\","
        "\"upstream\":\"https://h.example\"}",
        "{\"vendor\":\"shop\",\"secret\":\"" SECRET "\"",
        "{\"vendor\":\"shop\",\"secret\":\"" SECRET "\",\"secret\":\"" SECRET "\"}",
    };

    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct testing t;
        testing_ask(&t, NULL, LISTEN_UNIX, put(bodies[i]), 1, fresh, 1);
        CHECK_CASE(testing_status(&t) == 400 && t.call_count <= 1, bodies[i]);
        CHECK_CASE(!testing_says(&t, "lanted"), bodies[i]);
        testing_end(&t);
    }
}

static void test_without_a_database(void)
{
    static const struct testing_reply fresh[] = {{.status = 404, .code = "no_such_credential"}};
    struct testing t;

    testing_ask(&t, NULL, LISTEN_UNIX, put("{\"vendor\":\"shop\",\"secret\":\"" SECRET "\"}"), 1,
                fresh, 1);
    CHECK(testing_status(&t) == 503 && t.call_count == 1 && !testing_says(&t, "lanted"));
    testing_end(&t);
}

static void test_who_may_not(void)
{
    static const struct testing_reply no[] = {{.status = 403, .code = "forbidden", .detail = "no"}};
    struct testing t;

    testing_ask(&t, NULL, LISTEN_UNIX, put("{\"vendor\":\"shop\",\"secret\":\"" SECRET "\"}"), 1,
                no, 1);
    CHECK(testing_status(&t) == 403 && t.call_count == 1);
    testing_end(&t);
}

int main(void)
{
    char *directory = test_directory_new();

    digest_setup();
    json_alloc_setup();
    CHECK(sodium_init() >= 0);
    (void)crypto_box_keypair(public_key, secret_key);
    buf_init(&scratch, TESTING_MAX);
    test_first_and_next_version(directory);
    test_upstream_and_text(directory);
    test_refusals();
    test_without_a_database();
    test_who_may_not();
    buf_clear(&scratch);
    test_directory_free(directory);
    return test_done();
}
