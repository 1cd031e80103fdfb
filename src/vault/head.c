/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/head.h"

#include <string.h>

#include "base/encode.h"
#include "base/limits.h"
#include "http/names.h"
#include "http/write.h"
#include "pack/splice.h"

enum {
    FIELDS_OWN = 16, /* ours: Via, Accept-Encoding, the credential */
    FIELDS_ALL = LIMIT_FIELDS + FIELDS_OWN,
    AUTHORIZATION_MAX = 4 * LIMIT_SECRET_BYTES_MAX,
};

/* ---- where to ---- */

static bool is_for_host(const struct sealed_credential *credential, struct str host)
{
    for (size_t i = 0; i < credential->host_count; i++) {
        if (url_host_matches(credential->hosts[i], host)) {
            return true;
        }
    }
    return false;
}

int head_find_target(const struct pack *pack, uint32_t upstream,
                     const struct sealed_credential *credential, struct url *ret, struct err *err)
{
    struct url target;

    if (credential->upstream.len > 0) {
        if (url_parse_base(credential->upstream, &target, err) < 0) {
            return err_prefix(err, "the credential's upstream");
        }
    } else {
        if (upstream >= pack->upstream_count || !pack->upstreams[upstream].allowed) {
            return err_set(err, "the vendor has no such upstream");
        }
        const struct pack_upstream *named = &pack->upstreams[upstream];
        target = (struct url){named->tls, named->host, named->port, named->prefix};
        if (!is_for_host(credential, target.host)) {
            return err_set(err, "the credential is not for %.*s", STR_FMT(target.host));
        }
    }
    if (!target.tls && !credential->allow_private) {
        return err_set(err, "the credential would go to %.*s in the clear", STR_FMT(target.host));
    }
    *ret = target;
    return 0;
}

/* ---- what is dropped ---- */

/* In any spelling.  A name that ends in '*' stands for all that begin so. */
#define ENTRY(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
static const struct str never_sent[] = {
    ENTRY("accept-encoding"),
    ENTRY("alt-used"),
    ENTRY("authorization"),
    ENTRY("cf-connecting-ip"),
    ENTRY("client-ip"),
    ENTRY("connection"),
    ENTRY("content-length"),
    ENTRY("cookie"),
    ENTRY("cookie2"),
    ENTRY("early-data"),
    ENTRY("expect"),
    ENTRY("forwarded"),
    ENTRY("host"),
    ENTRY("http2-settings"),
    ENTRY("keep-alive"),
    ENTRY("keybrake-*"),
    ENTRY("max-forwards"),
    ENTRY("proxy-*"),
    ENTRY("te"),
    ENTRY("trailer"),
    ENTRY("transfer-encoding"),
    ENTRY("true-client-ip"),
    ENTRY("upgrade"),
    ENTRY("x-agent-run-id"),
    ENTRY("x-client-ip"),
    ENTRY("x-cluster-client-ip"),
    ENTRY("x-forwarded-*"),
    ENTRY("x-host"),
    ENTRY("x-http-method"),
    ENTRY("x-http-method-override"),
    ENTRY("x-method-override"),
    ENTRY("x-original-*"),
    ENTRY("x-override-url"),
    ENTRY("x-real-ip"),
    ENTRY("x-rewrite-*"),
};

static bool is_alnum(char c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c);
}

static bool is_never_sent(struct str name)
{
    /* Nobody's; to some servers "_Host" is Host. */
    if (name.len == 0 || !is_alnum(name.data[0]) || !is_alnum(name.data[name.len - 1])) {
        return true;
    }
    for (size_t i = 0; i < sizeof(never_sent) / sizeof(never_sent[0]); i++) {
        struct str entry = never_sent[i];
        if (entry.data[0] != ascii_lower(name.data[0])) {
            continue;
        }
        if (entry.data[entry.len - 1] == '*' ? name_begins_like(name, entry)
                                             : name_is_like(name, entry)) {
            return true;
        }
    }
    return false;
}

