/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/tunnel.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "http/url.h"
#include "judge/audit.h"
#include "judge/book.h"
#include "judge/decide.h"
#include "judge/keys.h"
#include "judge/metrics.h"
#include "judge/record.h"
#include "judge/request.h"
#include "judge/sessions.h"
#include "policy/hosts.h"

enum {
    PORT_TLS = 443,
    PORT_PLAIN = 80,
    STATUS_PROXY_AUTHENTICATION = 407,
    AUTHORITY_MAX = 300,
};

/* ---- their lives ---- */

static struct tunnel *find(struct peer *gate, uint64_t number)
{
    return table_find(&gate->tunnels, &number);
}

static struct tunnel *tunnel_new(struct judge *judge, struct peer *gate,
                                 const struct message_tunnel *ask, struct key *key)
{
    struct tunnel *tunnel = mem_zeroed(sizeof(*tunnel));

    tunnel->judge = judge;
    tunnel->gate = gate;
    tunnel->number = ask->request;
    tunnel->door = ask->door;
    tunnel->host = mem_copy_str(ask->host);
    tunnel->source = mem_copy_str(ask->source);
    tunnel->port = ask->port;
    tunnel->at_us = loop_now_us(judge->loop);
    tunnel->key = key;
    list_init(&tunnel->key_link);
    if (key != NULL) {
        list_add(&key->tunnels, &tunnel->key_link);
    }
    table_add(&gate->tunnels, tunnel);
    return tunnel;
}

static void tunnel_free(struct tunnel *tunnel)
{
    list_remove(&tunnel->key_link);
    (void)table_remove(&tunnel->gate->tunnels, &tunnel->number);
    free(tunnel->host);
    free(tunnel->source);
    free(tunnel);
}

static void audit(const struct tunnel *tunnel, const char *reason,
                  const struct message_tunnel_done *done)
{
    struct audit_tunnel facts = {.request_id = str_from(tunnel->request_id),
                                 .key = tunnel->key,
                                 .door = tunnel->door,
                                 .host = str_from(tunnel->host),
                                 .port = tunnel->port,
                                 .source = str_from(tunnel->source),
                                 .reason = reason,
                                 .done = done};

    audit_tunnel(tunnel->judge, &facts);
}

void tunnel_done(struct judge *judge, struct peer *gate, const struct message_tunnel_done *done)
{
    struct tunnel *tunnel = find(gate, done->request);

    if (tunnel == NULL) {
        judge->fault_peer(judge, gate, "TUNNEL_DONE of no tunnel");
        return;
    }
    if (tunnel->splice) {
        audit(tunnel, done->connected ? "tunnel_closed" : "tunnel_failed", done);
    }
    tunnel_free(tunnel);
}

bool tunnel_abandoned(struct peer *gate, uint64_t number)
{
    struct tunnel *tunnel = find(gate, number);

    if (tunnel == NULL) {
        return false;
    }
    tunnel_free(tunnel);
    return true;
}

void tunnels_gate_gone(struct peer *gate)
{
    struct tunnel *tunnel;
    size_t at = 0;

    while ((tunnel = table_next(&gate->tunnels, &at)) != NULL) {
        if (tunnel->splice) {
            struct message_tunnel_done done = {.connected = true,
                                               .problem = STR("the gate died"),
                                               .total_us = loop_now_us(tunnel->judge->loop) -
                                                           tunnel->at_us};
            audit(tunnel, "tunnel_closed", &done);
        }
        tunnel_free(tunnel);
        at--; /* another may have moved to where it was */
    }
    table_clear(&gate->tunnels);
}

/* A dialer's answers go to the gates, so which of its dials were answered is known there only. */
void tunnels_dialer_gone(struct judge *judge, const struct peer *dialer)
{
    struct message_dials_lost lost = {.dial = dialer->last_dial};

    for (size_t i = 0; lost.dial != 0 && i < PEERS_MAX; i++) {
        struct peer *gate = judge->gates[i];
        if (gate != NULL && !gate->dying &&
            !channel_send(gate->channel, MESSAGE_DIALS_LOST, &lost)) {
            judge->kill_peer(judge, gate);
        }
    }
}

void tunnels_key_gone(struct key *key)
{
    struct list *link;

    while ((link = list_first(&key->tunnels)) != NULL) {
        struct tunnel *tunnel = LIST_THING(link, struct tunnel, key_link);
        list_remove(&tunnel->key_link);
        tunnel->key = NULL;
    }
}

/* ---- may it? ---- */

