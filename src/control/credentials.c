/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A credential's way in.  The real key is in the request's body, in the JSON tree made of it, and
 * in one buffer while it is sealed; all three are overwritten.  From then on only the vault can
 * read it.
 */
#include <sodium.h>
#include <string.h>

#include "base/encode.h"
#include "base/json_out.h"
#include "base/limits.h"
#include "base/mem.h"
#include "control/handlers.h"
#include "control/members.h"
#include "http/url.h"
#include "http/write.h"
#include "policy/token.h"
#include "tls/tls.h"

enum { FIELDS_MAX = 16, HOSTS_MAX = 64, SEALED_BYTES_MAX = 128 * 1024, CA_BYTES_MAX = 64 * 1024 };

/* What is sealed.  The strings are in the job's JSON tree and in the configuration. */
struct put {
    struct sealed_credential sealed;
    struct sealed_field fields[FIELDS_MAX];
    struct str secret_fields[FIELDS_MAX];
    struct str hosts[HOSTS_MAX];
    struct str hint;
    struct str public_fields;
    bool live_mode, new_account;
};

static int check_members(json_t *json, struct err *err)
{
    static const char *const known[] = {"vendor", "secret",        "fields",      "upstream",
                                        "ca_pem", "allow_private", "new_account", NULL};

    return members_known(json, known, err);
}

static int take_flag(json_t *json, const char *name, bool *ret, struct err *err)
{
    const json_t *value = json_object_get(json, name);

    if (value != NULL && !json_is_boolean(value)) {
        return err_set(err, "%s is true or false", name);
    }
    *ret = json_is_true(value);
    return 0;
}

static int check_name(struct str name, struct err *err)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && memchr("_-.@:", c, 5) == NULL) {
            return err_set(err, "a credential's name has letters, digits and _-.@: only");
        }
    }
    return name.len > 0 && name.len <= LIMIT_NAME_BYTES
               ? 0
               : err_set(err, "a credential's name has 1 to %d bytes", LIMIT_NAME_BYTES);
}

/* ---- the fields ---- */

static bool has_prefix(const struct pack_field *field, struct str value, struct str *ret_prefix)
{
    *ret_prefix = STR_NONE;
    for (size_t i = 0; i < field->prefix_count; i++) {
        if (str_starts(value, field->prefixes[i]) && field->prefixes[i].len > ret_prefix->len) {
            *ret_prefix = field->prefixes[i];
        }
    }
    return field->prefix_count == 0 || ret_prefix->len > 0;
}

static int refuse_prefix(const struct pack_field *field, struct err *err)
{
    char all[ERR_TEXT_SIZE / 2] = "";
    size_t len = 0;

    for (size_t i = 0; i < field->prefix_count && len < sizeof(all) - 1; i++) {
        int wrote = snprintf(all + len, sizeof(all) - len, "%s%.*s", i == 0 ? "" : ", ",
                             STR_FMT(field->prefixes[i]));
        len += wrote > 0 ? (size_t)wrote : 0;
    }
    return err_set(err, "%.*s does not begin as the vendor's do: %s", STR_FMT(field->name), all);
}

/* No word of the value itself may stand in the reason. */
static int check_value(const struct pack_field *field, struct str value, struct err *err)
{
    struct str prefix;

    if (value.len == 0 || value.len > LIMIT_SECRET_BYTES_MAX) {
        return err_set(err, "%.*s has 1 to %d bytes", STR_FMT(field->name), LIMIT_SECRET_BYTES_MAX);
    }
    if (field->secret && value.len < LIMIT_SECRET_BYTES_MIN) {
        return err_set(err, "%.*s is shorter than %d characters: too short to be found in answers",
                       STR_FMT(field->name), LIMIT_SECRET_BYTES_MIN);
    }
    if (!http_is_field_value(value) || value.data[0] == ' ' || value.data[value.len - 1] == ' ' ||
        memchr(value.data, '\t', value.len) != NULL) {
        return err_set(err, "%.*s has characters that no header can carry (a line end?)",
                       STR_FMT(field->name));
    }
    if (token_kind(value) != TOKEN_KIND_NONE) {
        return err_set(err, "%.*s is a token of keybrake itself, not the vendor's key",
                       STR_FMT(field->name));
    }
    return has_prefix(field, value, &prefix) ? 0 : refuse_prefix(field, err);
}

static const struct pack_field *first_secret(const struct pack *pack)
{
    for (size_t i = 0; i < pack->field_count; i++) {
        if (pack->fields[i].secret && pack->fields[i].required) {
            return &pack->fields[i];
        }
    }
    return NULL;
}

