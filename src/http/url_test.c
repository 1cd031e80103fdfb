/* SPDX-License-Identifier: Apache-2.0 */
#include "http/url.h"

#include "base/test.h"

static void test_paths(void)
{
    static const struct {
        bool plain;
        struct str path;
    } cases[] = {
#define PATH(plain, text)                                                                          \
    {                                                                                              \
        plain,                                                                                     \
        {                                                                                          \
            text, sizeof(text) - 1                                                                 \
        }                                                                                          \
    }
        PATH(true, "/"),
        PATH(true, "/v1/charges"),
        PATH(true, "/v1/charges/"),
        PATH(true, "/2010-04-01/Accounts/AC1/Messages.json"),
        PATH(true, "/a.b/..c/...d/.e"),
        PATH(true, "/a!$&'()*+,=:@b~_-"),
        PATH(true, "/a%20b"),
        PATH(true, "/a%40b%3a"),
        PATH(true, "/%c3%a4/%E2%82%AC/%f0%9f%98%80"),
        PATH(true, "/100%25"),
        PATH(true, "/100%25/x"),
        PATH(true, "/a%2520b"),
        PATH(false, ""),
        PATH(false, "*"),
        PATH(false, "v1"),
        PATH(false, "//"),
        PATH(false, "//v1"),
        PATH(false, "/v1//x"),
        PATH(false, "/."),
        PATH(false, "/.."),
        PATH(false, "/./a"),
        PATH(false, "/a/../b"),
        PATH(false, "/a/.."),
        PATH(false, "/%2e%2e/a"),
        PATH(false, "/.%2e/a"),
        PATH(false, "/%2E/a"),
        PATH(false, "/a%2fb"),
        PATH(false, "/a%2Fb"),
        PATH(false, "/a%5cb"),
        PATH(false, "/a\\b"),
        PATH(false, "/a;b"),
        PATH(false, "/a%3bb"),
        PATH(false, "/a%00"),
        PATH(false, "/a%0d%0a"),
        PATH(false, "/a%7f"),
        PATH(false, "/a\tb"),
        PATH(false, "/a\0b"),
        PATH(false, "/a b"),
        PATH(false, "/a?b"),
        PATH(false, "/a#b"),
        PATH(false, "/a[b]"),
        PATH(false, "/a\"b"),
        PATH(false, "/%"),
        PATH(false, "/%2"),
        PATH(false, "/%g0"),
        PATH(false, "/%2/"),
        PATH(false, "/%u002f"),
        PATH(false, "/%61dmin"),
        PATH(false, "/%41"),
        PATH(false, "/a%2db"),
        PATH(false, "/a%7eb"),
        PATH(false, "/%c0%af"),
        PATH(false, "/%c1%81"),
        PATH(false, "/%e0%80%af"),
        PATH(false, "/%f0%80%80%af"),
        PATH(false, "/%ed%a0%80"),
        PATH(false, "/%f4%90%80%80"),
        PATH(false, "/%ff"),
        PATH(false, "/%80"),
        PATH(false, "/%c3"),
        PATH(false, "/%c3/%a4"),
        PATH(false, "/%c3x"),
        PATH(false, "/%c2%85"),
        PATH(false, "/\xc3\xa4"),
        PATH(false, "/%252f"),
        PATH(false, "/%252e%252e"),
        PATH(false, "/%255c"),
        PATH(false, "/%253b"),
        PATH(false, "/%2500"),
        PATH(false, "/%2561"),
        PATH(false, "/%25c0%25af"),
        PATH(false, "/%25252f"),
        PATH(false, "/%2525252f"),
        PATH(false, "/%25%32%66"),
        PATH(false, "/%25%2f"),
        PATH(false, "/a%ef%bc%8fb"), /* FULLWIDTH SOLIDUS */
        PATH(false, "/a%E2%81%84b"), /* FRACTION SLASH */
        PATH(false, "/a%e2%88%95b"), /* DIVISION SLASH */
        PATH(false, "/a%e2%88%96b"), /* SET MINUS */
        PATH(false, "/a%ef%bc%bcb"), /* FULLWIDTH REVERSE SOLIDUS */
        PATH(false, "/%e2%84%80"),   /* ACCOUNT OF: "a/c" */
        PATH(false, "/a%cd%beb"),    /* GREEK QUESTION MARK is ';' */
        PATH(false, "/%ef%bc%8e/a"), /* FULLWIDTH FULL STOP */
        PATH(false, "/a/%ef%bc%8e%EF%BC%8E"),
        PATH(false, "/a/.%e2%80%a4/b"), /* ONE DOT LEADER */
        PATH(false, "/a/%e2%80%a5/b"),  /* TWO DOT LEADER */
        PATH(false, "/a/%ef%b9%92./b"), /* SMALL FULL STOP */
        PATH(true, "/a/%e2%80%a6/b"),   /* HORIZONTAL ELLIPSIS: three, and no segment */
        PATH(true, "/a/.%ef%bc%8e."),
        PATH(true, "/a%ef%bc%8eb"),
        PATH(true, "/%e2%80%a4a"),
        PATH(true, "/%ef%bc%88%ef%bc%91%ef%bc%89.md"), /* other fullwidth forms: file names */
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *why = NULL;
        CHECK_CASE(url_path_is_plain(cases[i].path, &why) == cases[i].plain, cases[i].path.data);
        CHECK_CASE((why == NULL) == cases[i].plain, cases[i].path.data);
    }
}

