/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers on their way to the gate: scrubbed, decoded, rewritten, redacted, cut.
 */
#include <zlib.h>

#include "vault/testing.h"

static void test_scrub(void)
{
    begin_talked();
    ask("/v1/echo");
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 " REAL "\r\nX-Echo: Bearer " REAL "\r\nContent-Length: 58\r\n\r\n"
               "{\"you sent\":\"sk_test_REALREAL");
    const struct message_head *head = expect(t.gate, MESSAGE_HEAD);
    CHECK(strcmp(header_of(head, "x-echo"), "Bearer ****************************") == 0);
    CHECK(str_equal(head->reason, STR("****************************")));
    CHECK(hears_data("{\"you sent\":\""));
    CHECK(silent(t.gate));
    vendor_say("REALREAL0123\", \"x\":\"sk_tes\"}.");
    CHECK(hears_data("****************************\", \"x\":\"sk_tes\"}."));
    hears_end();
    CHECK(outcome().scrubbed == 3);
    end();
}

static void test_answer_forms(void)
{
    static const struct {
        const char *answer;
        enum upstream_error error;
    } refused[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: br\r\n\r\nxxxxx",
         UPSTREAM_PROTOCOL},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
         UPSTREAM_PROTOCOL},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", UPSTREAM_PROTOCOL},
        {"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", UPSTREAM_PROTOCOL},
        {"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", UPSTREAM_PROTOCOL},
        {"SSH-2.0-x\r\n", UPSTREAM_PROTOCOL},
        {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nbad", UPSTREAM_CREDENTIAL},
    };
    begin();
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        ask("/v1/x");
        if (i == 0) {
            answer_usual_blob();
        }
        vendor_accept(false);
        CHECK(vendor_hears_head());
        vendor_say(refused[i].answer);
        CHECK_CASE(hears_reset() == refused[i].error, refused[i].answer);
        struct message_outcome o = outcome();
        CHECK_CASE(o.error == refused[i].error, refused[i].answer);
        CHECK(o.status != 401 || (o.outcome == OUTCOME_ANSWERED && o.complete));
    }
    end();
}

static void test_interim(void)
{
    begin_talked();
    ask("/v1/x");
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
    const struct message_head *head = expect(t.gate, MESSAGE_HEAD);
    CHECK(head->interim && head->status == 103);
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    head = expect(t.gate, MESSAGE_HEAD);
    CHECK(!head->interim && head->status == 200);
    hears_end();
    CHECK(outcome().complete);
    ask("/v1/x");
    CHECK(vendor_hears_head());
    for (int i = 0; i < 9; i++) {
        vendor_say("HTTP/1.1 100 Continue\r\n\r\n");
    }
    CHECK(hears_reset() == UPSTREAM_PROTOCOL);
    CHECK(outcome().outcome == OUTCOME_UNKNOWN);
    end();
}

static void test_location(void)
{
    static const struct {
        const char *from, *to; /* "@" is the vendor's origin; NULL: removed */
    } cases[] = {
        {"@/v1/x?a=1", "http://door/stripe/v1/x?a=1"},
        {"/v1/y", "http://door/stripe/v1/y"},
        {"https://evil.test/v1", NULL},
        {"//evil.test/", NULL},
        {"@.evil.test/", NULL},
        {"@@evil.test/", NULL},
        {"/\\evil", NULL},
        {"x y", NULL},
        {"@", "http://door/stripe"},
        {"@//evil", NULL},
    };
    begin_talked();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512];
        char origin[64];
        (void)snprintf(origin, sizeof(origin), "http://127.0.0.1:%u", t.port);
        bool whole = cases[i].from[0] == '@';
        (void)snprintf(text, sizeof(text),
                       "HTTP/1.1 302 Found\r\nLocation: %s%s\r\nContent-Length: 0\r\n\r\n",
                       whole ? origin : "", cases[i].from + (whole ? 1 : 0));
        ask("/v1/x");
        CHECK(vendor_hears_head());
        vendor_say(text);
        const struct message_head *head = expect(t.gate, MESSAGE_HEAD);
        const char *to = header_of(head, "location");
        CHECK_CASE(cases[i].to == NULL ? to == NULL : to != NULL && strcmp(to, cases[i].to) == 0,
                   cases[i].from);
        hears_end();
        CHECK(outcome().status == 302);
    }
    end();
}