enum way { WAY_REFUSED, WAY_INTERCEPT, WAY_SPLICE };

/* The vault key that asks: of what was presented, both halves of a Basic pair among it. */
static bool find_key(struct judge *judge, const struct message_tunnel *ask,
                     struct decision *decision)
{
    const struct message_presented *found = NULL;

    for (size_t i = 0; i < ask->presented_count; i++) {
        const struct message_presented *it = &ask->presented[i];
        if (!token_check(it->value)) {
            continue;
        }
        if (found != NULL && !str_equal(found->value, it->value)) {
            (void)refuse(decision, VERDICT_BAD_REQUEST,
                         "the proxy credentials hold two different vault keys");
            return false;
        }
        found = it;
    }
    if (found == NULL && ask->presented_count == 0) {
        (void)refuse(decision, VERDICT_MISSING_KEY,
                     "this proxy wants a vault key as password, or as user: "
                     "http://keybrake:VAULT_KEY@HOST:PORT");
        return false;
    }
    if (found != NULL) {
        struct digest digest = digest_of(found->value);
        decision->key = keys_by_token(judge, &digest);
    }
    if (decision->key == NULL) {
        (void)refuse(decision, VERDICT_UNKNOWN_KEY,
                     "the proxy credentials are no vault key that is known here");
    }
    return decision->key != NULL;
}

static bool is_vendor_port(const struct message_tunnel *ask)
{
    return ask->port == PORT_TLS || ask->port == PORT_PLAIN;
}

/* Of this key's credential: "https://github.example.com:8443". */
static bool is_own_upstream(struct judge *judge, const struct key *key,
                            const struct message_tunnel *ask)
{
    const struct credential *credential = key->credential == 0
                                              ? book_default_credential(judge, key->vendor)
                                              : book_credential(judge, key->credential);
    struct url url;
    struct err err;

    return credential != NULL && credential->upstream.len > 0 &&
           url_parse_base(credential->upstream, &url, &err) == 0 &&
           str_equal_nocase(url.host, ask->host) && (is_vendor_port(ask) || ask->port == url.port);
}

static bool list_has_host(struct key *key, const struct message_tunnel *ask)
{
    const struct rules *rules = key_rules(key);

    for (size_t i = 0; rules != NULL && i < rules->policy.host_count; i++) {
        if (host_entry_has(rules->policy.hosts[i], ask->host, ask->port)) {
            return true;
        }
    }
    return false;
}

static bool policy_names_host(struct key *key, const struct message_tunnel *ask)
{
    for (; key != NULL; key = key->parent) {
        if (!list_has_host(key, ask)) {
            return false;
        }
    }
    return true;
}

static void refuse_host(const struct message_tunnel *ask, struct decision *decision)
{
    (void)refuse(decision, VERDICT_ENDPOINT_NOT_ALLOWED,
                 "%.*s:%u is not reachable with this vault key: it is no host of %.*s, and not in "
                 "allowed_hosts; an operator can add it (--allow-host %.*s%s)",
                 STR_FMT(ask->host), ask->port, STR_FMT(decision->key->vendor), STR_FMT(ask->host),
                 ask->port == PORT_TLS ? "" : ":PORT");
}

static enum way decide_splice(struct judge *judge, const struct peer *gate,
                              const struct message_tunnel *ask, struct decision *decision)
{
    struct message_admit admit = {
        .door = ask->door, .source = ask->source, .session = ask->session};

    if (!decide_lives(judge, decision) || !decide_source(&admit, decision) ||
        !sessions_allow(decision->key, ask->session, decision)) {
        return WAY_REFUSED;
    }
    if (!sessions_at_gate(decision->key, gate->index)) {
        (void)refuse(decision, VERDICT_WRONG_SESSION, "the sandbox of this vault key is elsewhere");
        return WAY_REFUSED;
    }
    if (judge->dialer == NULL || judge->dialer->dying) {
        (void)refuse(decision, VERDICT_UPSTREAM_UNREACHABLE,
                     "the process that connects to other hosts is starting again");
        return WAY_REFUSED;
    }
    if (!record_has_room(judge, false)) {
        (void)refuse(decision, VERDICT_LEDGER_UNAVAILABLE,
                     "the ledger cannot be written at the moment");
        return WAY_REFUSED;
    }
    return WAY_SPLICE;
}

/* Such a host is never spliced, whatever a policy says. */
static bool is_vendors_own(struct judge *judge, const struct key *key,
                           const struct message_tunnel *ask)
{
    const struct config *config = judge->generation->config;
    uint32_t upstream;
    uint32_t pack = config_find_host(config, ask->host, &upstream);

    return (pack != PACK_NONE && str_equal(config->packs[pack].vendor, key->vendor) &&
            is_vendor_port(ask)) ||
           is_own_upstream(judge, key, ask);
}

