/* SPDX-License-Identifier: Apache-2.0 */
#include "http/names.h"

#include "base/test.h"

static void test_disguised(void)
{
    static const struct {
        bool disguised;
        const char *name;
    } rows[] = {
        {false, "content-length"},       {false, "transfer-encoding"},
        {false, "contentlengths"},       {false, "x-content-length"},
        {false, "content-type"},         {false, ""},
        {false, "content-length-extra"}, {false, "idempotency-key"},
        {false, "accept-encoding"},      {true, "content_length"},
        {true, "content--length"},       {true, "-content-length"},
        {true, "content-length-"},       {true, "content.length"},
        {true, "contentlength"},         {true, "transfer_encoding"},
        {true, "_transfer-encoding"},    {true, "transfer-encoding_"},
        {true, "transferencoding"},      {true, "trans-fer-encoding"},
        {true, "c-o-n-t-e-n-t-length"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_CASE(name_is_disguised_framing(str_from(rows[i].name)) == rows[i].disguised,
                   rows[i].name);
    }
}

static void test_single(void)
{
    static const char *const once[] = {
        "content-type",
        "user-agent",
        "range",
        "date",
        "from",
        "origin",
        "idempotency-key",
        "proxy-authorization",
        "if-unmodified-since",
        "upgrade-insecure-requests",
    };
    static const char *const often[] = {
        "accept",       "x-a",         "",     "via",           "if-none-match",
        "Content-Type", "content-typ", "zone", "cache-control", "{x"};
    unsigned seen = 0;

    for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
        int number = name_single(str_from(once[i]));
        CHECK_CASE(number >= 0 && number < NAMES_SINGLE_MAX && (seen >> number & 1) == 0, once[i]);
        seen |= 1u << number;
    }
    for (size_t i = 0; i < sizeof(often) / sizeof(often[0]); i++) {
        CHECK_CASE(name_single(str_from(often[i])) == -1, often[i]);
    }
}

static void test_lists(void)
{
    static const struct {
        bool nominated, trails;
        const char *name;
    } rows[] = {
        {true, true, "X-Mine"},
        {true, false, "TE"},
        {true, false, "Keep-Alive"},
        {true, false, "Upgrade"},
        {true, false, "Proxy-X"},
        {true, true, "HTTP2-Settings"},
        {true, true, "hos"},
        {true, true, "hosts"},
        {false, false, "Host"},
        {false, false, "content-length"},
        {false, false, "Content_Length"},
        {false, true, "Content-MD5"},
        {false, false, "AUTHORIZATION"},
        {false, true, "If-Match"},
        {false, true, "x_forwarded_for"},
        {false, true, "Idempotency-Key"},
        {false, false, "Transfer-Encoding"},
        {false, true, "accept"},
        {true, true, ""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct str name = str_from(rows[i].name);
        CHECK_CASE(name_may_be_nominated(name) == rows[i].nominated, rows[i].name);
        CHECK_CASE(name_may_trail(name) == rows[i].trails, rows[i].name);
    }
}

static void test_spellings(void)
{
    static const struct {
        bool is, begins;
        const char *name, *other;
    } rows[] = {
        {true, true, "x-api-key", "xapikey"},
        {true, true, "x_api.key", "X-Api-Key"},
        {true, true, "-x!!api~key^", "x-api-key"},
        {true, true, "xapikey", "x-api-key"},
        {true, true, "", ""},
        {true, true, "-", ""},
        {false, true, "x-api-keys", "x-api-key"},
        {false, true, "x-forwarded-for", "x-forwarded-*"},
        {false, true, "x.forwarded!for", "x-forwarded-*"},
        {false, false, "x-api-ke", "x-api-key"},
        {false, false, "", "a"},
        {false, false, "y-api-key", "x-api-key"},
    };
    static const struct {
        bool mimics;
        const char *name;
    } singles[] = {
        {true, "content_type"},    {true, "content.type"},
        {true, "idempotency_key"}, {true, "con!tent-type"},
        {true, "user_agent"},      {false, "content-type"},
        {false, "contenttype"},    {false, "con-tent-type"},
        {false, "x_custom"},       {false, ""},
        {false, "content_typed"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct str name = str_from(rows[i].name), other = str_from(rows[i].other);
        CHECK_CASE(name_is_like(name, other) == rows[i].is, rows[i].name);
        CHECK_CASE(name_begins_like(name, other) == rows[i].begins, rows[i].name);
    }
    for (size_t i = 0; i < sizeof(singles) / sizeof(singles[0]); i++) {
        CHECK_CASE(name_mimics_single(str_from(singles[i].name)) == singles[i].mimics,
                   singles[i].name);
    }
}

int main(void)
{
    test_spellings();
    test_disguised();
    test_single();
    test_lists();
    return test_done();
}
