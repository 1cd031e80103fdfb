/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/sessions.h"

#include <stdlib.h>

#include "base/json_out.h"
#include "base/mem.h"
#include "judge/audit.h"
#include "judge/calls.h"
#include "judge/decide.h"
#include "judge/json.h"
#include "judge/keys.h"
#include "judge/revoke.h"

void sessions_init(struct judge *judge)
{
    list_init(&judge->sessions);
}

static struct str session_id(const struct session *session)
{
    return str_from(session->id.text);
}

/* ---- the end ---- */

static bool is_over(const struct key *key)
{
    return key->status == KEY_REVOKED || key->status == KEY_EXPIRED;
}

/* Its keys die; `done` is called once, when that is durable and nothing of them runs upstream. */
static void end(struct judge *judge, struct session *session, struct str actor, struct str reason,
                revoke_done *done, void *ctx)
{
    struct key *last = NULL;

    for (size_t i = 0; i < session->key_count; i++) {
        struct key *key = keys_by_number(judge, session->keys[i]);
        if (key == NULL) {
            continue;
        }
        key->sandbox = NULL;
        if (!is_over(key)) {
            audit_control(judge, actor, "key_revoked", key, key_id(key), reason);
        }
        if (last != NULL) {
            revoke_key(judge, last, KEY_REVOKED, NULL, NULL);
        }
        last = key;
    }
    audit_control(judge, actor, "session_ended", NULL, session_id(session), reason);
    if (last != NULL) {
        /* What a later cut confirms, it confirms of the earlier ones too. */
        revoke_key(judge, last, KEY_REVOKED, done, ctx);
    } else if (done != NULL) {
        done(ctx, true);
    }
    list_remove(&session->link);
    judge->session_count--;
    free(session->actor);
    free(session);
}

void sessions_control_gone(struct judge *judge)
{
    struct list *link;

    while ((link = list_first(&judge->sessions)) != NULL) {
        end(judge, LIST_THING(link, struct session, link), STR("keybrake"),
            STR("control was restarted"), NULL, NULL);
    }
}

void sessions_loaded(struct judge *judge)
{
    struct list *next;

    for (struct list *at = judge->keys.next; at != &judge->keys; at = next) {
        struct key *key = LIST_THING(at, struct key, link);
        next = at->next;
        if (key->session.len > 0 && !is_over(key)) {
            audit_control(judge, STR("keybrake"), "key_revoked", key, key_id(key),
                          STR("the server was restarted"));
            revoke_key(judge, key, KEY_REVOKED, NULL, NULL);
        }
    }
}

/* ---- use ---- */

bool sessions_allow(const struct key *key, struct str session, struct decision *decision)
{
    bool any = false;

    for (; key != NULL; key = key->parent) {
        if (key->session.len > 0 && !str_equal(key->session, session)) {
            (void)refuse(decision, VERDICT_WRONG_SESSION,
                         "this vault key works only inside the sandbox that it was made for");
            return false;
        }
        any = any || key->session.len > 0;
    }
    if (session.len > 0 && !any) {
        (void)refuse(decision, VERDICT_WRONG_SESSION,
                     "inside this sandbox only the vault keys that were made for it work");
        return false;
    }
    return true;
}

bool sessions_at_gate(const struct key *key, uint32_t gate)
{
    for (; key != NULL; key = key->parent) {
        if (key->session.len > 0 && (key->sandbox == NULL || key->sandbox->gate != gate)) {
            return false;
        }
    }
    return true;
}

/* ---- calls ---- */

/* The gate with the fewest; PEERS_MAX: there is none. */
static uint32_t choose_gate(const struct judge *judge)
{
    size_t counts[PEERS_MAX] = {0};
    uint32_t best = PEERS_MAX;

    for (struct list *at = judge->sessions.next; at != &judge->sessions; at = at->next) {
        counts[LIST_THING(at, struct session, link)->gate]++;
    }
    for (uint32_t i = 0; i < PEERS_MAX; i++) {
        if (judge->gates[i] != NULL && (best == PEERS_MAX || counts[i] < counts[best])) {
            best = i;
        }
    }
    return best;
}

