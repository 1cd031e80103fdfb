/* SPDX-License-Identifier: Apache-2.0 */
/* The calls about credentials. */
#include <inttypes.h>

#include "judge/audit.h"
#include "judge/book.h"
#include "judge/calls.h"
#include "judge/json.h"
#include "judge/keys.h"
#include "judge/record.h"

static void json_one_credential(struct buf *text, const struct credential *credential)
{
    struct json_out out = json_begin(text);

    json_credential(&out, credential);
}

static struct credential *find_credential(struct call *call)
{
    struct credential *credential = book_credential_by_name(call->judge, call->message->id);

    if (credential == NULL) {
        call_refuse(call, 404, "not_found", "there is no credential '%.*s'",
                    STR_FMT(str_slice(call->message->id, 0, 100)));
    }
    return credential;
}

void call_credential_get(struct call *call)
{
    struct credential *credential = find_credential(call);
    struct buf text;

    if (credential == NULL) {
        return;
    }
    buf_init(&text, REPLY_BYTES_MAX);
    json_one_credential(&text, credential);
    call_reply(call, 200, buf_str(&text), credential->version);
    buf_clear(&text);
}

void call_credential_list(struct call *call)
{
    struct judge *judge = call->judge;
    struct page page;
    uint64_t below = page_start(call);

    page_open(&page, call);
    for (struct list *at = judge->credential_list.prev; at != &judge->credential_list;
         at = at->prev) {
        const struct credential *credential = LIST_THING(at, struct credential, link);
        if (credential->number >= below) {
            continue;
        }
        if (page_is_full(&page)) {
            page_more_from(&page, credential->number + 1);
            break;
        }
        json_credential(&page.out, credential);
        page.count++;
    }
    page_reply(&page, call);
}

/* What needs the credential: a live key, or money under a key of it. */
static bool credential_in_use(const struct judge *judge, const struct credential *credential,
                              bool *ret_holds)
{
    bool live = false;

    *ret_holds = false;
    for (struct list *at = judge->keys.next; at != &judge->keys; at = at->next) {
        const struct key *key = LIST_THING(at, struct key, link);
        enum key_status status = key_status_now(judge, key);
        if (key->credential != credential->number) {
            continue;
        }
        live = live || status == KEY_ACTIVE || status == KEY_PAUSED;
        *ret_holds = *ret_holds || key->open_holds > 0;
    }
    return live || *ret_holds;
}

static bool is_pending(const struct judge *judge, const struct digest *subject)
{
    for (struct list *at = judge->pending_calls.next; at != &judge->pending_calls; at = at->next) {
        const struct pending *pending = LIST_THING(at, struct pending, link);
        if (digest_equal(&pending->subject, subject)) {
            return true;
        }
    }
    return false;
}

static bool put_allowed(struct call *call, const struct call_credential *put,
                        const struct credential *old)
{
    struct judge *judge = call->judge;
    bool holds = false;
    uint64_t version = old == NULL ? 0 : old->version;

    if (put->version != version + 1) {
        call_refuse(call, 409, "changed", "the credential is at version %" PRIu64 " now", version);
        return false;
    }
    if (config_find_pack(judge->generation->config, put->vendor) == PACK_NONE) {
        call_refuse(call, 400, "bad_request", "the vendor '%.*s' is not known here",
                    STR_FMT(put->vendor));
        return false;
    }
    if (old == NULL) {
        if (judge->credential_count >= CREDENTIALS_MAX) {
            call_refuse(call, 503, "limit_reached", "there are %d credentials already",
                        CREDENTIALS_MAX);
            return false;
        }
        return true;
    }
    if (!str_equal(old->vendor, put->vendor)) {
        call_refuse(call, 409, "conflict", "'%.*s' is a credential of %.*s; use another name",
                    STR_FMT(put->name), STR_FMT(old->vendor));
        return false;
    }
    if (old->live_mode == put->live_mode && str_equal(old->public_fields, put->account_mark)) {
        return true;
    }
    (void)credential_in_use(judge, old, &holds);
    if (!put->new_account || holds) {
        call_refuse(call, 409, "other_account",
                    "this is another account or mode than the one stored as '%.*s'; use another "
                    "name, or say new_account (--new-account)%s",
                    STR_FMT(put->name), holds ? " once no amounts are held any more" : "");
        return false;
    }
    return true;
}

