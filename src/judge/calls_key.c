/* SPDX-License-Identifier: Apache-2.0 */
/* The calls about vault keys. */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "judge/audit.h"
#include "judge/book.h"
#include "judge/calls.h"
#include "judge/json.h"
#include "judge/keys.h"
#include "judge/number.h"
#include "judge/record.h"
#include "judge/revoke.h"
#include "policy/bounds.h"

enum {
    POLICY_BYTES_MAX = 512 * 1024,
    SCAN_MAX = 20000, /* keys looked at for one page of a filtered list */
};

/* Marks the "hold" of a record that is an issue's: it is a key's number. */
static const uint64_t issue_mark = UINT64_C(1) << 62;

static void reply_key(struct call *call, uint32_t status, struct key *key)
{
    struct buf text;

    buf_init(&text, REPLY_BYTES_MAX);
    struct json_out out = json_begin(&text);
    json_key(&out, call->judge, key);
    call_reply(call, status, buf_str(&text), key->policy_version);
    buf_clear(&text);
}

static void write_key_row(struct judge *judge, const struct key *key)
{
    struct message_row_key row;

    key_row(key, &row);
    record_row(judge, MESSAGE_ROW_KEY, &row);
}

/* Issuers see what they issued; a vault key sees itself. */
static struct key *find_key(struct call *call)
{
    const struct caller *caller = &call->caller;
    struct str id = call->message->id;
    struct key *key = keys_by_id(call->judge, id);

    if (caller->self != NULL) {
        bool self = id.len == 0 || str_equal(id, STR("self")) || key == caller->self;
        key = self ? caller->self : NULL;
    } else if (key != NULL && caller->role == OPERATOR_ISSUER &&
               !str_equal(str_from(key->created_by), caller->name)) {
        key = NULL;
    }
    if (key == NULL) {
        call_refuse(call, 404, "not_found", "there is no such key");
    }
    return key;
}

static bool is_ended(const struct judge *judge, const struct key *key)
{
    enum key_status status = key_status_now(judge, key);

    return status == KEY_REVOKED || status == KEY_EXPIRED;
}

/* ---- issue ---- */

/* What an issue is about to become. */
struct issue {
    struct policy policy;
    const struct pack *pack;
    struct key *parent;
    struct credential *credential;
    struct digest scope; /* of its Idempotency-Key; zero: none */
};

static bool choose_credential(struct call *call, struct issue *issue)
{
    struct policy *policy = &issue->policy;

    issue->credential = policy->credential.len > 0
                            ? book_credential_by_name(call->judge, policy->credential)
                            : book_default_credential(call->judge, policy->vendor);
    if (issue->credential == NULL && policy->credential.len > 0) {
        call_refuse(call, 422, "no_credential", "there is no credential '%.*s'; put it first",
                    STR_FMT(policy->credential));
        return false;
    }
    if (issue->credential == NULL) {
        call_refuse(call, 422, "no_credential",
                    "there is no credential named '%.*s', nor exactly one of that vendor: put one, "
                    "or name it",
                    STR_FMT(policy->vendor));
        return false;
    }
    if (!str_equal(issue->credential->vendor, policy->vendor)) {
        call_refuse(call, 422, "no_credential", "the credential '%.*s' is of vendor %.*s",
                    STR_FMT(policy->credential), STR_FMT(issue->credential->vendor));
        return false;
    }
    policy->credential = issue->credential->name;
    return true;
}