static bool may_open(struct call *call, struct call_session *wish)
{
    struct judge *judge = call->judge;

    if (judge->session_count >= LIMIT_SESSIONS) {
        call_refuse(call, 503, "limit_reached", "there are %d sandboxes already", LIMIT_SESSIONS);
        return false;
    }
    if (judge->control == NULL || choose_gate(judge) == PEERS_MAX) {
        call_refuse(call, 503, "ledger_unavailable", "the gates are being restarted; try again");
        return false;
    }
    for (size_t i = 0; i < wish->policy_count; i++) {
        if (!call_may_issue(call, &wish->policies[i])) {
            return false;
        }
    }
    return true;
}

static struct session *session_new(struct call *call)
{
    struct session *session = mem_zeroed(sizeof(*session));

    session->id = name_make("ses_");
    session->gate = choose_gate(call->judge);
    session->actor = mem_copy_str(call->caller.name);
    list_init(&session->link);
    list_add(&call->judge->sessions, &session->link);
    call->judge->session_count++;
    return session;
}

/* False: refused, and nothing is left of it. */
static bool make_keys(struct call *call, struct session *session, struct call_session *wish,
                      struct json_out *out)
{
    for (size_t i = 0; i < wish->policy_count; i++) {
        struct token token;
        wish->policies[i].session = session_id(session);
        struct key *key = call_make_key(call, &wish->policies[i], &token);
        if (key == NULL) {
            return false;
        }
        key->sandbox = session;
        session->keys[session->key_count++] = key->number;
        json_key_changed(out, call->judge, key, str_from(token.text));
        mem_wipe(&token, sizeof(token));
    }
    return true;
}

void call_session_open(struct call *call)
{
    struct call_session wish;

    if (!call_decode(call, &call_session_schema, &wish) || !call_has_room(call) ||
        !may_open(call, &wish)) {
        return;
    }
    struct session *session = session_new(call);
    struct buf text;
    buf_init_wiped(&text, REPLY_BYTES_MAX);
    struct json_out out = json_begin(&text);
    json_open(&out, '{');
    json_name(&out, "id");
    json_text(&out, session_id(session));
    json_name(&out, "gate");
    json_u64(&out, session->gate);
    json_name(&out, "keys");
    json_open(&out, '[');
    if (make_keys(call, session, &wish, &out)) {
        json_close(&out, ']');
        json_close(&out, '}');
        audit_control(call->judge, call->caller.name, "session_opened", NULL, session_id(session),
                      STR_NONE);
        /* Nobody waits for the disk: what is lost with us is a session, and that is lost anyway.  A
         * request that costs anything is durable after these rows. */
        call_reply(call, 201, buf_str(&text), 0);
    } else {
        end(call->judge, session, call->caller.name, STR("it could not be opened"), NULL, NULL);
    }
    buf_clear(&text);
}

static struct session *find(struct judge *judge, struct str id)
{
    for (struct list *at = judge->sessions.next; at != &judge->sessions; at = at->next) {
        struct session *session = LIST_THING(at, struct session, link);
        if (str_equal(session_id(session), id)) {
            return session;
        }
    }
    return NULL;
}

void call_session_end(struct call *call)
{
    struct call_session_end wish;

    if (!call_decode(call, &call_session_end_schema, &wish)) {
        return;
    }
    struct session *session = find(call->judge, call->message->id);
    if (session == NULL) {
        call_refuse(call, 404, "not_found", "there is no such session");
        return;
    }
    char *actor = mem_copy_str(str_from(session->actor));
    end(call->judge, session, str_from(actor), wish.reason, call_wake, call_pending(call, 200, 0));
    free(actor);
}
