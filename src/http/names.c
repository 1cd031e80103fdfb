/* SPDX-License-Identifier: Apache-2.0 */
#include "http/names.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

bool name_is_disguised_framing(struct str name)
{
    static const struct str length = {"contentlength", 13}, coding = {"transferencoding", 16};
    char plain[17];
    size_t len = 0;

    if (name.len < length.len) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!ascii_is_alpha(name.data[i]) && !ascii_is_digit(name.data[i])) {
            continue;
        }
        /* Nearly all names end here. */
        if (len == sizeof(plain) || (len == 0 && name.data[i] != 'c' && name.data[i] != 't')) {
            return false;
        }
        plain[len++] = name.data[i];
    }
    struct str squeezed = {plain, len};
    return (str_equal(squeezed, length) && !str_equal(name, STR("content-length"))) ||
           (str_equal(squeezed, coding) && !str_equal(name, STR("transfer-encoding")));
}

/* Those that have their own word in head.c (Host, Authorization, framing) are not here. */
static const struct str singles[] = {
    {"content-encoding", 16},
    {"content-location", 16},
    {"content-range", 13},
    {"content-type", 12},
    {"date", 4},
    {"from", 4},
    {"idempotency-key", 15},
    {"if-modified-since", 17},
    {"if-range", 8},
    {"if-unmodified-since", 19},
    {"max-forwards", 12},
    {"origin", 6},
    {"proxy-authorization", 19},
    {"range", 5},
    {"referer", 7},
    {"upgrade-insecure-requests", 25},
    {"user-agent", 10},
};
_Static_assert(COUNT(singles) <= NAMES_SINGLE_MAX, "a bit each");

int name_single(struct str name)
{
    /* A bit for each first letter; most names of most requests end at it. */
    const unsigned first = 1u << ('c' - 'a') | 1u << ('d' - 'a') | 1u << ('f' - 'a') |
                           1u << ('i' - 'a') | 1u << ('m' - 'a') | 1u << ('o' - 'a') |
                           1u << ('p' - 'a') | 1u << ('r' - 'a') | 1u << ('u' - 'a');

    if (name.len == 0 || name.data[0] < 'a' || name.data[0] > 'z' ||
        (first >> (name.data[0] - 'a') & 1) == 0) {
        return -1;
    }
    for (size_t i = 0; i < COUNT(singles); i++) {
        if (name.len == singles[i].len && str_equal(name, singles[i])) {
            return (int)i;
        }
    }
    return -1;
}

/* ---- spellings ---- */

static bool is_meant(char c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c);
}

/* How much of `name` is like all of `start`; SIZE_MAX when its beginning is not. */
static size_t like_length(struct str name, struct str start)
{
    size_t at = 0;

    for (size_t i = 0; i < start.len; i++) {
        if (!is_meant(start.data[i])) {
            continue;
        }
        while (at < name.len && !is_meant(name.data[at])) {
            at++;
        }
        if (at == name.len || ascii_lower(name.data[at]) != ascii_lower(start.data[i])) {
            return SIZE_MAX;
        }
        at++;
    }
    return at;
}

bool name_begins_like(struct str name, struct str start)
{
    return like_length(name, start) != SIZE_MAX;
}

bool name_is_like(struct str name, struct str other)
{
    size_t at = like_length(name, other);

    while (at < name.len && !is_meant(name.data[at])) {
        at++;
    }
    return at == name.len;
}

bool name_mimics_single(struct str name)
{
    bool odd = false;

    /* "contenttype" is nobody's other spelling: no server adds what is not there. */
    for (size_t i = 0; i < name.len; i++) {
        odd = odd || (!is_meant(name.data[i]) && name.data[i] != '-');
    }
    for (size_t i = 0; odd && i < COUNT(singles); i++) {
        if (name_is_like(name, singles[i])) {
            return true;
        }
    }
    return false;
}

/* ---- lists ---- */

/* An entry that ends in '*' stands for all names that begin so. */
static bool is_listed(struct str name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct str entry = str_from(list[i]);
        bool all = str_ends(entry, STR("*"));
        if (all ? name_begins_like(name, entry) : name_is_like(name, entry)) {
            return true;
        }
    }
    return false;
}

bool name_may_be_nominated(struct str name)
{
    static const char *const never[] = {
        "accept*",    "age",        "allow",           "api-key",      "authorization",
        "cache-*",    "content-*",  "cookie*",         "date",         "etag",
        "expect",     "expires",    "forwarded",       "from",         "host",
        "if-*",       "keybrake-*", "idempotency-key", "location",     "max-forwards",
        "origin",     "pragma",     "range",           "referer",      "server",
        "set-cookie", "transfer-*", "user-agent",      "via",          "x-agent-run-id",
        "x-api-key",  "x-host",     "x-forwarded-*",   "x-original-*", "x-rewrite-*",
    };

    return !is_listed(name, never, COUNT(never));
}

bool name_may_trail(struct str name)
{
    static const char *const never[] = {
        "authorization", "connection",   "content-encoding", "content-length",
        "content-range", "content-type", "cookie",           "expect",
        "host",          "keep-alive",   "max-forwards",     "proxy-*",
        "set-cookie",    "te",           "trailer",          "transfer-encoding",
        "upgrade",
    };

    return !is_listed(name, never, COUNT(never));
}