static bool choose_parent(struct call *call, struct issue *issue)
{
    struct policy *policy = &issue->policy;
    enum key_status status;

    if (policy->parent.len == 0) {
        return true;
    }
    struct key *parent = keys_by_id(call->judge, policy->parent);
    if (parent == NULL || (call->caller.role == OPERATOR_ISSUER &&
                           !str_equal(str_from(parent->created_by), call->caller.name))) {
        call_refuse(call, 422, "no_parent", "there is no key %.*s", STR_FMT(policy->parent));
        return false;
    }
    if (key_first_inactive(call->judge, parent, &status) != NULL) {
        call_refuse(call, 409, "parent_ended", "the parent is %s", key_status_name(status));
        return false;
    }
    if (!str_equal(parent->vendor, policy->vendor) ||
        parent->credential != issue->credential->number) {
        call_refuse(call, 422, "bad_parent", "a child has its parent's vendor and credential");
        return false;
    }
    struct str tenant = parent->tenant == NULL ? STR_NONE : str_from(parent->tenant->name);
    if (policy->tenant.len > 0 && !str_equal(policy->tenant, tenant)) {
        call_refuse(call, 422, "bad_parent", "a child has its parent's tenant");
        return false;
    }
    policy->tenant = tenant;
    if (key_depth(parent) >= LIMIT_KEY_DEPTH) {
        call_refuse(call, 422, "bad_parent", "a tree of keys is %d deep at most", LIMIT_KEY_DEPTH);
        return false;
    }
    if (parent->child_count >= LIMIT_CHILDREN_A_KEY) {
        call_refuse(call, 503, "limit_reached", "the parent has %d children already",
                    LIMIT_CHILDREN_A_KEY);
        return false;
    }
    issue->parent = parent;
    return true;
}

static bool check_policy(struct call *call, struct issue *issue)
{
    struct judge *judge = call->judge;
    const struct config *config = judge->generation->config;
    const struct policy *policy = &issue->policy;
    struct err err = {""};
    uint32_t pack = config_find_pack(config, policy->vendor);

    if (pack == PACK_NONE) {
        call_refuse(call, 400, "bad_request", "the vendor '%.*s' is not known here",
                    STR_FMT(policy->vendor));
        return false;
    }
    issue->pack = &config->packs[pack];
    if (policy_check(policy, config, judge->clock.now_ms, &err) < 0) {
        call_refuse(call, 400, "bad_request", "%s", err.text);
        return false;
    }
    if (call->caller.has_bounds &&
        bounds_check(&call->caller.bounds, policy, issue->pack, judge->clock.now_ms, &err) < 0) {
        call_refuse(call, 403, "out_of_bounds", "%s", err.text);
        return false;
    }
    if (judge->live_keys >= LIMIT_LIVE_KEYS) {
        call_refuse(call, 503, "limit_reached", "there are %d live keys already", LIMIT_LIVE_KEYS);
        return false;
    }
    if (policy->tenant.len > 0 && book_find_tenant(judge, policy->tenant) == NULL &&
        judge->tenant_count >= LIMIT_TENANTS) {
        call_refuse(call, 503, "limit_reached", "there are %d tenants already", LIMIT_TENANTS);
        return false;
    }
    return true;
}

static struct digest issue_scope(const struct call *call)
{
    struct str name = call->caller.name;
    uint32_t len = (uint32_t)name.len;
    struct str parts[] = {STR("issue"), str_of(&len, sizeof(len)), name,
                          call->message->idempotency_key};

    return digest_of_parts(parts, 4);
}

/* Makes a token, and remembers only its digest.  The text goes into the reply, once. */
static void give_token(struct judge *judge, struct key *key, const struct credential *credential,
                       enum token_style style, struct token *ret)
{
    *ret = token_make(style, credential != NULL && credential->live_mode);
    struct digest digest = digest_of(str_from(ret->text));
    key_set_token(judge, key, &digest, token_hint(str_from(ret->text)));
}

static void pend_with_token(struct call *call, uint32_t status, struct key *key,
                            struct token *token, void (*then)(struct pending *, bool))
{
    struct pending *pending = call_pending(call, status, key->policy_version);
    struct json_out out = json_begin(&pending->json);

    json_key_changed(&out, call->judge, key, str_from(token->text));
    mem_wipe(token, sizeof(*token));
    pending->key = key->number;
    pending->then = then;
    call_wait(pending);
}

/* Nobody was told the token: the key must not live on when its row is stored after all. */
static void take_back_issue(struct pending *pending, bool durable)
{
    struct judge *judge = pending->judge;
    struct key *key = keys_by_number(judge, pending->key);

    if (!durable && key != NULL && !is_ended(judge, key)) {
        key_end(judge, key, KEY_REVOKED);
        write_key_row(judge, key);
    }
}

/* With its row and the audit's.  NULL: refused. */
static struct key *make_key(struct call *call, const struct issue *issue, struct token *ret_token)
{
    struct judge *judge = call->judge;
    struct buf policy;
    struct token token = token_make(issue->policy.token_style, issue->credential->live_mode);
    struct token id = name_make("key_");

