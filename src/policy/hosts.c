/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/hosts.h"

#include "http/url.h"

enum { PORT_TLS = 443 };

static bool split(struct str entry, bool *ret_star, struct str *ret_host, unsigned *ret_port)
{
    *ret_star = str_starts(entry, STR("*."));
    struct str rest = *ret_star ? str_slice(entry, 2, entry.len) : entry;

    if (!url_split_authority(rest, ret_host, ret_port) || !url_host_is_name(*ret_host)) {
        return false;
    }
    *ret_port = *ret_port == 0 ? PORT_TLS : *ret_port;
    /* "*.com" would be nearly everybody. */
    return !*ret_star || str_index(*ret_host, '.', 0) < ret_host->len;
}

bool host_entry_is_valid(struct str entry)
{
    struct str host;
    unsigned port;
    bool star;

    return split(entry, &star, &host, &port);
}

bool host_entry_has(struct str entry, struct str host, unsigned port)
{
    struct str name;
    unsigned entry_port;
    bool star;

    if (!split(entry, &star, &name, &entry_port) || port != entry_port || !url_host_is_name(host)) {
        return false;
    }
    if (!star) {
        return str_equal_nocase(name, host);
    }
    size_t before = host.len > name.len ? host.len - name.len : 0;
    return before > 1 && host.data[before - 1] == '.' &&
           str_equal_nocase(str_slice(host, before, host.len), name);
}