static void forget_in_vaults(struct judge *judge, uint64_t credential)
{
    struct message_forget_credential forget = {.credential = credential};

    for (size_t i = 0; i < PEERS_MAX; i++) {
        struct peer *vault = judge->vaults[i];
        if (vault != NULL && !vault->dying &&
            !channel_send(vault->channel, MESSAGE_FORGET_CREDENTIAL, &forget)) {
            judge->kill_peer(judge, vault);
        }
    }
}

/* Only now, for a vault that asks the scribe must find it there. */
static void take_credential(struct pending *pending, bool durable)
{
    struct judge *judge = pending->judge;

    if (!durable) {
        return;
    }
    const struct credential *credential = book_put_credential(judge, &pending->credential);
    forget_in_vaults(judge, credential->number);
    json_one_credential(&pending->json, credential);
}

void call_credential_put(struct call *call)
{
    struct judge *judge = call->judge;
    struct call_credential put;

    if (!call_decode(call, &call_credential_schema, &put) || !call_has_room(call)) {
        return;
    }
    const struct credential *old = book_credential_by_name(judge, put.name);
    struct digest subject = digest_of(put.name);
    if (is_pending(judge, &subject)) {
        call_refuse(call, 409, "changed", "the credential is just being changed; ask again");
        return;
    }
    if (!put_allowed(call, &put, old)) {
        return;
    }
    struct pending *pending = call_pending(call, old == NULL ? 201 : 200, put.version);
    struct arena *arena = arena_new();
    struct message_row_credential row = {
        .credential = old == NULL ? judge->next_credential++ : old->number,
        .name = arena_copy(arena, put.name),
        .vendor = arena_copy(arena, put.vendor),
        .version = put.version,
        .sealed = put.sealed,
        .upstream = arena_copy(arena, put.upstream),
        .live_mode = put.live_mode,
        .allow_private = put.allow_private,
        .public_fields = arena_copy(arena, put.public_fields),
        .secret_hint = arena_copy(arena, put.secret_hint),
        .created_at_ms = old == NULL ? judge->clock.now_ms : old->created_at_ms,
        .rotated_at_ms = old == NULL ? 0 : judge->clock.now_ms};
    record_row(judge, MESSAGE_ROW_CREDENTIAL, &row);
    row.sealed = STR_NONE;
    pending->arena = arena;
    pending->credential = row;
    pending->subject = subject;
    pending->then = take_credential;
    audit_control(judge, call->caller.name, old == NULL ? "credential_put" : "credential_rotated",
                  NULL, put.name, put.vendor);
    call_wait(pending);
}

void call_credential_remove(struct call *call)
{
    struct judge *judge = call->judge;
    struct credential *credential = find_credential(call);
    struct call_credential body = {.force = false};
    bool holds;

    if (credential == NULL ||
        (call->message->body.len > 0 && !call_decode(call, &call_credential_schema, &body)) ||
        !call_has_room(call)) {
        return;
    }
    if (!body.force && credential_in_use(judge, credential, &holds)) {
        call_refuse(call, 409, "in_use",
                    "live keys or held amounts need it; revoke them, or say force (?force=true, "
                    "--force)");
        return;
    }
    struct message_row_credential_gone row = {.credential = credential->number};
    record_row(judge, MESSAGE_ROW_CREDENTIAL_GONE, &row);
    audit_control(judge, call->caller.name, "credential_removed", NULL, credential->name,
                  credential->vendor);
    struct pending *pending = call_pending(call, 200, 0);
    struct json_out out = json_begin(&pending->json);
    json_open(&out, '{');
    json_name(&out, "name");
    json_text(&out, credential->name);
    json_name(&out, "removed");
    json_bool(&out, true);
    json_close(&out, '}');
    forget_in_vaults(judge, credential->number);
    book_remove_credential(judge, credential);
    call_wait(pending);
}