static bool is_ours(const struct pack *pack, struct str name)
{
    for (size_t i = 0; i < pack->header_count; i++) {
        if (name_is_like(pack->headers[i].name, name)) {
            return true;
        }
    }
    for (size_t i = 0; i < pack->set_header_count; i++) {
        if (name_is_like(pack->set_headers[i].name, name)) {
            return true;
        }
    }
    for (size_t i = 0; i < pack->drop_header_count; i++) {
        if (name_is_like(pack->drop_headers[i], name)) {
            return true;
        }
    }
    return (pack->idempotency.header.len > 0 && name_is_like(pack->idempotency.header, name)) ||
           (pack->inject.header.len > 0 && name_is_like(pack->inject.header, name));
}

bool head_drops(const struct config *config, const struct pack *pack, struct str name,
                bool range_allowed)
{
    if (!range_allowed &&
        (name_is_like(name, STR("range")) || name_is_like(name, STR("if-range")))) {
        return true;
    }
    return is_never_sent(name) || is_ours(pack, name) || header_is_credential(config, name);
}

/* ---- the credential ---- */

static const struct str *find_field(const struct sealed_credential *credential, struct str name)
{
    for (size_t i = 0; i < credential->field_count; i++) {
        if (str_equal(credential->fields[i].name, name)) {
            return &credential->fields[i].value;
        }
    }
    return NULL;
}

static struct str basic_user(const struct head_parts *parts)
{
    const struct pack_inject *inject = &parts->pack->inject;

    for (size_t i = 0; i < inject->user_field_count; i++) {
        const struct str *user = find_field(parts->credential, inject->user_fields[i]);
        if (user != NULL) {
            return *user;
        }
    }
    return inject->user_literal;
}

static void write_basic(struct buf *out, struct str user, struct str password)
{
    struct buf pair;

    buf_init_wiped(&pair, user.len + password.len + 1);
    (void)buf_add_str(&pair, user);
    (void)buf_add_char(&pair, ':');
    (void)buf_add_str(&pair, password);
    (void)buf_add_str(out, STR("Basic "));
    (void)base64_encode(out, buf_str(&pair));
    buf_clear(&pair);
}

/* A header of the client's choice carries the secret only where the pack accepts one. */
static bool accepts_header(const struct pack *pack, struct str name)
{
    for (size_t i = 0; i < pack->accept_count; i++) {
        if (pack->accepts[i].form == FORM_HEADER && str_equal(pack->accepts[i].name, name)) {
            return true;
        }
    }
    return false;
}

static int write_same(struct buf *out, struct str *ret_name, const struct head_parts *parts,
                      struct str secret, struct err *err)
{
    switch (parts->grant->inject) {
    case FORM_BEARER:
        (void)buf_add_str(out, STR("Bearer "));
        (void)buf_add_str(out, secret);
        return 0;
    case FORM_BASIC_USER:
        write_basic(out, secret, STR_NONE);
        return 0;
    case FORM_BASIC_PASS:
        write_basic(out, basic_user(parts), secret);
        return 0;
    case FORM_TOKEN:
        (void)buf_add_str(out, STR("token "));
        (void)buf_add_str(out, secret);
        return 0;
    case FORM_HEADER:
        if (!accepts_header(parts->pack, parts->grant->inject_name)) {
            return err_set(err, "the vendor takes no credential in this header");
        }
        *ret_name = parts->grant->inject_name;
        (void)buf_add_str(out, secret);
        return 0;
    case FORM_COUNT:
        break;
    }
    return err_set(err, "an unknown form of credential");
}

/* The value goes to `out`; the name of its field to *ret_name. */
static int write_credential(struct buf *out, struct str *ret_name, const struct head_parts *parts,
                            struct err *err)
{
    const struct pack_inject *inject = &parts->pack->inject;
    const struct str *secret = find_field(parts->credential, inject->secret_field);

