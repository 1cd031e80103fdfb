/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/revoke.h"

#include "base/log.h"
#include "base/mem.h"
#include "judge/admission.h"
#include "judge/audit.h"
#include "judge/book.h"
#include "judge/keys.h"
#include "judge/now.h"
#include "judge/record.h"

/* One cut under way. */
struct cut {
    struct judge *judge;
    uint64_t number;
    bool durable, vaults_done, gates_done, told;
    struct waiter waiter;
    struct loop_timer vault_timer, gate_timer;
    struct list link;
    revoke_done *done; /* NULL: nobody asked */
    void *ctx;
};

void revoke_init(struct judge *judge)
{
    list_init(&judge->cuts);
}

/* ---- waiting ---- */

static bool all_confirmed(const struct judge *judge, enum process_role role, uint64_t number)
{
    for (struct list *at = judge->peers.next; at != &judge->peers; at = at->next) {
        const struct peer *peer = LIST_THING(at, struct peer, link);
        if (peer->role == role && peer->cut_done < number) {
            return false;
        }
    }
    return true;
}

static void kill_silent(struct judge *judge, enum process_role role, uint64_t number)
{
    for (struct list *at = judge->peers.next; at != &judge->peers; at = at->next) {
        struct peer *peer = LIST_THING(at, struct peer, link);
        if (peer->role == role && peer->cut_done < number && !peer->dying) {
            log_warn("silent", "process=%s.%u cut=%llu", role_name(role), peer->index,
                     (unsigned long long)number);
            judge->kill_peer(judge, peer);
        }
    }
}

static void tell(struct cut *cut, bool durable)
{
    if (!cut->told) {
        cut->told = true;
        if (cut->done != NULL) {
            cut->done(cut->ctx, durable);
        }
    }
}

/* Tells who asked, and frees the cut when nothing more is awaited. */
static void look(struct cut *cut)
{
    struct judge *judge = cut->judge;

    if (!cut->vaults_done && all_confirmed(judge, ROLE_VAULT, cut->number)) {
        cut->vaults_done = true;
        loop_timer_stop(judge->loop, &cut->vault_timer);
    }
    if (!cut->gates_done && all_confirmed(judge, ROLE_GATE, cut->number)) {
        cut->gates_done = true;
        loop_timer_stop(judge->loop, &cut->gate_timer);
    }
    if (cut->durable && cut->vaults_done) {
        tell(cut, true);
    }
    if (cut->told && cut->vaults_done && cut->gates_done) {
        list_remove(&cut->link);
        record_forget(&cut->waiter);
        free(cut);
    }
}

static void look_at_all(struct judge *judge)
{
    struct list *next;

    for (struct list *at = judge->cuts.next; at != &judge->cuts; at = next) {
        next = at->next;
        look(LIST_THING(at, struct cut, link));
    }
}

static void vaults_silent(void *ctx)
{
    struct cut *cut = ctx;

    kill_silent(cut->judge, ROLE_VAULT, cut->number);
}

static void gates_silent(void *ctx)
{
    struct cut *cut = ctx;

    kill_silent(cut->judge, ROLE_GATE, cut->number);
}

static void on_durable(void *ctx, bool durable)
{
    struct cut *cut = ctx;

    if (durable) {
        cut->durable = true;
    } else {
        tell(cut, false); /* dead in memory all the same; the row comes when the store takes it */
    }
    look(cut);
}

void revoke_confirmed(struct judge *judge, struct peer *peer, uint64_t cut)
{
    if (cut > judge->next_cut || cut < peer->cut_done) {
        judge->fault_peer(judge, peer, "confirms a cut that was not asked for");
        return;
    }
    peer->cut_done = cut;
    look_at_all(judge);
}

void revoke_peer_gone(struct judge *judge)
{
    look_at_all(judge);
}

/* ---- cutting ---- */

struct victims {
    uint64_t *numbers;
    size_t count;
};

/* Only keys with requests or tunnels under way have anything to cut. */
static void add_victim(struct victims *victims, struct judge *judge, struct key *key)
{
    admission_cut(judge, key);
    if (!list_empty(&key->requests) || !list_empty(&key->tunnels)) {
        victims->numbers =
            mem_grow(victims->numbers, victims->count + 1, sizeof(victims->numbers[0]));
        victims->numbers[victims->count++] = key->number;
    }
}

