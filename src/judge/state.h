/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state: everything that the judge holds in memory.
 */
#ifndef JUDGE_STATE_H
#define JUDGE_STATE_H

#include "base/arena.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/table.h"
#include "ipc/channel.h"
#include "ledger/clock_guard.h"
#include "ledger/hold.h"
#include "ledger/idempotency.h"
#include "ledger/rate.h"
#include "ledger/window.h"
#include "os/loop.h"
#include "pack/cost.h"
#include "policy/allowlist.h"
#include "policy/calls.h"
#include "policy/cidr.h"
#include "policy/policy.h"
#include "policy/token.h"
#include "policy/verdict.h"

enum {
    PEERS_MAX = 256,         /* gates, and so vaults and readers */
    KEY_ID_BYTES = 20,       /* "key_" and 16 characters */
    ENDED_KEYS_MAX = 100000, /* remembered after their end; older ones only in the store */
    STRANGERS_MAX = 100,     /* rows a second, in all */
    STRANGER_ROWS = 10,      /* of one source */
    KEY_REFUSALS = 10000,    /* rows of one key's refused requests at one time, */
    KEY_REFUSALS_A_S = 100,  /* and so many more with each second */
    STOPS_MAX = 1000,
    OPERATORS_MAX = 1000,
    CREDENTIALS_MAX = 10000,
    FIELDS_MAX = 16,   /* public fields of a credential */
    REQUEST_TURNS = 2, /* at one time: of an object, and of an idempotency record */
};

struct judge;
struct turn;
struct fetch;

/* A neighbour: one life of one process, and our channel with it.  A dead one stays until its
 * channel is read to the end. */
struct peer {
    struct judge *judge;
    enum process_role role;
    uint32_t index;
    uint64_t incarnation;
    struct channel *channel;
    struct list link;
    bool dying;            /* dead, or to be killed: gets nothing new */
    bool unheard;          /* what it said behind a broken message is lost */
    uint64_t cut_done;     /* the highest cut it has confirmed */
    uint64_t last_dial;    /* of a dialer: 0, or the last that it was asked for */
    struct table requests; /* of a gate: struct request by number */
    struct table tunnels;  /* of a gate: struct tunnel by number */
    struct list grants;    /* of a vault: struct request by vault_link */
    struct message_gate_stats gate_stats;
    struct message_vault_stats vault_stats;
};

/* A generation of packs and settings; lives until the last request that was judged by it ends. */
struct generation {
    struct config *config;
    size_t users;
    struct list link;
};

struct credential_field {
    struct str name, value;
};

struct credential {
    uint64_t number;
    struct digest name_digest;
    struct arena *arena; /* of the texts below */
    struct str name, vendor, upstream, public_fields, secret_hint;
    uint64_t version;
    bool live_mode, allow_private;
    struct credential_field fields[FIELDS_MAX]; /* public_fields, taken apart */
    size_t field_count;
    int64_t created_at_ms, rotated_at_ms;
    struct list link; /* by name */
};

struct tenant {
    struct digest name_digest;
    char *name;
    bool stored; /* somebody set its caps; else it is only a name that keys carry */
    int64_t daily_cap, total_cap;
    int64_t changed_at_ms;
    struct digest owner; /* of its windows */
    struct list link;
};

/* A policy taken apart, for a key that is in use. */
struct rules {
    struct arena *arena;
    struct policy policy;
    struct entry *entries;
    struct cidr *sources;
};

struct key_id {
    char prefix[4];
    char rest[16];
};

struct key {
    struct judge *judge;
    uint64_t number;
    struct digest token;
    struct key_id id;
    char token_hint[8];
    char *policy_bytes; /* struct policy on the wire; the texts below point into it */
    size_t policy_len;
    struct rules *rules; /* made at first use, dropped when the key ends */
    struct str label, vendor, run_id, scope;
    struct str session;      /* empty: of none */
    struct session *sandbox; /* that session, while it lives */
    uint64_t policy_version;
    uint64_t parent_number; /* until the parent is found, while loading */
    struct key *parent;
    struct tenant *tenant;
    uint64_t credential;
    enum key_status status;
    enum policy_mode mode;
    int64_t created_at_ms, expires_at_ms, ended_at_ms;
    int64_t daily_cap, total_cap; /* what holds; MONEY_NONE: none */
    char *created_by;
    char shadow[KEY_ID_BYTES + 8]; /* "observe:key_...": where observe mode counts */
    struct digest owner, shadow_owner;
    struct rate rate;
    uint32_t refused_second, refused_room; /* of the last refusal, and how many rows it left */
    size_t child_count;
    size_t open_holds;      /* its own */
    size_t holds_below;     /* and of all below it */
    struct list link;       /* all keys, the newest last */
    struct list ended_link; /* ended ones, the oldest first */
    struct list requests;   /* by key_link */
    struct list tunnels;    /* by key_link */
    struct loop_timer expiry;
};

