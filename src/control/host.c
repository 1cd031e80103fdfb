/* SPDX-License-Identifier: Apache-2.0 */
#include "control/host.h"

#include "base/arena.h"
#include "http/url.h"

bool host_is_loopback(struct str host)
{
    return str_equal_nocase(host, STR("localhost")) ||
           (host.len > 10 &&
            str_equal_nocase(str_slice(host, host.len - 10, host.len), STR(".localhost"))) ||
           (str_starts(host, STR("127.")) && !url_host_is_name(host)) ||
           str_equal(host, STR("::1"));
}

static bool is_host_of(struct str address, struct str host)
{
    struct str ours;
    unsigned port;

    return url_split_authority(address, &ours, &port) && str_equal_nocase(ours, host);
}

static bool is_configured(const struct config *config, struct str host)
{
    struct url url;
    struct err ignored;

    if (config == NULL) {
        return false;
    }
    if (config->public_url.len > 0 && url_parse_base(config->public_url, &url, &ignored) == 0 &&
        str_equal_nocase(url.host, host)) {
        return true;
    }
    for (size_t i = 0; i < config->listener_count; i++) {
        if (is_host_of(config->listeners[i].address, host)) {
            return true;
        }
    }
    return false;
}

static bool authority_is_ours(const struct config *config, struct str authority)
{
    struct str host;
    unsigned port;

    return url_split_authority(authority, &host, &port) &&
           (host_is_loopback(host) || is_configured(config, host));
}

bool host_is_ours(const struct config *config, const struct http_head *head, struct err *err)
{
    const struct str *origin = http_field(head, STR("origin"));

    if (head->host.len > 0 && !authority_is_ours(config, head->host)) {
        (void)err_set(err,
                      "the control API does not answer to the host '%.*s'; use the address it "
                      "listens on, or start the server with --public-url",
                      STR_FMT(str_slice(head->host, 0, 100)));
        return false;
    }
    if (http_field_count(head, STR("origin")) == 0) {
        return true;
    }
    struct str rest = origin == NULL ? STR_NONE : *origin;
    size_t scheme = str_starts(rest, STR("https://"))  ? sizeof("https://") - 1
                    : str_starts(rest, STR("http://")) ? sizeof("http://") - 1
                                                       : 0;
    struct str authority = str_slice(rest, scheme, rest.len);
    if (scheme == 0 || !str_equal_nocase(authority, head->host)) {
        (void)err_set(err, "pages of other sites may not use this API");
        return false;
    }
    return true;
}

struct str host_public_url(const struct config *config, struct arena *arena)
{
    struct buf text;
    struct str url = config->public_url;

    if (url.len > 0) {
        return str_ends(url, STR("/")) ? str_slice(url, 0, url.len - 1) : url;
    }
    buf_init(&text, 1024);
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        if (listener->control || str_starts(listener->address, STR("unix:"))) {
            continue;
        }
        (void)buf_add_str(&text, listener->tls ? STR("https://") : STR("http://"));
        (void)buf_add_str(&text, listener->address);
        break;
    }
    url = arena_copy(arena, buf_str(&text));
    buf_clear(&text);
    return url;
}
