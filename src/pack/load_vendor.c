/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a vendor is; and what the loader reads of names in general.
 */
#include <string.h>

#include "http/url.h"
#include "pack/load_parts.h"

int load_header_name(struct json_in *in, const struct json_place *at, struct str text,
                     struct str *ret)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    if (text.len == 0 || text.len > PACK_NAME_MAX) {
        return json_in_fail(in, at, "a header's name has 1 to %d bytes", PACK_NAME_MAX);
    }
    char *name = arena_zeroed(in->arena, text.len, 1);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && (c == '\0' || strchr(marks, c) == NULL)) {
            return json_in_fail(in, at, "\"%.*s\" is no name of a header", STR_FMT(text));
        }
        name[i] = ascii_lower(c);
    }
    *ret = str_of(name, text.len);
    return 0;
}

int load_place_name(struct json_in *in, const struct json_place *at, struct str *ret)
{
    struct str name = str_from(at->name);

    if (name.len == 0 || name.len > PACK_NAME_MAX) {
        return json_in_fail(in, at, "a name has 1 to %d bytes", PACK_NAME_MAX);
    }
    *ret = arena_copy(in->arena, name);
    return 0;
}

/* ---- upstreams ---- */

static int load_base(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack_upstream *upstream = target;
    struct url url;
    struct str text;
    struct err why;

    if (json_in_text(in, at, value, PACK_TEXT_MAX, &text) != 0) {
        return -1;
    }
    if (url_parse_base(text, &url, &why) != 0) {
        return json_in_fail(in, at, "%s", why.text);
    }
    upstream->tls = url.tls;
    upstream->host = url.host;
    upstream->port = url.port;
    upstream->prefix = url.prefix;
    return 0;
}

static int load_hosts(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack_upstream *upstream = target;

    if (json_in_texts(in, at, value, PACK_LIST_MAX, PACK_HOST_MAX, &upstream->hosts,
                      &upstream->host_count) != 0) {
        return -1;
    }
    for (size_t i = 0; i < upstream->host_count; i++) {
        struct json_place here = {.up = at, .index = i};
        struct str host = upstream->hosts[i];
        if (str_starts(host, STR("*."))) {
            host = str_slice(host, 2, host.len);
        }
        if (!url_host_is_name(host)) {
            return json_in_fail(in, &here, "must be a host's name, or \"*.\" and one");
        }
        for (size_t k = 0; k < host.len; k++) {
            if (host.data[k] != ascii_lower(host.data[k])) {
                return json_in_fail(in, &here, "must be in lower case");
            }
        }
    }
    return 0;
}

static int load_is_default(struct json_in *in, const struct json_place *at, json_t *value,
                           void *target)
{
    return json_in_bool(in, at, value, &((struct pack_upstream *)target)->is_default);
}

static int load_allowed(struct json_in *in, const struct json_place *at, json_t *value,
                        void *target)
{
    return json_in_bool(in, at, value, &((struct pack_upstream *)target)->allowed);
}

static int load_upstream(struct json_in *in, const struct json_place *at, json_t *value,
                         void *element)
{
    static const struct json_member members[] = {{"base", JSON_OPTIONAL, load_base},
                                                 {"hosts", JSON_OPTIONAL, load_hosts},
                                                 {"default", JSON_OPTIONAL, load_is_default},
                                                 {"allow", JSON_OPTIONAL, load_allowed}};
    struct pack_upstream *upstream = element;

    upstream->allowed = true;
    if (load_place_name(in, at, &upstream->alias) != 0 ||
        json_in_object(in, at, value, members, COUNT(members), upstream) != 0) {
        return -1;
    }
    if (upstream->allowed && upstream->host.len == 0 && !load_context_of(in)->pack->generic) {
        return json_in_fail(in, at,
                            "needs a \"base\"; only a generic pack gets it with the "
                            "credential");
    }
    return 0;
}

int load_upstreams(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack *pack = target;
    size_t defaults = 0;

    if (json_in_map(in, at, value, PACK_LIST_MAX, sizeof(struct pack_upstream), load_upstream,
                    &pack->upstreams, &pack->upstream_count) != 0) {
        return -1;
    }
    for (size_t i = 0; i < pack->upstream_count; i++) {
        defaults += pack->upstreams[i].is_default && pack->upstreams[i].allowed;
    }
    return defaults == 1 ? 0 : json_in_fail(in, at, "needs one that is allowed and the default");
}