    buf_init(&policy, POLICY_BYTES_MAX);
    if (!wire_encode(&policy_schema, &issue->policy, &policy)) {
        buf_clear(&policy);
        call_refuse(call, 400, "bad_request", "the policy is too large");
        return NULL;
    }
    struct message_row_key row = {
        .key = number_take(judge, NUMBER_KEY),
        .id = str_from(id.text),
        .token_digest = digest_of(str_from(token.text)),
        .token_hint = token_hint(str_from(token.text)),
        .policy = buf_str(&policy),
        .policy_version = 1,
        .parent = issue->parent == NULL ? 0 : issue->parent->number,
        .credential = issue->credential->number,
        .status = KEY_ACTIVE,
        .created_at_ms = judge->clock.now_ms,
        .expires_at_ms = issue->policy.expires_at_ms,
        .created_by = str_slice(call->caller.name, 0, LIMIT_LABEL_BYTES),
    };
    struct key *key = keys_put(judge, &row);
    buf_clear(&policy);
    if (key == NULL) {
        call_refuse(call, 503, "limit_reached", "the key could not be made; ask again");
        return NULL;
    }
    key->parent = issue->parent;
    if (key->parent != NULL) {
        key->parent->child_count++;
    }
    write_key_row(judge, key);
    if (!digest_is_zero(&issue->scope)) {
        struct message_row_idempotency record = {.scope = issue->scope,
                                                 .body = call->message->body_digest,
                                                 .hold = key->number | issue_mark,
                                                 .first_at_ms = judge->clock.now_ms};
        records_put(&judge->records, &record);
        record_row(judge, MESSAGE_ROW_IDEMPOTENCY, &record);
    }
    audit_control(judge, call->caller.name, "key_issued", key, key_id(key), issue->policy.session);
    *ret_token = token;
    mem_wipe(&token, sizeof(token));
    return key;
}

static void issue_new(struct call *call, const struct issue *issue)
{
    struct token token;
    struct key *key = make_key(call, issue, &token);

    if (key != NULL) {
        pend_with_token(call, 201, key, &token, take_back_issue);
    }
}

bool call_may_issue(struct call *call, const struct policy *policy)
{
    struct issue issue = {.policy = *policy};

    return check_policy(call, &issue) && choose_credential(call, &issue) &&
           choose_parent(call, &issue);
}

struct key *call_make_key(struct call *call, const struct policy *policy, struct token *ret_token)
{
    struct issue issue = {.policy = *policy};

    if (!check_policy(call, &issue) || !choose_credential(call, &issue) ||
        !choose_parent(call, &issue)) {
        return NULL;
    }
    return make_key(call, &issue, ret_token);
}

/* The same issue again: a fresh token for the same key, while the first may still be on its way. */
static void issue_again(struct call *call, const struct issue *issue, const struct record *record)
{
    struct judge *judge = call->judge;
    struct key *key = keys_by_number(judge, record->hold & ~issue_mark);
    struct token token;

    if (!digest_equal(&record->body, &call->message->body_digest)) {
        call_refuse(call, 422, "idempotency_mismatch",
                    "this Idempotency-Key was used for another key");
        return;
    }
    if (key == NULL || is_ended(judge, key) ||
        judge->clock.now_ms - record->first_at_ms > LIMIT_ISSUE_REPEAT_MS) {
        call_refuse(call, 409, "already_issued", "this Idempotency-Key has issued %.*s",
                    STR_FMT(key == NULL ? STR("a key that has ended") : key_id(key)));
        return;
    }
    give_token(judge, key, issue->credential, issue->policy.token_style, &token);
    write_key_row(judge, key);
    audit_control(judge, call->caller.name, "key_token_renewed", key, key_id(key), STR_NONE);
    pend_with_token(call, 201, key, &token, NULL);
}

void call_key_issue(struct call *call)
{
    struct judge *judge = call->judge;
    struct issue issue = {0};
    const struct record *record = NULL;

    if (!call_decode(call, &policy_schema, &issue.policy) || !call_has_room(call)) {
        return;
    }
    if (call->message->idempotency_key.len > 0) {
        issue.scope = issue_scope(call);
        record = table_find(&judge->records.table, &issue.scope);
        if (record == NULL && judge->records.table.count >= judge->records.max) {
            call_refuse(call, 503, "limit_reached", "too many idempotency keys are remembered");
            return;
        }
    }
    if (record != NULL) {
        struct key *key = keys_by_number(judge, record->hold & ~issue_mark);
        issue.credential = key == NULL ? NULL : book_credential(judge, key->credential);
        issue_again(call, &issue, record);
        return;
    }
    if (!check_policy(call, &issue) || !choose_credential(call, &issue) ||
        !choose_parent(call, &issue)) {
        return;
    }
    issue_new(call, &issue);
}