    if (secret == NULL || secret->len == 0) {
        return err_set(err, "the credential has no field %.*s", STR_FMT(inject->secret_field));
    }
    *ret_name = STR("Authorization");
    switch (inject->kind) {
    case INJECT_BEARER:
        (void)buf_add_str(out, STR("Bearer "));
        (void)buf_add_str(out, *secret);
        return 0;
    case INJECT_BASIC:
        write_basic(out, basic_user(parts), *secret);
        return 0;
    case INJECT_TOKEN:
        (void)buf_add_str(out, STR("token "));
        (void)buf_add_str(out, *secret);
        return 0;
    case INJECT_HEADER:
        *ret_name = inject->header;
        (void)buf_add_str(out, *secret);
        return 0;
    case INJECT_SAME:
        return write_same(out, ret_name, parts, *secret, err);
    case INJECT_COUNT:
        break;
    }
    return err_set(err, "an unknown way to put the credential on");
}

/* ---- the head ---- */

struct fields {
    struct message_header list[FIELDS_ALL];
    size_t count;
};

static int add_field(struct fields *fields, struct str name, struct str value, struct err *err)
{
    if (!http_is_token(name) || !http_is_field_value(value)) {
        return err_set(err, "a field that must not stand in a head");
    }
    if (fields->count == FIELDS_ALL) {
        return err_set(err, "too many fields");
    }
    fields->list[fields->count++] = (struct message_header){name, value};
    return 0;
}

static bool is_framing(struct str name)
{
    return name_is_like(name, STR("content-length")) || name_is_like(name, STR("host")) ||
           name_is_like(name, STR("transfer-encoding")) || name_is_like(name, STR("connection"));
}

/* The credential says it, so the client does not. */
static bool is_the_credentials(const struct head_parts *parts, struct str name)
{
    for (size_t i = 0; i < parts->pack->set_header_count; i++) {
        const struct pack_set_header *set = &parts->pack->set_headers[i];
        const struct str *value = find_field(parts->credential, set->field);
        if (value != NULL && value->len > 0 && name_is_like(name, set->name)) {
            return true;
        }
    }
    return false;
}