static void set_hint(struct job *job, struct put *put, const struct pack_field *field,
                     struct str value)
{
    struct str prefix;
    struct buf hint;

    (void)has_prefix(field, value, &prefix);
    buf_init(&hint, LIMIT_NAME_BYTES);
    (void)buf_add_str(&hint, str_slice(prefix, 0, 32));
    (void)buf_add_str(&hint, STR("..."));
    (void)buf_add_str(&hint, token_hint(value));
    put->hint = arena_copy(job->arena, buf_str(&hint));
    buf_clear(&hint);
}

static bool has_mark(struct str mark, struct str value)
{
    return mark.len > 0 && str_has(value, mark);
}

static int take_field(struct job *job, struct put *put, const struct pack *pack,
                      const struct pack_field *field, struct str value, struct err *err)
{
    struct sealed_credential *sealed = &put->sealed;

    if (check_value(field, value, err) < 0) {
        return -1;
    }
    if (sealed->field_count == FIELDS_MAX) {
        return err_set(err, "too many fields");
    }
    put->fields[sealed->field_count++] = (struct sealed_field){field->name, value};
    if (!field->secret) {
        return 0;
    }
    put->secret_fields[sealed->secret_field_count++] = field->name;
    if (put->hint.len == 0) {
        set_hint(job, put, field, value);
        /* Neither mark: taken for live, which is the careful side. */
        put->live_mode = has_mark(pack->live_mark, value) || !has_mark(pack->test_mark, value);
    }
    return 0;
}

static int unknown_field(const struct pack *pack, const char *name, struct err *err)
{
    char all[ERR_TEXT_SIZE / 2] = "";
    size_t len = 0;

    for (size_t i = 0; i < pack->field_count && len < sizeof(all) - 1; i++) {
        int wrote = snprintf(all + len, sizeof(all) - len, "%s%.*s", i == 0 ? "" : ", ",
                             STR_FMT(pack->fields[i].name));
        len += wrote > 0 ? (size_t)wrote : 0;
    }
    return err_set(err, "'%.64s' is no field of a credential of %.*s; there are: %s", name,
                   STR_FMT(pack->vendor), all);
}

static int refuse_unknown_fields(const struct pack *pack, json_t *fields, struct err *err)
{
    const char *name;
    json_t *value;

    json_object_foreach(fields, name, value)
    {
        size_t i = 0;
        while (i < pack->field_count && !str_equal(pack->fields[i].name, str_from(name))) {
            i++;
        }
        if (i == pack->field_count) {
            return unknown_field(pack, name, err);
        }
        if (!json_is_string(value)) {
            return err_set(err, "fields.%.64s is not a text", name);
        }
    }
    return 0;
}

static int take_fields(struct job *job, struct put *put, const struct pack *pack, struct err *err)
{
    json_t *fields = json_object_get(job->json, "fields");
    const json_t *secret = json_object_get(job->json, "secret");

    if ((fields == NULL) == (secret == NULL)) {
        return err_set(err, "give the real key as secret (one text) or as fields (an object)");
    }
    if (fields != NULL && !json_is_object(fields)) {
        return err_set(err, "fields is not an object");
    }
    if (secret != NULL && !json_is_string(secret)) {
        return err_set(err, "secret is not a text");
    }
    if (refuse_unknown_fields(pack, fields, err) < 0) {
        return -1;
    }
    const struct pack_field *plain = first_secret(pack);
    for (size_t i = 0; i < pack->field_count; i++) {
        const struct pack_field *field = &pack->fields[i];
        char name[LIMIT_NAME_BYTES + 1] = "";
        memcpy(name, field->name.data,
               field->name.len < LIMIT_NAME_BYTES ? field->name.len : LIMIT_NAME_BYTES);
        const json_t *value = fields != NULL   ? json_object_get(fields, name)
                              : field == plain ? secret
                                               : NULL;
        if (value == NULL && field->required) {
            return err_set(
                err,
                "%.*s is missing: give all of them in fields (on the command line: a JSON "
                "object of them on standard input)",
                STR_FMT(field->name));
        }
        if (value != NULL && take_field(job, put, pack, field, json_str(value), err) < 0) {
            return -1;
        }
    }
    return put->sealed.secret_field_count > 0 ? 0 : err_set(err, "there is no secret in it");
}