/* Whose host it is.  A vendor's: then a key that has ended may go on too, to be told so inside TLS,
 * in words that every client shows. */
static enum way decide_way(struct judge *judge, const struct peer *gate,
                           const struct message_tunnel *ask, struct decision *decision)
{
    const struct config *config = judge->generation->config;
    uint32_t upstream;
    uint32_t pack = config_find_host(config, ask->host, &upstream);

    if (is_vendors_own(judge, decision->key, ask)) {
        return WAY_INTERCEPT;
    }
    if (policy_names_host(decision->key, ask)) {
        return decide_splice(judge, gate, ask, decision);
    }
    if (pack != PACK_NONE && is_vendor_port(ask)) {
        return WAY_INTERCEPT; /* another key of the same sandbox may be for it */
    }
    if (!decide_lives(judge, decision)) {
        return WAY_REFUSED;
    }
    refuse_host(ask, decision);
    return WAY_REFUSED;
}

/* The key of a session that names the host, if one does.  Any other connection goes on too: whoever
 * may not is told so inside, in words. */
static enum way decide_for_session(struct judge *judge, const struct peer *gate,
                                   const struct message_tunnel *ask, struct decision *decision)
{
    for (struct list *at = judge->sessions.next; at != &judge->sessions; at = at->next) {
        const struct session *session = LIST_THING(at, const struct session, link);
        for (size_t i = 0;
             str_equal(str_from(session->id.text), ask->session) && i < session->key_count; i++) {
            decision->key = keys_by_number(judge, session->keys[i]);
            if (decision->key != NULL && !is_vendors_own(judge, decision->key, ask) &&
                policy_names_host(decision->key, ask) &&
                decide_splice(judge, gate, ask, decision) == WAY_SPLICE) {
                return WAY_SPLICE;
            }
        }
    }
    decision->key = NULL;
    return WAY_INTERCEPT;
}

/* ---- answers ---- */

static void add_challenge(struct arena *arena, struct message_answer *answer)
{
    struct message_header *headers =
        arena_zeroed(arena, answer->header_count + 1, sizeof(headers[0]));

    for (size_t i = 0; i < answer->header_count; i++) {
        headers[i] = answer->headers[i];
    }
    headers[answer->header_count++] = (struct message_header){
        STR("proxy-authenticate"), STR("Basic realm=\"keybrake\", charset=\"UTF-8\"")};
    answer->headers = headers;
}

/* As any denial, but a proxy says 407 where others say 401 (RFC 9110 15.5.8). */
static void send_refusal(struct request *request)
{
    const struct decision *decision = &request->decision;
    struct denial denial = verdict_denial(decision->verdict);
    struct message_answer answer = {0};
    bool who = decision->verdict == VERDICT_MISSING_KEY || decision->verdict == VERDICT_UNKNOWN_KEY;

    denial.message = str_from(decision->why.text);
    denial.request_id = str_from(request->request_id.text);
    if (who) {
        denial.status = STATUS_PROXY_AUTHENTICATION;
    } else if (denial.status == 401) {
        denial.status = 403;
    }
    deny_render(NULL, &denial, request->arena, &answer);
    answer.reason = denial.message; /* all that most clients show of it */
    /* Who is asked for credentials asks again here; others have no more to say, and some (Node)
     * would wait for our close. */
    answer.close = !who;
    if (who) {
        add_challenge(request->arena, &answer);
    }
    request_send_answer(request, &answer);
}

static void refuse_tunnel(struct request *request)
{
    metrics_verdict(request->judge->metrics, &request->decision);
    audit_refused_request(request->judge, request);
    send_refusal(request);
    request_free(request);
}

static void open_tunnel(struct judge *judge, struct peer *gate, const struct message_tunnel *ask,
                        struct request *request, bool splice)
{
    struct tunnel *tunnel = tunnel_new(judge, gate, ask, request->decision.key);
    struct message_tunnelled yes = {.request = ask->request,
                                    .splice = splice,
                                    .key = tunnel->key == NULL ? 0 : tunnel->key->number,
                                    .request_id = str_from(request->request_id.text)};