static int add_judged(struct fields *fields, const struct head_parts *parts, struct err *err)
{
    for (size_t i = 0; i < parts->grant->header_count; i++) {
        const struct message_header *field = &parts->grant->headers[i];
        if (is_framing(field->name) || header_is_credential(parts->config, field->name)) {
            return err_set(err, "a granted field that is not the judge's to grant");
        }
        if (is_the_credentials(parts, field->name)) {
            continue;
        }
        if (add_field(fields, field->name, field->value, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static bool is_granted(const struct message_grant *grant, struct str name)
{
    for (size_t i = 0; i < grant->header_count; i++) {
        if (name_is_like(grant->headers[i].name, name)) {
            return true;
        }
    }
    return false;
}

static bool drops(const struct head_parts *parts, struct str name)
{
    bool range_allowed = parts->grant->range_allowed, known;
    const struct memo_key key = {parts->config->generation, parts->grant->pack, range_allowed};
    struct memo_slot *slot = memo_find(parts->memo, &key, name, &known);

    if (known) {
        return slot->dropped;
    }
    bool dropped = head_drops(parts->config, parts->pack, name, range_allowed);
    if (slot != NULL) {
        slot->dropped = dropped;
    }
    return dropped;
}

static int add_free(struct fields *fields, const struct head_parts *parts, struct err *err)
{
    for (size_t i = 0; i < parts->free_count; i++) {
        const struct message_header *field = &parts->free[i];
        if (!drops(parts, field->name) && !is_granted(parts->grant, field->name) &&
            add_field(fields, field->name, field->value, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int add_set_headers(struct fields *fields, const struct head_parts *parts, struct err *err)
{
    for (size_t i = 0; i < parts->pack->set_header_count; i++) {
        const struct pack_set_header *set = &parts->pack->set_headers[i];
        const struct str *value = find_field(parts->credential, set->field);
        if (value != NULL && value->len > 0 && add_field(fields, set->name, *value, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static bool is_target(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= ' ' || c >= 0x7f || c == '#') {
            return false;
        }
    }
    return true;
}

enum { HOST_TEXT_MAX = 280 };

static struct str host_text(const struct url *target, struct buf *text)
{
    bool v6 = str_index(target->host, ':', 0) < target->host.len;
    bool plain = target->port == (target->tls ? 443u : 80u);

    if (plain && !v6) {
        return target->host;
    }
    if (v6) {
        (void)buf_add_char(text, '[');
    }
    (void)buf_add_str(text, target->host);
    if (v6) {
        (void)buf_add_char(text, ']');
    }
    if (!plain) {
        (void)buf_add_char(text, ':');
        (void)buf_add_u64(text, target->port);
    }
    return text->overflow ? STR_NONE : buf_str(text);
}

/* How the body goes out.  A judged one has been collected, so its length is known. */
static enum body_kind framing(const struct message_grant *grant, uint64_t *ret_length)
{
    *ret_length = grant->content_length;
    if (grant->judged_body && grant->splice_count > 0) {
        *ret_length = splices_length(grant->splices, grant->splice_count, grant->body_length);
        return BODY_LENGTH;
    }
    if (grant->body == BODY_NONE) {
        /* Some servers take a POST that says nothing of its length for a broken one. */
        bool says =
            !str_equal(grant->method, STR("GET")) && !str_equal(grant->method, STR("HEAD")) &&
            !str_equal(grant->method, STR("DELETE")) && !str_equal(grant->method, STR("OPTIONS"));
        *ret_length = 0;
        return says ? BODY_LENGTH : BODY_NONE;
    }
    if (grant->judged_body) {
        *ret_length = grant->body_length;
        return BODY_LENGTH;
    }
    return grant->body;
}

static int write_request(struct buf *out, const struct head_parts *parts,
                         const struct fields *fields, struct err *err)
{
    const struct message_grant *grant = parts->grant;
    struct str path = grant->path;
    struct buf joined, host_bytes;
    uint64_t length;
    enum body_kind body = framing(grant, &length);
    int rc = -1;

    buf_init(&host_bytes, HOST_TEXT_MAX);
    struct str host = host_text(parts->target, &host_bytes);
    buf_init(&joined, 4 * LIMIT_TARGET_BYTES);
    if (parts->target->prefix.len > 0) {
        (void)buf_add_str(&joined, parts->target->prefix);
        (void)buf_add_str(&joined, grant->path);
        path = buf_str(&joined);
    }
    if (!http_is_token(grant->method) || path.len == 0 || path.data[0] != '/' || joined.overflow ||
        !is_target(path) || !is_target(grant->query) || host.len == 0 || !is_target(host) ||
        body == BODY_UNTIL_CLOSE) {
        (void)err_set(err, "a request line that must not be sent");
    } else if (!http_write_request(out, grant->method, path, grant->query, grant->has_query, host,
                                   fields->list, fields->count, body, length)) {
        (void)err_set(err, "the head of the request is too large");
    } else {
        rc = 0;
    }
    buf_clear(&joined);
    buf_clear(&host_bytes);
    return rc;
}

int head_write(struct buf *out, const struct head_parts *parts, struct err *err)
{
    static struct fields fields; /* large, and one at a time */
    struct buf secret;
    struct str name = {0};
    int rc = -1;

    fields.count = 0;
    buf_init_wiped(&secret, AUTHORIZATION_MAX);
    if (write_credential(&secret, &name, parts, err) < 0) {
        goto out;
    }
    if (secret.overflow) {
        (void)err_set(err, "the credential is too long for a head");
        goto out;
    }
    if (add_judged(&fields, parts, err) < 0 || add_free(&fields, parts, err) < 0 ||
        add_set_headers(&fields, parts, err) < 0 ||
        add_field(&fields, STR("Via"), STR("1.1 keybrake"), err) < 0 ||
        add_field(&fields, STR("Accept-Encoding"), STR("identity"), err) < 0 ||
        add_field(&fields, name, buf_str(&secret), err) < 0) {
        goto out;
    }
    rc = write_request(out, parts, &fields, err);
out:
    buf_clear(&secret);
    return rc;
}