static void write_public_fields(struct job *job, struct put *put, const struct pack *pack)
{
    struct buf text;

    buf_init(&text, (size_t)FIELDS_MAX * LIMIT_SECRET_BYTES_MAX);
    struct json_out json = json_begin(&text);
    json_open(&json, '{');
    for (size_t i = 0; i < put->sealed.field_count; i++) {
        for (size_t k = 0; k < pack->field_count; k++) {
            if (!pack->fields[k].secret && str_equal(pack->fields[k].name, put->fields[i].name)) {
                json_name_str(&json, put->fields[i].name);
                json_text(&json, put->fields[i].value);
            }
        }
    }
    json_close(&json, '}');
    put->public_fields = arena_copy(job->arena, buf_str(&text));
    buf_clear(&text);
}

/* ---- where it may go ---- */

static int check_ca(struct str pem, struct err *err)
{
    if (pem.len == 0) {
        return 0;
    }
    if (pem.len > CA_BYTES_MAX) {
        return err_set(err, "ca_pem is longer than %d bytes", CA_BYTES_MAX);
    }
    struct tls_context *context = tls_context_new_client(pem, err);
    bool good = context != NULL && tls_context_trusted(context) > 0;
    tls_context_free(context);
    return good ? 0 : err_set(err, "ca_pem has no certificate in it (PEM)");
}

static void add_host(struct put *put, struct str host)
{
    for (size_t i = 0; i < put->sealed.host_count; i++) {
        if (str_equal(put->hosts[i], host)) {
            return;
        }
    }
    if (put->sealed.host_count < HOSTS_MAX) {
        put->hosts[put->sealed.host_count++] = host;
    }
}

static int take_upstream(struct job *job, struct put *put, const struct pack *pack, struct err *err)
{
    struct sealed_credential *sealed = &put->sealed;
    const json_t *upstream = json_object_get(job->json, "upstream");
    const json_t *ca = json_object_get(job->json, "ca_pem");
    struct url url;

    if ((upstream != NULL && !json_is_string(upstream)) || (ca != NULL && !json_is_string(ca))) {
        return err_set(err, "%s is not a text", ca == NULL ? "upstream" : "ca_pem");
    }
    sealed->upstream = json_str(upstream);
    sealed->ca_pem = json_str(ca);
    if (check_ca(sealed->ca_pem, err) < 0) {
        return -1;
    }
    if (sealed->upstream.len == 0) {
        if (pack->generic) {
            return err_set(err,
                           "upstream is missing: the base URL of the API, as the pack '%.*s' "
                           "names none",
                           STR_FMT(pack->vendor));
        }
        for (size_t i = 0; i < pack->upstream_count; i++) {
            if (pack->upstreams[i].allowed) {
                add_host(put, pack->upstreams[i].host);
            }
        }
        return 0;
    }
    if (url_parse_base(sealed->upstream, &url, err) < 0) {
        return err_prefix(err, "upstream");
    }
    if (!url.tls && !sealed->allow_private) {
        return err_set(err, "upstream is not https: the real key would travel in the clear "
                            "(allow_private permits it for a private address)");
    }
    add_host(put, arena_copy(job->arena, url.host));
    return 0;
}

static int take_all(struct job *job, struct put *put, struct err *err)
{
    const struct config *config = job->api->config;
    struct str vendor = json_str(json_object_get(job->json, "vendor"));
    struct sealed_credential *sealed = &put->sealed;

    if (check_members(job->json, err) < 0 || check_name(job->id, err) < 0 ||
        take_flag(job->json, "allow_private", &sealed->allow_private, err) < 0 ||
        take_flag(job->json, "new_account", &put->new_account, err) < 0) {
        return -1;
    }
    uint32_t index = config_find_pack(config, vendor);
    if (vendor.len == 0 || index == PACK_NONE) {
        return vendor.len == 0 ? err_set(err, "vendor is missing")
                               : policy_unknown_vendor(config, vendor, err);
    }
    const struct pack *pack = &config->packs[index];
    sealed->name = job->id;
    sealed->vendor = arena_copy(job->arena, pack->vendor);
    if (take_fields(job, put, pack, err) < 0 || take_upstream(job, put, pack, err) < 0) {
        return -1;
    }
    write_public_fields(job, put, pack);
    return 0;
}

/* ---- sealing ---- */

