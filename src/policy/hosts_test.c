/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/hosts.h"

#include "base/test.h"

static void test_entries(void)
{
    static const struct {
        const char *entry;
        bool valid;
    } cases[] = {
        {"pypi.org", true},
        {"PyPI.org", true},
        {"pypi.org:443", true},
        {"a.b.c:8080", true},
        {"*.pythonhosted.org", true},
        {"*.a.b:80", true},
        {"localhost", true},
        {"", false},
        {"*", false},
        {"*.", false},
        {"*.com", false},
        {"a.*.org", false},
        {"*.*.org", false},
        {"**.a.org", false},
        {"pypi.org:", false},
        {"pypi.org:0", false},
        {"pypi.org:65536", false},
        {"pypi.org:443x", false},
        {"pypi.org/simple", false},
        {"https://pypi.org", false},
        {"a b.org", false},
        {"10.0.0.1", false},
        {"10.0.0.1:443", false},
        {"[::1]:443", false},
        {"user@pypi.org", false},
        {"pypi.org.", false},
        {".pypi.org", false},
        {"a..org", false},
        {"-", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK_CASE(host_entry_is_valid(str_from(cases[i].entry)) == cases[i].valid, cases[i].entry);
    }
}

static void test_matches(void)
{
    static const struct {
        const char *entry, *host;
        unsigned port;
        bool has;
    } cases[] = {
        {"pypi.org", "pypi.org", 443, true},
        {"pypi.org", "PYPI.ORG", 443, true},
        {"pypi.org", "pypi.org", 80, false},
        {"pypi.org", "pypi.org", 0, false},
        {"pypi.org:80", "pypi.org", 80, true},
        {"pypi.org:80", "pypi.org", 443, false},
        {"pypi.org", "xpypi.org", 443, false},
        {"pypi.org", "x.pypi.org", 443, false},
        {"pypi.org", "pypi.org.evil.example", 443, false},
        {"*.pypi.org", "files.pypi.org", 443, true},
        {"*.pypi.org", "a.b.pypi.org", 443, true},
        {"*.pypi.org", "pypi.org", 443, false},
        {"*.pypi.org", ".pypi.org", 443, false},
        {"*.pypi.org", "evilpypi.org", 443, false},
        {"*.pypi.org", "x.pypi.org.evil.example", 443, false},
        {"*.pypi.org", "10.0.0.1", 443, false},
        {"pypi.org", "pypi.org.", 443, false},
        {"pypi.org", "", 443, false},
        {"*.com", "a.com", 443, false},
        {"", "", 443, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK_CASE(host_entry_has(str_from(cases[i].entry), str_from(cases[i].host),
                                  cases[i].port) == cases[i].has,
                   cases[i].host);
    }
}

int main(void)
{
    test_entries();
    test_matches();
    return test_done();
}