struct stop {
    uint64_t number;
    char *kind, *value, *reason, *created_by;
    int64_t created_at_ms, ended_at_ms;
    struct list link; /* the newest last */
};

struct operator_token {
    uint64_t number;
    struct digest token;
    char *name;
    enum operator_role role;
    char *bounds; /* struct call_bounds on the wire */
    size_t bounds_len;
    int64_t created_at_ms, ended_at_ms;
    struct list link;
};

struct price_list { /* an operator's own prices for one vendor */
    char *vendor;
    struct pack_rate *rates; /* their texts are owned */
    size_t count;
    struct list link;
};

/* Someone who waits until a batch of rows is durable. */
struct waiter {
    struct list link;
    uint64_t batch;
    uint64_t since_ms;
    void (*wake)(void *ctx, bool durable);
    void *ctx;
};

/* Why a request that is not refused for good must wait. */
enum delay {
    DELAY_NONE,
    DELAY_TURN, /* for another request: decision.wait_for */
    DELAY_FETCH /* for the vendor's word: decision.fetch */
};

/* What was decided about a request.  Value 0 of the verdict denies. */
struct decision {
    enum verdict verdict;
    struct err why; /* the sentence of a refusal */
    uint32_t retry_after_s;
    struct key *key;
    uint64_t credential, credential_version;
    struct str credential_name;
    bool live_mode;
    struct generation *generation;
    uint32_t pack_index;
    const struct pack *pack;
    struct str vendor_asked; /* as the path or the host says; empty: as the key's */
    bool at_base;            /* the host is ours, and says at most the vendor */
    uint32_t upstream;       /* as the host says, where that is the vendor's; or PACK_NONE */
    struct str path;         /* without the vendor prefix */
    struct match match;
    enum operation_class class;
    struct str rule; /* the allowlist entry that matched */
    struct str account, client_key;
    enum credential_form form; /* how the vault key came */
    struct str form_name;
    enum verdict observed;          /* what observe mode let pass; VERDICT_ALLOWED: nothing */
    uint32_t read_rule;             /* PACK_NONE: no body is needed */
    struct message_splice *splices; /* of the body as it goes out */
    size_t splice_count;
    struct cost cost;
    bool costs; /* there is an amount, and so a hold */

    /* the object that it acts on */
    const struct request *asker; /* that has its turn perhaps; NULL: to explain only */
    struct str account_header;   /* "stripe-account=acct_1"; empty: none */
    struct str object_id;        /* empty: none */
    struct digest object;        /* its name, or that of what must be asked for */
    uint64_t object_hold;        /* that has it; 0: none that is known */
    bool under;                  /* it goes under that hold, instead of one of its own */
    int64_t need;                /* must fit beside what is held already */
    enum delay delay;
    struct digest wait_for;
    const struct pack_fetch *fetch;
    struct str fetch_path;
    bool has_found;
    struct cost_found found;

    enum repeat repeat;
    struct digest scope; /* of the idempotency record; zero: none */
    uint64_t repeat_hold;
    struct level levels[WINDOW_LEVELS_MAX];
    size_t level_count;
};

enum request_state {
    REQUEST_NEW,
    REQUEST_BODY,    /* READ_BODY was sent; FACTS awaited */
    REQUEST_WAIT,    /* for another request, or for the vendor's word */
    REQUEST_DURABLE, /* rows are on their way; COMMITTED awaited */
    REQUEST_GRANTED, /* the vault has the grant; OUTCOME awaited */
    REQUEST_ANSWER,  /* OUTCOME is here; FACTS of the answer awaited */
    REQUEST_RELEASE, /* the settlement is on its way; COMMITTED awaited */
    REQUEST_ENDING,  /* DONE of the gate awaited */
    REQUEST_STATE_COUNT
};