static int find_vault_key(struct query *query, unsigned char *key, size_t size, struct err *err)
{
    struct buf text;
    bool found = false;
    int rc = -1;

    if (query == NULL) {
        return err_set(err, "the database is not open");
    }
    buf_init(&text, 1024);
    if (query_meta(query, STR("vault_public_key"), &text, &found, err) == 0) {
        rc = found && hex_decode(buf_str(&text), key, size)
                 ? 0
                 : err_set(err, "the database has no key of the vault; was it made by init?");
    }
    buf_clear(&text);
    return rc;
}

static int seal(struct job *job, struct put *put, struct buf *box, struct err *err)
{
    unsigned char key[crypto_box_PUBLICKEYBYTES];
    struct sealed_credential *sealed = &put->sealed;
    struct buf plain;
    int rc = -1;

    sealed->fields = put->fields;
    sealed->secret_fields = put->secret_fields;
    sealed->hosts = put->hosts;
    buf_init_wiped(&plain, SEALED_BYTES_MAX - crypto_box_SEALBYTES);
    if (find_vault_key(job->api->query, key, sizeof(key), err) < 0) {
        goto out;
    }
    if (!wire_encode(&sealed_credential_schema, sealed, &plain)) {
        (void)err_set(err, "the credential with its certificates is too large");
        goto out;
    }
    struct str text = buf_str(&plain);
    unsigned char *room = buf_room(box, text.len + crypto_box_SEALBYTES);
    if (room == NULL ||
        crypto_box_seal(room, (const unsigned char *)text.data, text.len, key) != 0) {
        (void)err_set(err, "the credential cannot be sealed");
        goto out;
    }
    buf_added(box, text.len + crypto_box_SEALBYTES);
    rc = 0;
out:
    buf_clear(&plain);
    return rc;
}

static void on_version(struct job *job, const struct message_reply *reply)
{
    struct put *put = job->own;
    struct message_call call = job_ask(job, CALL_CREDENTIAL_PUT, job->id);
    struct err err = {""};
    struct buf box;

    if (reply->status != 404 && job_failed(job, reply)) {
        return;
    }
    if (take_all(job, put, &err) < 0) {
        job_refuse(job, 400, "bad_request", "%s", err.text);
        return;
    }
    buf_init(&box, SEALED_BYTES_MAX);
    buf_clear(&job->scratch);
    put->sealed.version = reply->status == 404 ? 1 : reply->version + 1;
    struct call_credential body = {.name = put->sealed.name,
                                   .vendor = put->sealed.vendor,
                                   .version = put->sealed.version,
                                   .live_mode = put->live_mode,
                                   .allow_private = put->sealed.allow_private,
                                   .public_fields = put->public_fields,
                                   .secret_hint = put->hint,
                                   .account_mark = put->public_fields,
                                   .new_account = put->new_account};
    body.upstream = arena_copy(job->arena, put->sealed.upstream);
    int rc = seal(job, put, &box, &err);
    json_decref(job->json); /* the real key's last copy but the request's own bytes */
    job->json = NULL;
    body.sealed = buf_str(&box);
    if (rc == 0) {
        rc = job_encode(&call_credential_schema, &body, &job->scratch, &err);
    }
    if (rc < 0) {
        job_refuse(job, 503, "ledger_unavailable", "%s", err.text);
    } else {
        call.body = buf_str(&job->scratch);
        job_call(job, &call, job_relay);
    }
    buf_clear(&box);
}

/* Who may not is told so before anything is looked at. */
void credentials_run_put(struct job *job)
{
    struct message_call call = job_ask(job, CALL_CREDENTIAL_GET, job->id);

    job->own = arena_zeroed(job->arena, 1, sizeof(struct put)); /* points to secrets, has none */
    job_call(job, &call, on_version);
}

int credentials_build_remove(struct job *job, struct message_call *call, struct buf *body,
                             struct err *err)
{
    struct call_credential remove = {.name = job->id};
    struct str force = job_argument(job, "force");

    (void)call;
    if (check_name(job->id, err) < 0) {
        return -1;
    }
    if (job->json != NULL) {
        const json_t *value = json_object_get(job->json, "force");
        if (json_object_size(job->json) > (value == NULL ? 0 : 1)) {
            return err_set(err, "only force is known here");
        }
        if (take_flag(job->json, "force", &remove.force, err) < 0) {
            return -1;
        }
    }
    if (job_has_argument(job, "force")) {
        if (!str_equal(force, STR("true")) && !str_equal(force, STR("false"))) {
            return err_set(err, "force is true or false");
        }
        remove.force = str_equal(force, STR("true"));
    }
    return job_encode(&call_credential_schema, &remove, body, err);
}