/* ---- list, get ---- */

static bool is_wanted(const struct judge *judge, const struct key *key, const struct call *call,
                      const struct call_key_filter *filter)
{
    struct str tenant = key->tenant == NULL ? STR_NONE : str_from(key->tenant->name);
    struct str status = str_from(key_status_name(key_status_now(judge, key)));

    return str_starts(key->label, filter->label_prefix) &&
           (filter->vendor.len == 0 || str_equal(key->vendor, filter->vendor)) &&
           (filter->tenant.len == 0 || str_equal(tenant, filter->tenant)) &&
           (filter->run_id.len == 0 || str_equal(key->run_id, filter->run_id)) &&
           (filter->status.len == 0 || str_equal(status, filter->status)) &&
           (call->caller.role != OPERATOR_ISSUER ||
            str_equal(str_from(key->created_by), call->caller.name));
}

/* The newest key below the cursor; the list's head when there is none. */
static struct list *start_of_page(struct judge *judge, const struct call *call)
{
    uint64_t below = page_start(call);

    if (below == UINT64_MAX) {
        return judge->keys.prev;
    }
    const struct key *key = keys_by_number(judge, below);
    if (key != NULL) {
        return key->link.prev;
    }
    struct list *at = judge->keys.prev;
    while (at != &judge->keys && LIST_THING(at, struct key, link)->number >= below) {
        at = at->prev;
    }
    return at;
}

void call_key_list(struct call *call)
{
    struct judge *judge = call->judge;
    struct call_key_filter filter;
    struct page page;
    size_t looked = 0;

    if (!call_decode(call, &call_key_filter_schema, &filter)) {
        return;
    }
    page_open(&page, call);
    for (struct list *at = start_of_page(judge, call); at != &judge->keys; at = at->prev) {
        struct key *key = LIST_THING(at, struct key, link);
        if (page_is_full(&page) || looked++ >= SCAN_MAX) {
            page_more_from(&page, key->number + 1);
            break;
        }
        if (is_wanted(judge, key, call, &filter)) {
            json_key(&page.out, judge, key);
            page.count++;
        }
    }
    page_reply(&page, call);
}

void call_key_get(struct call *call)
{
    struct key *key = find_key(call);
    struct buf text;

    if (key == NULL) {
        return;
    }
    if (call->caller.self == NULL) {
        reply_key(call, 200, key);
        return;
    }
    buf_init(&text, REPLY_BYTES_MAX);
    struct json_out out = json_begin(&text);
    json_key_for_self(&out, call->judge, key);
    call_reply(call, 200, buf_str(&text), 0);
    buf_clear(&text);
}

/* ---- patch ---- */

static bool patch_allowed(struct call *call, const struct key *key, const struct policy *old,
                          const struct policy *next)
{
    const struct config *config = call->judge->generation->config;
    const char *field = "";
    struct err err = {""};
    uint32_t pack = config_find_pack(config, key->vendor);

    if (pack == PACK_NONE) {
        call_refuse(call, 409, "conflict", "the vendor of this key is not loaded any more");
        return false;
    }
    if (call->caller.role != OPERATOR_ADMIN &&
        !policy_is_narrower(next, old, key->created_at_ms, &config->packs[pack], &field)) {
        call_refuse(call, 403, "out_of_bounds", "%s would be wider; an issuer may only narrow",
                    field);
        return false;
    }
    if (policy_check(next, config, call->judge->clock.now_ms, &err) < 0) {
        call_refuse(call, 400, "bad_request", "%s", err.text);
        return false;
    }
    if (next->mode != old->mode && key->holds_below > 0) {
        call_refuse(call, 409, "conflict", "the mode cannot change while amounts are held");
        return false;
    }
    return true;
}

