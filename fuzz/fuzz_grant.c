/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A grant and a gate's free fields, as the head that goes to the vendor.  Input: a byte for the
 * body, the lines METHOD, PATH and QUERY, then one field a line: 'j' judged or 'f' free,
 * NAME:VALUE.
 *
 * Whatever they say, one head goes out or none; the credential is in it once and is ours; host,
 * method, path and query are the grant's; nothing that is dropped comes through.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/limits.h"
#include "http/head.h"
#include "shipped.h"
#include "vault/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIELDS_MAX = 48, OUT_MAX = 4 * LIMIT_HEAD_BYTES };

static bool has_field(const struct message_header *fields, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal_nocase(fields[i].name, name)) {
            return true;
        }
    }
    return false;
}

static void check_parsed(const struct http_head *head, const struct head_parts *parts)
{
    const struct message_grant *grant = parts->grant;
    const struct str *authorization = http_field(head, STR("authorization"));

    assert(authorization != NULL && str_equal(*authorization, STR("Bearer sk_test_FAKEFAKE")));
    assert(str_equal(head->method, grant->method) && str_equal(head->path, grant->path));
    assert(head->has_query == grant->has_query && str_equal(head->query, grant->query));
    assert(str_equal(head->host, STR("api.stripe.com")));
    for (size_t i = 0; i < parts->free_count; i++) {
        struct str name = parts->free[i].name;
        bool ours = str_equal_nocase(name, STR("host")) ||
                    str_equal_nocase(name, STR("authorization")) ||
                    str_equal_nocase(name, STR("accept-encoding")) ||
                    str_equal_nocase(name, STR("content-length")) ||
                    str_equal_nocase(name, STR("transfer-encoding")) ||
                    has_field(grant->headers, grant->header_count, name);
        assert(ours || !head_drops(parts->config, parts->pack, name, grant->range_allowed) ||
               !has_field(head->fields, head->field_count, name));
    }
}

static void check(struct buf *out, const struct head_parts *parts)
{
    static struct http_head head;
    struct http_problem problem;
    struct str all = buf_str(out);
    size_t used;

    assert(all.len > 4);
    const char *end = memmem(all.data, all.len, "\r\n\r\n", 4);
    assert(end == all.data + all.len - 4); /* one head, and nothing behind it */
    for (size_t i = 0; i < all.len; i++) {
        char c = all.data[i];
        assert(c != '\0' && (c != '\r' || all.data[i + 1] == '\n') &&
               (c != '\n' || all.data[i - 1] == '\r'));
    }
    if (http_parse_request((char *)out->data + out->start, all.len, &head, &used, &problem) ==
        HTTP_OK) {
        assert(used == all.len);
        check_parsed(&head, parts);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct message_header judged[FIELDS_MAX], free_fields[FIELDS_MAX];
    static const enum body_kind bodies[] = {BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_UNTIL_CLOSE};
    static struct sealed_field secret = {{"secret", 6}, {"sk_test_FAKEFAKE", 16}};
    static struct str host = {"api.stripe.com", 14};
    static struct memo memo; /* of all inputs before: a verdict of another name would show */
    const struct config *config = shipped();
    struct str rest = str_of(data, size);

    if (size < 1) {
        return 0;
    }
    rest = str_slice(rest, 1, rest.len);
    struct message_grant grant = {.body = bodies[data[0] & 3],
                                  .content_length = data[0],
                                  .range_allowed = (data[0] & 4) != 0,
                                  .headers = judged};
    grant.method = str_take_until(&rest, '\n');
    grant.path = str_take_until(&rest, '\n');
    grant.query = str_take_until(&rest, '\n');
    grant.has_query = grant.query.len > 0;
    struct sealed_credential credential = {
        .fields = &secret, .field_count = 1, .hosts = &host, .host_count = 1};
    struct head_parts parts = {.config = config,
                               .pack = &config->packs[config_find_pack(config, STR("stripe"))],
                               .grant = &grant,
                               .free = free_fields,
                               .credential = &credential,
                               .memo = &memo};
    while (rest.len > 0 && grant.header_count < FIELDS_MAX && parts.free_count < FIELDS_MAX) {
        struct str value = str_take_until(&rest, '\n');
        bool is_judged = str_starts(value, STR("j"));
        value = str_slice(value, 1, value.len);
        struct str name = str_take_until(&value, ':');
        if (is_judged) {
            judged[grant.header_count++] = (struct message_header){name, value};
        } else {
            free_fields[parts.free_count++] = (struct message_header){name, value};
        }
    }
    struct url target;
    struct err err;
    struct buf out;
    assert(head_find_target(parts.pack, 0, &credential, &target, &err) == 0);
    parts.target = &target;
    buf_init_wiped(&out, OUT_MAX);
    if (head_write(&out, &parts, &err) == 0) {
        check(&out, &parts);
    } else {
        assert(buf_len(&out) == 0);
    }
    buf_clear(&out);
    return 0;
}