struct request {
    struct judge *judge;
    uint64_t number; /* the gate's */
    uint64_t grant;  /* 0: none yet */
    struct peer *gate, *vault;
    struct list vault_link, key_link;
    enum request_state state;
    struct arena *arena;
    struct message_admit admit; /* its texts are in the arena */
    struct token request_id;
    struct str client_run_id;
    int64_t at_ms;
    uint64_t at_us;
    struct decision decision;
    bool has_body_facts;
    struct message_facts body_facts;
    uint64_t hold;              /* 0: none.  By number: a hold may be forgotten meanwhile */
    enum hold_state hold_state; /* as last seen, for the audit */
    struct str hold_object;
    bool first;     /* the hold was made for this request; else a repeat goes under it */
    bool under;     /* it acts on the object of its hold, which was there before */
    int64_t raised; /* by so much that hold was raised for it */
    struct turn *turns[REQUEST_TURNS]; /* that it has */
    struct turn *waits_for;            /* NULL: none */
    struct list turn_link;
    uint64_t waits_until_ms; /* 0: it has not waited yet */
    void (*again)(struct request *request, bool late);
    struct fetch *fetch; /* under way; NULL: none */
    struct str vendor_key;
    bool sent;    /* the vault said so */
    bool running; /* counts in the rates of its keys */
    bool uses_generation;
    bool retry_safe;      /* an idempotency key that the vendor honours goes out */
    bool has_hold;        /* as granted */
    bool withheld;        /* the vault waits for RELEASE */
    uint32_t answer_rule; /* as granted; 0: none */
    uint64_t self_key;    /* of a key that ends itself */
    bool has_outcome, has_answer_facts, has_done, settled, answered;
    uint64_t settled_ms; /* on the loop's clock */
    int64_t posted;      /* by this request, above what was posted under its hold before */
    struct message_outcome outcome;
    struct message_facts answer_facts;
    struct message_done done;
    struct waiter waiter;
    struct loop_timer timer;
    struct list free_link;
};

struct metrics;

enum number { NUMBER_KEY, NUMBER_HOLD, NUMBER_GRANT, NUMBER_COUNT };

struct process_calls;

struct judge {
    struct loop *loop;
    const struct process_calls *calls;                         /* of the world outside: process.h */
    void (*kill_peer)(struct judge *judge, struct peer *peer); /* asks the parent to */
    void (*fault_peer)(struct judge *judge, struct peer *peer, const char *why);

    struct list generations;
    struct generation *generation; /* the present one; NULL at first */

    struct list peers; /* all, the dying too */
    struct peer *gates[PEERS_MAX], *vaults[PEERS_MAX], *readers[PEERS_MAX];
    struct peer *scribe, *control, *dialer;

    bool started, loading, loaded, ready, draining, drained;
    unsigned ticks, drain_looks;
    struct loop_timer drain_timer;
    struct clock_guard clock;
    uint64_t clock_looked_us; /* the turn in which it was last looked at */
    struct loop_timer tick;
    int64_t day; /* of the last tick */

    /* keys */
    struct table keys_by_token, keys_by_id, keys_by_number;
    struct list keys, ended_keys;
    size_t live_keys, ended_count;

    struct table credentials, credentials_by_name;
    struct list credential_list;
    size_t credential_count;
    uint64_t next_credential;
    struct table tenants;
    struct list tenant_list;
    size_t tenant_count;
    struct list stops;
    size_t stop_count;
    uint64_t next_stop;
    struct table operators; /* by token */
    struct list operator_list;
    size_t operator_count;
    uint64_t next_operator;
    struct list prices;
    struct arena *rates; /* the operator's exchange rates; NULL: those of the configuration */
    struct call_fx fx;

    /* money */
    struct windows windows;
    struct table holds;
    size_t open_holds;
    struct list unknown_holds; /* by since when */
    struct records records;
    uint64_t records_live_ms; /* the longest that a vendor remembers */
    char *idempotency_secret;
    size_t idempotency_secret_len;

    /* requests */
    struct table grants, fetches, turns, objects, watches, searches;
    unsigned watching; /* fetches of watches that are under way */
    struct list free_requests;
    size_t open_requests;

    struct list sessions;
    size_t session_count;

    /* revoking */
    uint64_t next_dial;
    struct list cuts;
    uint64_t next_cut;

    struct {
        uint64_t next, ceiling; /* below the ceiling, which is stored, any may be in use */
    } numbers[NUMBER_COUNT];

    /* rows */
    struct {
        struct buf journal; /* frames of rows that are not yet known to be durable */
        size_t unsent;      /* bytes at its end that the scribe has not been sent */
        struct list waiters;
        uint64_t batch;      /* the open one */
        uint64_t batch_rows; /* in it */
        bool batch_waits;
        bool refused; /* the store is full: rows stay in the journal until it takes them */
        uint64_t refused_batch;
        struct loop_hook hook;
        struct loop_timer again, late;
    } record;

    /* audit */
    struct {
        uint64_t sequence, signed_sequence;
        struct digest head;
        int64_t signed_at_ms;
        unsigned char random[4096]; /* salts that are not used yet */
        size_t random_left;
        /* Refusals without a known key, in this second, by source. */
        struct {
            struct digest source;
            unsigned count;
        } strangers[STRANGERS_MAX];
        unsigned stranger_count, in_second;
        int64_t second;
        uint64_t unwritten;               /* refusals for which there was no row */
        struct message_sign_head signing; /* asked of a vault; sequence 0: nothing */
    } audit;

    struct list pending_calls;
    struct metrics *metrics;
    struct arena *scratch; /* reset at each call and each load row */
};

#endif
