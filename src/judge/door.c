/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/door.h"

#include "http/url.h"

static bool is_loopback(struct str host)
{
    return str_equal_nocase(host, STR("localhost")) || str_starts(host, STR("127.")) ||
           str_equal(host, STR("::1"));
}

static bool is_host_of(struct str address, struct str host)
{
    struct str ours;
    unsigned port;

    return url_split_authority(address, &ours, &port) && str_equal_nocase(ours, host);
}

static bool is_ours(const struct config *config, struct str host)
{
    struct url url;
    struct err ignored;

    if (is_loopback(host) ||
        (config->public_url.len > 0 && url_parse_base(config->public_url, &url, &ignored) == 0 &&
         str_equal_nocase(url.host, host))) {
        return true;
    }
    for (size_t i = 0; i < config->listener_count; i++) {
        if (is_host_of(config->listeners[i].address, host)) {
            return true;
        }
    }
    return false;
}

bool door_is_base(const struct config *config, const struct message_admit *admit)
{
    struct str host;
    unsigned port;

    if (admit->door != DOOR_ABSOLUTE) {
        return admit->door == DOOR_PREFIX;
    }
    if (!url_split_authority(admit->host, &host, &port)) {
        return false;
    }
    /* "stripe.HOST" is ours too. */
    size_t dot = str_index(host, '.', 0);
    return is_ours(config, host) ||
           (dot < host.len && config_find_pack(config, str_slice(host, 0, dot)) != PACK_NONE &&
            is_ours(config, str_slice(host, dot + 1, host.len)));
}