static void test_queries(void)
{
    static const struct {
        bool plain;
        const char *query;
    } cases[] = {
        {true, ""},
        {true, "expand[]=latest_charge&metadata[a]=b"},
        {true, "name=a.txt&"},
        {true, "q=a%20b+c%0a&x=/?;:@!$'()*,"},
        {true, "a=%ff"},
        {false, "a=%"},
        {false, "a=%2"},
        {false, "a=%zz"},
        {false, "a=%00"},
        {false, "a b"},
        {false, "a#b"},
        {false, "a\\b"},
        {false, "a\"b"},
        {false, "a<b"},
        {false, "a{b}"},
        {false, "a\xc3\xa4"},
        {false, "a\x01"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *why = NULL;
        CHECK_CASE(url_query_is_plain(str_from(cases[i].query), &why) == cases[i].plain,
                   cases[i].query);
        CHECK_CASE((why == NULL) == cases[i].plain, cases[i].query);
    }
}

static void test_authorities(void)
{
    static const struct {
        const char *authority, *host; /* NULL: refused */
        unsigned port;
    } cases[] = {
        {"a", "a", 0},
        {"api.stripe.com", "api.stripe.com", 0},
        {"API.Stripe.com:443", "API.Stripe.com", 443},
        {"xn--bcher-kva.example:65535", "xn--bcher-kva.example", 65535},
        {"3com.com", "3com.com", 0},
        {"127.0.0.1", "127.0.0.1", 0},
        {"127.0.0.1:8787", "127.0.0.1", 8787},
        {"[::1]", "::1", 0},
        {"[2001:db8::1]:80", "2001:db8::1", 80},
        {"", NULL, 0},
        {":80", NULL, 0},
        {"a:", NULL, 0},
        {"a:0", NULL, 0},
        {"a:080", NULL, 0},
        {"a:65536", NULL, 0},
        {"a:99999999999", NULL, 0},
        {"a:+80", NULL, 0},
        {"a:80:80", NULL, 0},
        {"a:80x", NULL, 0},
        {"a.", NULL, 0},
        {".a", NULL, 0},
        {"a..b", NULL, 0},
        {"-a", NULL, 0},
        {"a-", NULL, 0},
        {"a_b", NULL, 0},
        {"a b", NULL, 0},
        {"a,b", NULL, 0},
        {"u@a", NULL, 0},
        {"a/b", NULL, 0},
        {"a%2e", NULL, 0},
        {"1", NULL, 0},
        {"1.2.3", NULL, 0},
        {"1.2.3.4.5", NULL, 0},
        {"256.1.1.1", NULL, 0},
        {"010.0.0.1", NULL, 0},
        {"0x7f.0.0.1", NULL, 0},
        {"a.0x7f", NULL, 0},
        {"2130706433", NULL, 0},
        {"1-2", NULL, 0},
        {"[::1", NULL, 0},
        {"[::1]x", NULL, 0},
        {"[::1%25eth0]", NULL, 0},
        {"[a]", NULL, 0},
        {"[]", NULL, 0},
        {"::1", NULL, 0},
        {"\xc3\xa4", NULL, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str host = STR_NONE;
        unsigned port = 0;
        bool ok = url_split_authority(str_from(cases[i].authority), &host, &port);
        CHECK_CASE(ok == (cases[i].host != NULL), cases[i].authority);
        CHECK_CASE(!ok || (str_equal(host, str_from(cases[i].host)) && port == cases[i].port),
                   cases[i].authority);
    }
    char label[64 + 1] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    CHECK(url_host_is_name(str_from(label)));
    label[63] = 'a';
    CHECK(!url_host_is_name(str_of(label, 64)));
    CHECK(url_host_is_name(STR("a.b")) && !url_host_is_name(STR("127.0.0.1")));
}

static void test_host_patterns(void)
{
    static const struct {
        bool matches;
        const char *pattern, *host;
    } cases[] = {
        {true, "api.stripe.com", "API.stripe.com"},
        {true, "*.amazonaws.com", "s3.amazonaws.com"},
        {true, "*.amazonaws.com", "a.b.AMAZONAWS.com"},
        {false, "*.amazonaws.com", "amazonaws.com"},
        {false, "*.amazonaws.com", ".amazonaws.com"},
        {false, "*.a.com", "evila.com"},
        {false, "api.stripe.com", "api.stripe.com.evil.com"},
        {false, "stripe.com", "api.stripe.com"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK_CASE(url_host_matches(str_from(cases[i].pattern), str_from(cases[i].host)) ==
                       cases[i].matches,
                   cases[i].host);
    }
}

static void test_bases(void)
{
    static const struct {
        const char *text, *host, *prefix; /* host NULL: refused */
        unsigned port;
        bool tls;
    } cases[] = {
        {"https://api.stripe.com", "api.stripe.com", "", 443, true},
        {"http://127.0.0.1:9/", "127.0.0.1", "", 9, false},
        {"https://a.com/v1/x/", "a.com", "/v1/x", 443, true},
        {"http://[::1]/v1", "::1", "/v1", 80, false},
        {"ftp://a.com", NULL, NULL, 0, false},
        {"a.com", NULL, NULL, 0, false},
        {"https://", NULL, NULL, 0, false},
        {"https://u:p@a.com", NULL, NULL, 0, false},
        {"https://a.com?x", NULL, NULL, 0, false},
        {"https://a.com/#x", NULL, NULL, 0, false},
        {"https://a.com/x?y", NULL, NULL, 0, false},
        {"https://a.com//", NULL, NULL, 0, false},
        {"https://a.com/../x", NULL, NULL, 0, false},
        {"https://a.com:0", NULL, NULL, 0, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct url url;
        struct err err = {""};
        int rc = url_parse_base(str_from(cases[i].text), &url, &err);
        CHECK_CASE((rc == 0) == (cases[i].host != NULL), cases[i].text);
        CHECK_CASE(rc == 0 || err.text[0] != '\0', cases[i].text);
        CHECK_CASE(rc != 0 || (str_equal(url.host, str_from(cases[i].host)) &&
                               str_equal(url.prefix, str_from(cases[i].prefix)) &&
                               url.port == cases[i].port && url.tls == cases[i].tls),
                   cases[i].text);
    }
}

int main(void)
{
    test_paths();
    test_queries();
    test_authorities();
    test_host_patterns();
    test_bases();
    return test_done();
}