    (void)snprintf(tunnel->request_id, sizeof(tunnel->request_id), "%s", request->request_id.text);
    if (splice) {
        struct message_dial dial = {.dial = ++judge->next_dial,
                                    .gate = gate->index,
                                    .gate_incarnation = gate->incarnation,
                                    .host = ask->host,
                                    .port = ask->port,
                                    .allow_private = judge->generation->config->dial_private};
        tunnel->splice = true;
        tunnel->dial = yes.dial = judge->dialer->last_dial = dial.dial;
        audit(tunnel, "tunnel_opened", NULL);
        if (!channel_send(judge->dialer->channel, MESSAGE_DIAL, &dial)) {
            judge->kill_peer(judge, judge->dialer);
        }
    }
    if (!channel_send(gate->channel, MESSAGE_TUNNELLED, &yes)) {
        judge->kill_peer(judge, gate);
    }
}

void tunnel_decide(struct judge *judge, struct peer *gate, const struct message_tunnel *ask)
{
    char authority[AUTHORITY_MAX];
    enum way way = WAY_REFUSED;

    if (find(gate, ask->request) != NULL || request_of_gate(gate, ask->request) != NULL ||
        ask->host.len == 0 || ask->port == 0 || ask->port > UINT16_MAX) {
        judge->fault_peer(judge, gate, "TUNNEL with a number in use, or to no host");
        return;
    }
    (void)snprintf(authority, sizeof(authority), "%.*s:%u", STR_FMT(str_slice(ask->host, 0, 256)),
                   ask->port);
    struct message_admit admit = {.request = ask->request,
                                  .door = ask->door,
                                  .listener = ask->listener,
                                  .session = ask->session,
                                  .source = ask->source,
                                  .host = ask->host,
                                  .method = STR("CONNECT"),
                                  .path = str_from(authority)};
    struct request *request = request_new(judge, gate, &admit);
    struct decision *decision = &request->decision;

    decision->observed = VERDICT_ALLOWED;
    decision->pack_index = decision->upstream = decision->read_rule = PACK_NONE;
    decision->generation = judge->generation;
    if (judge->generation == NULL || !judge->ready) {
        (void)refuse(decision, VERDICT_LEDGER_UNAVAILABLE, "the server is starting");
    } else if (gate->tunnels.count >= LIMIT_TUNNELS_A_GATE) {
        (void)refuse(decision, VERDICT_LIMIT_REACHED, "too many tunnels are open at one time");
    } else if (ask->session.len > 0) {
        way = decide_for_session(judge, gate, ask, decision);
    } else if (find_key(judge, ask, decision)) {
        way = decide_way(judge, gate, ask, decision);
    }
    if (way == WAY_REFUSED) {
        refuse_tunnel(request);
        return;
    }
    open_tunnel(judge, gate, ask, request, way == WAY_SPLICE);
    request_free(request);
}

/* ---- leaves ---- */

static void no_leaf(struct judge *judge, struct peer *gate, uint64_t number, const char *host,
                    const char *why)
{
    struct message_leaf leaf = {
        .request = number, .host = str_from(host), .problem = str_from(why)};

    if (!channel_send(gate->channel, MESSAGE_LEAF, &leaf)) {
        judge->kill_peer(judge, gate);
    }
}

void tunnel_leaf_get(struct judge *judge, struct peer *gate, const struct message_leaf_get *get)
{
    const struct tunnel *tunnel = find(gate, get->request);
    struct peer *vault = judge->vaults[gate->index];

    if (tunnel == NULL || tunnel->splice || tunnel->door == DOOR_SESSION) {
        judge->fault_peer(judge, gate, "LEAF_GET for no tunnel that is ours to look into");
        return;
    }
    if (vault == NULL || vault->dying) {
        no_leaf(judge, gate, get->request, tunnel->host, "the vault is starting again");
        return;
    }
    struct message_leaf_sign sign = {
        .request = get->request, .host = str_from(tunnel->host), .public_key = get->public_key};
    if (!channel_send(vault->channel, MESSAGE_LEAF_SIGN, &sign)) {
        judge->kill_peer(judge, vault);
    }
}

void tunnel_leaf_signed(struct judge *judge, const struct peer *vault,
                        const struct message_leaf *leaf)
{
    struct peer *gate = judge->gates[vault->index];
    const struct tunnel *tunnel = gate == NULL || gate->dying ? NULL : find(gate, leaf->request);

    /* Another life of the gate may have the number by now: then it is for another host, or for a
     * key that is not the gate's, and the gate drops it. */
    if (tunnel != NULL && str_equal(str_from(tunnel->host), leaf->host) &&
        !channel_send(gate->channel, MESSAGE_LEAF, leaf)) {
        judge->kill_peer(judge, gate);
    }
}