static void test_gzip(void)
{
    char plain[70000];
    unsigned char packed[70000];
    char head_text[256];
    z_stream stream = {0};
    size_t got = 0;

    begin_talked();
    memset(plain, 'a', sizeof(plain));
    memcpy(plain + 40000, REAL, strlen(REAL));
    CHECK(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    stream.next_in = (unsigned char *)plain;
    stream.avail_in = sizeof(plain);
    stream.next_out = packed;
    stream.avail_out = sizeof(packed);
    CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    size_t len = sizeof(packed) - stream.avail_out;
    (void)deflateEnd(&stream);

    for (int cut = 0; cut < 2; cut++) {
        ask("/v1/x");
        CHECK(vendor_hears_head());
        (void)snprintf(head_text, sizeof(head_text),
                       "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
                       len - (cut == 1 ? 9 : 0));
        vendor_say(head_text);
        CHECK(send(t.vendor, packed, len - (cut == 1 ? 9 : 0), 0) > 0);
        const struct message_head *head = expect(t.gate, MESSAGE_HEAD);
        CHECK(head->body == BODY_CHUNKED && header_of(head, "content-encoding") == NULL);
        memcpy(plain + 40000, REAL, strlen(REAL));
        memset(plain + 40000, '*', strlen(REAL));
        for (got = 0; got < 60000;) {
            const struct message_data *data = expect(t.gate, MESSAGE_DATA);
            CHECK(memcmp(data->bytes.data, plain + got, data->bytes.len) == 0);
            got += data->bytes.len;
            struct message_window window = {.grant = t.grant, .bytes = data->bytes.len};
            tell(t.gate, MESSAGE_WINDOW, &window);
        }
        while (cut == 0 && got < sizeof(plain)) {
            got += ((const struct message_data *)expect(t.gate, MESSAGE_DATA))->bytes.len;
        }
        if (cut == 0) {
            CHECK(got == sizeof(plain));
            hears_end();
            struct message_outcome o = outcome();
            CHECK(o.complete && o.scrubbed == 1);
        } else {
            CHECK(!outcome().complete);
        }
    }
    end();
}

/* Nothing before all of it is there; then the places are hidden, also from the reader. */
static void test_redact(void)
{
    struct str places[] = {STR("/auth_token"), STR("/**/client_secret")};

    begin_talked();
    struct message_grant grant = usual_grant("GET", "/v1/x");
    grant.redact = places;
    grant.redact_count = 2;
    give(&grant);
    forward();
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n{\"auth_token\":\"abcdef\",\"x\":\"");
    CHECK(silent(t.gate));
    vendor_say("" REAL "\",");
    CHECK(silent(t.gate));
    vendor_say("\"y\":1}");
    const struct message_head *head = expect(t.gate, MESSAGE_HEAD);
    CHECK(head->status == 200 && head->content_length == 64);
    CHECK(hears_data("{\"auth_token\":\"******\",\"x\":\"****************************\",\"y\":1}"));
    hears_end();
    CHECK(outcome().complete);

    /* The reader gets what the client gets. */
    grant = money_grant(PAY);
    grant.redact = places;
    grant.redact_count = 2;
    give(&grant);
    forward();
    send_body(PAY);
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    vendor_say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 34\r\n\r\n");
    (void)expect(t.reader, MESSAGE_BODY);
    vendor_say("{\"a\":{\"client_secret\":\"pi_1_sec\"}}");
    const struct message_body_data *data = expect(t.reader, MESSAGE_BODY_DATA);
    CHECK(str_equal(data->bytes, STR("{\"a\":{\"client_secret\":\"********\"}}")));
    (void)expect(t.reader, MESSAGE_BODY_END);
    struct message_outcome o = outcome();
    CHECK(o.complete && !digest_is_zero(&o.body_digest) && silent(t.gate));
    tell(t.judge, MESSAGE_RELEASE, &(struct message_release){.grant = t.grant});
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("{\"a\":{\"client_secret\":\"********\"}}"));
    hears_end();

    /* No body, nothing to wait for. */
    grant = usual_grant("GET", "/v1/x");
    grant.redact = places;
    grant.redact_count = 1;
    give(&grant);
    forward();
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 204 No\r\n\r\n");
    (void)expect(t.gate, MESSAGE_HEAD);
    hears_end();
    CHECK(outcome().complete);
    end();
}

/* What cannot be read one way is not shown at all: no head, a reset, which becomes a 502. */
static void test_redact_refused(void)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n<AuthToken>a<AuthToken",
        "HTTP/1.1 200 OK\r\nContent-Length: 35\r\n\r\n{\"auth_token\":\"a\",\"auth_token\":\"b\"}",
        "HTTP/1.1 404 No\r\nContent-Length: 17\r\n\r\n{\"auth_token\":\"a\"",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\"ab\"",
    };
    struct str place = STR("/auth_token");

    begin();
    for (size_t i = 0; i <= sizeof(answers) / sizeof(answers[0]); i++) {
        struct message_grant grant = usual_grant("GET", "/v1/x");
        grant.redact = &place;
        grant.redact_count = 1;
        give(&grant);
        forward();
        if (i == 0) {
            answer_usual_blob();
        }
        vendor_accept(false);
        CHECK(vendor_hears_head());
        if (i < sizeof(answers) / sizeof(answers[0])) {
            vendor_say(answers[i]);
        } else {
            char *long_text = mem_zeroed(LIMIT_REDACTED_BYTES + 64);
            (void)snprintf(long_text, 64, "HTTP/1.1 200 OK\r\n\r\n[\"");
            memset(long_text + strlen(long_text), 'a', LIMIT_REDACTED_BYTES);
            vendor_say(long_text);
            free(long_text);
        }
        CHECK_CASE(hears_reset() == UPSTREAM_PROTOCOL, i < 4 ? answers[i] : "long");
        struct message_outcome o = outcome();
        CHECK(o.outcome == OUTCOME_ANSWERED && o.error == UPSTREAM_PROTOCOL && !o.complete);
    }
    end();
}

static void test_truncated(void)
{
    begin_talked();
    ask("/v1/x");
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("half"));
    hang_up();
    CHECK(hears_reset() == UPSTREAM_RESET);
    struct message_outcome o = outcome();
    CHECK(o.outcome == OUTCOME_ANSWERED && !o.complete && o.status == 200);

    /* Until close, over plain TCP: that is its end. */
    ask("/v1/x");
    vendor_accept(false);
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.0 200 OK\r\n\r\nall of it");
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("all of it"));
    CHECK(shutdown(t.vendor, SHUT_WR) == 0);
    hears_end();
    CHECK(outcome().complete);

    /* Surplus bytes: the answer counts, the connection is not used again. */
    ask("/v1/x");
    vendor_accept(false);
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n");
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("ok"));
    hears_end();
    CHECK(outcome().complete);
    CHECK(vendor_hears_end() >= 0);
    end();
}

int main(void)
{
    testing_begin();
    test_scrub();
    test_answer_forms();
    test_interim();
    test_location();
    test_gzip();
    test_redact();
    test_redact_refused();
    test_truncated();
    testing_end();
    return test_done();
}