void call_key_patch(struct call *call)
{
    struct judge *judge = call->judge;
    struct call_patch patch;
    struct policy old;
    struct key *key = find_key(call);
    struct buf encoded;

    if (key == NULL || !call_decode(call, &call_patch_schema, &patch) || !call_has_room(call)) {
        return;
    }
    if (is_ended(judge, key)) {
        call_refuse(call, 409, "ended", "the key is %s",
                    key_status_name(key_status_now(judge, key)));
        return;
    }
    if (call->message->if_match != 0 && call->message->if_match != key->policy_version) {
        call_refuse(call, 412, "changed", "the policy is at version %" PRIu64, key->policy_version);
        return;
    }
    if (!policy_decode(str_of(key->policy_bytes, key->policy_len), call->arena, &old)) {
        call_refuse(call, 409, "conflict", "the policy cannot be read");
        return;
    }
    struct policy *next = policy_patched(call->arena, &old, &patch.policy, patch.named);
    if (!patch_allowed(call, key, &old, next)) {
        return;
    }
    buf_init(&encoded, POLICY_BYTES_MAX);
    if (!wire_encode(&policy_schema, next, &encoded)) {
        buf_clear(&encoded);
        call_refuse(call, 400, "bad_request", "the policy is too large");
        return;
    }
    key_set_policy(key, buf_str(&encoded));
    buf_clear(&encoded);
    key_watch_expiry(key);
    write_key_row(judge, key);
    audit_control(judge, call->caller.name, "key_changed", key, key_id(key), STR_NONE);
    struct pending *pending = call_pending(call, 200, key->policy_version);
    struct json_out out = json_begin(&pending->json);
    json_key_changed(&out, judge, key, STR_NONE);
    call_wait(pending);
}

/* ---- pause, resume, revoke ---- */

static void fill_key(struct pending *pending, bool durable)
{
    struct key *key = keys_by_number(pending->judge, pending->key);

    if (durable && key != NULL) {
        struct json_out out = json_begin(&pending->json);
        json_key(&out, pending->judge, key);
    }
}

static struct key *find_changeable(struct call *call)
{
    struct key *key = find_key(call);

    if (key == NULL || !call_has_room(call)) {
        return NULL;
    }
    if (is_ended(call->judge, key)) {
        call_refuse(call, 409, "ended", "the key is %s",
                    key_status_name(key_status_now(call->judge, key)));
        return NULL;
    }
    return key;
}

void call_key_pause(struct call *call)
{
    struct key *key = find_changeable(call);

    if (key == NULL) {
        return;
    }
    struct pending *pending = call_pending(call, 200, key->policy_version);
    pending->key = key->number;
    pending->then = fill_key;
    audit_control(call->judge, call->caller.name, "key_paused", key, key_id(key), STR_NONE);
    revoke_key(call->judge, key, KEY_PAUSED, call_wake, pending);
}

void call_key_resume(struct call *call)
{
    struct key *key = find_changeable(call);

    if (key == NULL) {
        return;
    }
    key->status = KEY_ACTIVE;
    write_key_row(call->judge, key);
    audit_control(call->judge, call->caller.name, "key_resumed", key, key_id(key), STR_NONE);
    struct pending *pending = call_pending(call, 200, key->policy_version);
    pending->key = key->number;
    pending->then = fill_key;
    call_wait(pending);
}

static void fill_end(struct pending *pending, bool durable)
{
    struct key *key = keys_by_number(pending->judge, pending->key);

    if (durable && key != NULL) {
        struct json_out out = json_begin(&pending->json);
        json_key_end(&out, pending->judge, key, pending->version != 0);
    }
}

void call_key_revoke(struct call *call)
{
    struct judge *judge = call->judge;
    struct key *key = find_key(call);

    if (key == NULL) {
        return;
    }
    if (call->caller.self != NULL && !judge->generation->config->self_revoke) {
        call_refuse(call, 403, "forbidden", "this server does not let a vault key end itself");
        return;
    }
    /* Also without room in the ledger: the key is dead in memory at once, and stays so. */
    struct pending *pending =
        call_pending(call, 200, call->caller.self != NULL ? 0 : key->policy_version);
    pending->key = key->number;
    pending->then = fill_end;
    if (!is_ended(judge, key)) {
        audit_control(judge, call->caller.name, "key_revoked", key, key_id(key), STR_NONE);
    }
    revoke_key(judge, key, KEY_REVOKED, call_wake, pending);
}