static void send_cut(struct judge *judge, struct cut *cut, const struct victims *victims)
{
    struct message_cut message = {
        .cut = cut->number, .keys = victims->numbers, .key_count = victims->count};

    for (struct list *at = judge->peers.next; at != &judge->peers; at = at->next) {
        struct peer *peer = LIST_THING(at, struct peer, link);
        enum message_type type = peer->role == ROLE_VAULT ? MESSAGE_REVOKE : MESSAGE_CUT;
        if ((peer->role != ROLE_VAULT && peer->role != ROLE_GATE) || peer->dying) {
            continue;
        }
        if (!channel_send(peer->channel, type, &message)) {
            judge->kill_peer(judge, peer);
        }
    }
    loop_timer_set(judge->loop, &cut->vault_timer, LIMIT_VAULT_SILENT_MS, vaults_silent, cut);
    loop_timer_set(judge->loop, &cut->gate_timer, LIMIT_GATE_SILENT_MS, gates_silent, cut);
}

static void start_cut(struct judge *judge, struct victims *victims, revoke_done *done, void *ctx)
{
    struct cut *cut = mem_zeroed(sizeof(*cut));

    cut->judge = judge;
    cut->done = done;
    cut->ctx = ctx;
    list_add(&judge->cuts, &cut->link);
    /* With nothing to cut it may still be a repeat of one that is under way, and must not be
     * answered before that one. */
    cut->number = judge->next_cut;
    if (victims->count > 0) {
        cut->number = ++judge->next_cut;
        send_cut(judge, cut, victims);
    }
    free(victims->numbers);
    record_wait(judge, &cut->waiter, on_durable, cut);
}

static void end_one(struct judge *judge, struct key *key, enum key_status status,
                    struct victims *victims)
{
    struct message_row_key row;

    if (key->status == KEY_REVOKED || key->status == KEY_EXPIRED) {
        return;
    }
    key_end(judge, key, status);
    key_row(key, &row);
    record_row(judge, MESSAGE_ROW_KEY, &row);
    add_victim(victims, judge, key);
}

static void each_below(struct judge *judge, struct key *key,
                       void (*visit)(struct judge *, struct key *, enum key_status,
                                     struct victims *),
                       enum key_status status, struct victims *victims)
{
    struct list *next;

    if (key->child_count == 0) {
        return;
    }
    for (struct list *at = key->link.next; at != &judge->keys; at = next) { /* children are newer */
        struct key *below = LIST_THING(at, struct key, link);
        next = at->next;
        if (below != key && key_is_below(below, key)) {
            visit(judge, below, status, victims);
        }
    }
}

static void cut_one(struct judge *judge, struct key *key, enum key_status status,
                    struct victims *victims)
{
    (void)status;
    add_victim(victims, judge, key);
}

void revoke_key(struct judge *judge, struct key *key, enum key_status status, revoke_done *done,
                void *ctx)
{
    struct victims victims = {0};
    struct message_row_key row;

    if (status == KEY_PAUSED) {
        key->status = KEY_PAUSED;
        key_row(key, &row);
        record_row(judge, MESSAGE_ROW_KEY, &row);
        add_victim(&victims, judge, key);
        each_below(judge, key, cut_one, status, &victims);
    } else {
        end_one(judge, key, status, &victims);
        each_below(judge, key, end_one, status, &victims);
    }
    start_cut(judge, &victims, done, ctx);
}

void revoke_stop(struct judge *judge, const struct stop *stop, revoke_done *done, void *ctx)
{
    struct victims victims = {0};

    for (struct list *at = judge->keys.next; at != &judge->keys; at = at->next) {
        struct key *key = LIST_THING(at, struct key, link);
        if ((!list_empty(&key->requests) || !list_empty(&key->tunnels)) && stop_hits(stop, key)) {
            add_victim(&victims, judge, key);
        }
    }
    start_cut(judge, &victims, done, ctx);
}

void revoke_expired(struct key *key)
{
    struct judge *judge = key->judge;

    if (key->status == KEY_REVOKED || key->status == KEY_EXPIRED) {
        return;
    }
    now_update(judge);
    if (!judge->ready || key_status_now(judge, key) != KEY_EXPIRED) {
        /* Loading, or a moment early. */
        loop_timer_set(judge->loop, &key->expiry, 20, key->expiry.fire, key);
        return;
    }
    audit_control(judge, STR("keybrake"), "key_expired", key, key_id(key), STR_NONE);
    revoke_key(judge, key, KEY_EXPIRED, NULL, NULL);
}
