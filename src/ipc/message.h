/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message: everything that one of our processes may say to another.
 *
 * Each type has a struct, and in message.c a wire schema; message_schema() gives it.  Strings and
 * arrays in a struct are borrowed: by channel_send() for the call, by a handler until it returns.
 * Who may send what to whom, and when, is in the receivers' tables and in docs/protocol-ipc.md.
 *
 * Numbers: a `request` is a gate's number of one admission, unique within the gate's incarnation.
 * A `grant` is the judge's number, unique for the server's life.  A `key` is a vault key's row
 * number (its public id is "key_" and 16 letters derived at issue).  Times ending in _ms are wall
 * time since 1970 when the name says `at`, else durations.  Money is nano-dollars.
 */
#ifndef IPC_MESSAGE_H
#define IPC_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/str.h"
#include "base/wire.h"

enum process_role {
    ROLE_NONE,
    ROLE_PARENT,
    ROLE_GATE,
    ROLE_READER,
    ROLE_JUDGE,
    ROLE_SCRIBE,
    ROLE_VAULT,
    ROLE_CONTROL,
    ROLE_DIALER,
    ROLE_CHECK,  /* one-shot: compiles configuration and packs */
    ROLE_UNLOCK, /* one-shot: brings the unsealing key into secret memory */
    ROLE_COUNT
};
const char *role_name(enum process_role role);

enum message_type {
    MESSAGE_NONE,

    /* parent -> any child */
    MESSAGE_CHANNEL,     /* + fd: a channel to a peer */
    MESSAGE_GONE,        /* a peer died; its channel's end will be read to the end */
    MESSAGE_CONFIG,      /* + fd: sealed memfd with the compiled configuration */
    MESSAGE_LISTENER,    /* + fd: gate, control */
    MESSAGE_DOOR,        /* control: where a door is, once it is bound */
    MESSAGE_SESSION_END, /* gate: a session's sockets and connections end */
    MESSAGE_CERTIFICATE, /* gate, control */
    MESSAGE_UNSEAL_KEY,  /* + fd: vault */
    MESSAGE_CA,          /* vault, control: the exported CA */
    MESSAGE_RESOLVER,    /* vault */
    MESSAGE_START,       /* all that a child needs has been sent */
    MESSAGE_DRAIN,       /* take nothing new, finish, say DRAINED */
    MESSAGE_PING,

    /* child -> parent */
    MESSAGE_READY,
    MESSAGE_PONG,
    MESSAGE_FAULT, /* a peer broke the protocol: kill it */
    MESSAGE_KILL,  /* judge: that process is silent */
    MESSAGE_DRAINED,
    MESSAGE_COMPILED, /* check: + fd memfd, or the reason */
    MESSAGE_UNSEALED, /* unlock: + fd, or the reason */

    /* gate <-> judge */
    MESSAGE_ADMIT,
    MESSAGE_READ_BODY,
    MESSAGE_GRANTED,
    MESSAGE_ANSWER, /* a denial, or the answer to a request that is for keybrake itself */
    MESSAGE_DONE,
    MESSAGE_CUT,      /* judge -> gate: the key is dead; end its streams */
    MESSAGE_CUT_DONE, /* gate -> judge */
    MESSAGE_GATE_STATS,
    MESSAGE_TUNNEL,    /* gate -> judge: may this connection be for that host? */
    MESSAGE_TUNNELLED, /* judge -> gate: it may; an ANSWER: it may not */
    MESSAGE_TUNNEL_DONE,
    MESSAGE_LEAF_GET, /* gate -> judge: a certificate for the host of that tunnel */
    MESSAGE_LEAF,

    /* judge -> dialer -> gate */
    MESSAGE_DIAL,
    MESSAGE_DIALLED,    /* + fd, when there is a connection */
    MESSAGE_DIALS_LOST, /* judge -> gate: of a dialer that died */

    /* gate, vault -> reader; reader -> judge */
    MESSAGE_BODY,
    MESSAGE_BODY_DATA,
    MESSAGE_BODY_END, /* complete, or abandoned */
    MESSAGE_FACTS,

    /* judge <-> vault */
    MESSAGE_GRANT,
    MESSAGE_FETCH, /* judge -> vault: a request of ours, for which no gate comes; as a GRANT */
    MESSAGE_SENT,
    MESSAGE_OUTCOME,
    MESSAGE_RELEASE, /* judge -> vault: the settlement is durable, let the answer go */
    MESSAGE_REVOKE,
    MESSAGE_REVOKED,
    MESSAGE_FORGET_CREDENTIAL,
    MESSAGE_SIGN_HEAD,
    MESSAGE_SIGNED,
    MESSAGE_VAULT_STATS,
    MESSAGE_LEAF_SIGN, /* judge -> vault */
    MESSAGE_LEAF_SIGNED,

    /* gate <-> vault, by grant */
    MESSAGE_FORWARD,
    MESSAGE_HEAD,
    MESSAGE_DATA,
    MESSAGE_END,
    MESSAGE_RESET,
    MESSAGE_WINDOW,

    /* vault <-> scribe */
    MESSAGE_BLOB_GET,
    MESSAGE_BLOB,

    /* judge <-> scribe: rows travel the same in both directions */
    MESSAGE_LOAD,   /* judge: send me what must be in memory */
    MESSAGE_LOADED, /* scribe: that was all */
    MESSAGE_COMMIT, /* judge: everything before this is one batch with this number */
    MESSAGE_COMMITTED,
    MESSAGE_STORE_REFUSED, /* scribe: disk full; nothing of that batch is stored */
    MESSAGE_ROW_META,
    MESSAGE_ROW_KEY,
    MESSAGE_ROW_WINDOW,
    MESSAGE_ROW_HOLD,
    MESSAGE_ROW_HOLD_GONE,
    MESSAGE_ROW_IDEMPOTENCY,
    MESSAGE_ROW_CREDENTIAL,
    MESSAGE_ROW_CREDENTIAL_GONE,
    MESSAGE_ROW_TENANT,
    MESSAGE_ROW_STOP,
    MESSAGE_ROW_OPERATOR,
    MESSAGE_ROW_PRICE,
    MESSAGE_ROW_AUDIT,
    MESSAGE_ROW_HEAD, /* a signed head of the audit chain */

    /* control <-> judge */
    MESSAGE_CALL,
    MESSAGE_REPLY,

    MESSAGE_COUNT
};

const struct wire_schema *message_schema(enum message_type type); /* NULL: no such type */
const char *message_name(enum message_type type);

/* A message without content. */
struct message_empty {
    bool unused;
};

struct message_header {
    struct str name; /* lower case */
    struct str value;
};
extern const struct wire_schema message_header_schema;
extern const struct wire_schema message_admit_schema, message_facts_schema; /* inside calls */

/* ---- parent and children ---- */

struct message_channel {
    enum process_role peer;
    uint32_t peer_index;
    uint64_t incarnation; /* of the peer; grows with each birth */
};

struct message_gone {
    enum process_role peer;
    uint32_t peer_index;
    uint64_t incarnation;
};

struct message_config {
    uint64_t generation;
};

enum listener_kind {
    LISTENER_BASE,    /* requests at the base URL, and nothing else */
    LISTENER_FORWARD, /* a proxy too: CONNECT, absolute form, SOCKS5 */
    LISTENER_SESSION, /* in a sandbox: what comes was meant for anybody */
    LISTENER_KIND_COUNT
};

struct message_listener {
    uint32_t listener; /* number; its settings are config->listeners[listener] */
    bool tls;
    bool control; /* control's, not a door */
    bool unix_socket;
    struct str address; /* as given, for the log */
    enum listener_kind kind;
    struct str session; /* LISTENER_SESSION: its id; several sockets may be of one session */
    struct str ca_pem;  /* LISTENER_SESSION: the certificate of the CA made for it alone */
    struct str ca_key;  /* and its private key, PKCS#8 in DER; wiped by both ends after use */
};

struct message_door {
    uint32_t listener;  /* of config->listeners */
    struct str address; /* with the port that it really has */
};

struct message_session_end {
    struct str session;
};

struct message_certificate {
    struct str chain_pem;
    struct str key_pem; /* wiped by both ends after use */
};

struct message_ca {
    struct str file; /* DIR/vault/ca (tls/ca_file.h): the key in it is sealed to the vaults */
};

struct message_resolver {
    struct str resolv_conf; /* contents of the files */
    struct str hosts;
};

struct message_ping {
    uint64_t number;
};

struct message_fault {
    enum process_role peer;
    uint32_t peer_index;
    struct str why;
};

struct message_compiled {
    bool ok;
    struct str problem;  /* file, place and reason, one sentence each line */
    struct str settings; /* check: struct settings on the wire (parent/settings.h) */
};

/* ---- gate and judge ---- */

enum door {
    DOOR_PREFIX,   /* base URL: the host is ours */
    DOOR_CONNECT,  /* in a tunnel that CONNECT opened: from here on the host is the vendor's */
    DOOR_ABSOLUTE, /* a proxy request in absolute form */
    DOOR_SOCKS,    /* in a tunnel that SOCKS5 opened */
    DOOR_SESSION,  /* on a socket inside a sandbox */
    DOOR_COUNT
};
const char *door_name(enum door door); /* as in the audit */

enum credential_form {
    FORM_BEARER,     /* Authorization: Bearer k, scheme in any case */
    FORM_BASIC_USER, /* Authorization: Basic, the user */
    FORM_BASIC_PASS, /* Authorization: Basic, the password */
    FORM_TOKEN,      /* Authorization: token k */
    FORM_HEADER,     /* a header of its own, by `name` */
    FORM_COUNT
};

struct message_presented {
    enum credential_form form;
    struct str name; /* of the header, lower case */
    struct str value;
};

enum body_kind { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_UNTIL_CLOSE, BODY_KIND_COUNT };

struct message_admit {
    uint64_t request;
    enum door door;
    uint32_t listener;
    struct str session; /* empty: a public door */
    struct str source;  /* the client's address as text, or "unix" */
    bool tls;
    bool http10;
    struct str host; /* lower case, with the port if one was given; may be empty in 1.0 */
    struct str method;
    struct str path;  /* the very bytes; vendor prefix still on it */
    struct str query; /* without '?' */
    bool has_query;
    enum body_kind body;
    uint64_t content_length;
    bool expect_continue;
    struct message_presented *presented; /* both parts of a Basic pair, in order of appearance */
    size_t presented_count;
    /* Every header field but credentials, framing and hop-by-hop ones, in order.  The judge takes
     * those that the pack judges; the others are free and go by FORWARD. */
    struct message_header *headers;
    size_t header_count;
};

/* Send the body to the reader under this rule, then wait for GRANTED or ANSWER. */
struct message_read_body {
    uint64_t request;
    uint64_t generation;
    uint32_t rule; /* config->reads[rule] */
    uint64_t bytes_max;
};

struct message_granted {
    uint64_t request;
    uint64_t grant;
    uint64_t key;          /* so that CUT finds its streams */
    struct str request_id; /* "req_...": goes out as Keybrake-Request-Id */
};

struct message_answer {
    uint64_t request;
    uint32_t status;
    struct str reason;              /* the reason phrase */
    struct message_header *headers; /* without framing; content-type and keybrake-* are in it */
    size_t header_count;
    struct str body;
    bool close; /* close the connection afterwards */
};

/* Exactly one after each GRANTED, when the client's side of it is over.  Before GRANTED, with grant
 * 0: the client is gone, and the gate has forgotten the request; a GRANTED that crosses it is
 * answered by a second DONE, with the grant.  None after an ANSWER that came
 * instead of GRANTED.
 *
 * A RESET by the vault before any HEAD is followed by an ANSWER, made by the judge from OUTCOME:
 * upstream_unreachable, outcome_unknown, upstream_timeout, ...; the gate waits for it, sends it,
 * then says DONE.  An ANSWER for a request whose head has gone out, or that is over, is dropped. */
struct message_done {
    uint64_t request;
    uint64_t grant;
    uint32_t status;              /* sent to the client; 0 when none was */
    uint64_t bytes_in, bytes_out; /* bodies, client side */
    uint64_t first_byte_us;       /* request head complete -> first answer byte to the client */
    uint64_t total_us;
    bool client_gone; /* before the answer was complete */
};

struct message_cut {
    uint64_t cut; /* number, echoed by CUT_DONE, REVOKED */
    uint64_t *keys;
    size_t key_count;
};

struct message_cut_done {
    uint64_t cut;
};

struct message_gate_stats {
    uint64_t connections, connections_idle, streams, buffered_bytes, queue_bytes;
    uint64_t refused_heads; /* total since start: answered 400 before the judge */
};

/* A connection that is not for us by its bytes, but for `host`.  Who asks is known by the
 * credentials of its CONNECT or SOCKS5 request, or by the session whose socket it came to. */
struct message_tunnel {
    uint64_t request; /* a number as of ADMIT */
    enum door door;
    uint32_t listener;
    struct str session; /* empty: a public door */
    struct str source;
    struct str host; /* a name in lower case, or an address; without a port */
    uint32_t port;
    struct message_presented *presented; /* of Proxy-Authorization, or SOCKS5's */
    size_t presented_count;
};

/* Until TUNNEL_DONE the tunnel is open: CUT of `key` ends it. */
struct message_tunnelled {
    uint64_t request;
    bool splice;   /* to that host, unseen; else we end its TLS, and each request comes by ADMIT */
    uint64_t key;  /* 0: of a session without one */
    uint64_t dial; /* splice: the dialer's number, by which the connection comes */
    struct str request_id;
};

/* Exactly one after each TUNNELLED. */
struct message_tunnel_done {
    uint64_t request;
    bool connected; /* splice: there was a connection */
    struct str problem;
    uint64_t bytes_in, bytes_out; /* from the client, to the client */
    uint64_t total_us;
};

struct message_dial {
    uint64_t dial;             /* the judge's number */
    uint32_t gate;             /* who gets the connection, */
    uint64_t gate_incarnation; /* in this life only */
    struct str host;
    uint32_t port;
    bool allow_private; /* loopback and private addresses too */
};

struct message_dialled {
    uint64_t dial;
    bool connected;     /* then the socket is with it */
    struct str problem; /* one sentence */
};

/* Up to this number whoever still waits does so in vain. */
struct message_dials_lost {
    uint64_t dial;
};

/* The host is the one that the judge has for this tunnel; the gate does not name it. */
struct message_leaf_get {
    uint64_t request;
    struct str public_key; /* SubjectPublicKeyInfo */
};

struct message_leaf {
    uint64_t request; /* as in LEAF_GET */
    struct str host;
    struct str certificate; /* DER; empty: `problem` says why */
    struct str problem;
};

/* ---- the reader ---- */

struct message_body {
    uint64_t request; /* from a gate: its request; from a vault: the grant */
    bool answer;
    uint64_t generation;
    uint32_t rule;
};

struct message_body_data {
    uint64_t request;
    struct str bytes;
};

struct message_body_end {
    uint64_t request;
    bool complete;
};

enum facts_state {
    FACTS_UNREADABLE, /* not of the encoding, or abandoned: `problem` says why */
    FACTS_AMBIGUOUS,  /* two parsers might read it differently */
    FACTS_TOO_LARGE,
    FACTS_CARD_DATA,
    FACTS_OK,
    FACTS_STATE_COUNT
};

enum fact_kind {
    FACT_ABSENT,
    FACT_NULL,
    FACT_BOOL,
    FACT_INTEGER, /* fits int64_t; `number` has it, `text` its digits */
    FACT_TEXT,    /* also a form value, and a JSON number that is no integer */
    FACT_COUNT,   /* how many, of a selector that counts; in `number` */
    FACT_NESTED,  /* an object or an array where a value was asked for */
    FACT_KIND_COUNT
};

struct message_fact {
    enum fact_kind kind;
    int64_t number; /* a bool is 0 or 1 */
    struct str text;
};

/* Where a value stands in the body, or where it could be put: for each selector that the rule names
 * as a place and that has one.  In a form it is put behind all others, in JSON at the beginning of
 * the innermost object that is there. */
struct message_place {
    uint32_t selector;
    uint64_t offset;
    uint64_t length;  /* of the value that stands there */
    uint32_t missing; /* so many last steps of its name are not there; 0: the value is */
    bool occupied;    /* something else is in that form or object */
};

struct message_facts {
    uint64_t request; /* as in BODY */
    bool answer;
    uint64_t generation;
    uint32_t rule;        /* the rule that was really applied: the judge compares */
    struct digest digest; /* of the whole body */
    uint64_t length;
    enum facts_state state;
    struct str problem;
    struct message_fact *facts; /* by the rule's selectors, same order and count */
    size_t fact_count;
    struct message_place *places;
    size_t place_count;
};

/* ---- judge and vault ---- */

/* A change of a judged body: `removed` bytes at `offset` of the client's body become `bytes`. */
struct message_splice {
    uint64_t offset, removed;
    struct str bytes;
};

struct message_grant {
    uint64_t grant;
    uint64_t gate_incarnation; /* of the gate that may take it; the vault's twin */
    uint64_t key;
    uint64_t credential;
    uint64_t credential_version;
    struct str credential_name; /* what must stand inside the sealed box */
    uint64_t generation;
    uint32_t pack;               /* config->packs[pack] */
    uint32_t upstream;           /* config->packs[pack].upstreams[upstream] */
    enum credential_form inject; /* where the credential goes, when the pack says "same" */
    struct str inject_name;      /* the header's name then */
    struct str method;
    struct str path; /* without the vendor prefix */
    struct str query;
    bool has_query;
    struct message_header *headers; /* judged ones, exactly as they go out */
    size_t header_count;
    enum body_kind body;
    uint64_t content_length;
    bool judged_body;          /* no byte leaves before all of it is here and its digest matches */
    struct digest body_digest; /* of the client's, before the splices */
    uint64_t body_length;
    struct message_splice *splices; /* in the order of their offsets; they do not overlap */
    size_t splice_count;
    bool has_hold;   /* say SENT before the first byte */
    bool retry_safe; /* the vendor honours the idempotency key that goes out */
    bool range_allowed;
    uint32_t answer_rule; /* 0: none; else copy a JSON answer to the reader: reads[answer_rule] */
    uint64_t begin_by_ms; /* from now */
    uint64_t first_byte_ms;
    struct str door_base; /* "http://HOST/stripe" for Location; empty: remove it */
    struct str request_id;
    struct str *redact; /* pack/redact.h: what is overwritten in the answer; then it is JSON, whole
                         * before any of it goes on, or refused */
    size_t redact_count;
};

struct message_sent {
    uint64_t grant;
};

enum outcome {
    OUTCOME_NOT_SENT, /* proof: no byte of the request reached the wire */
    OUTCOME_ANSWERED, /* status is there; `complete` says whether all of it came */
    OUTCOME_UNKNOWN,  /* sent, and no answer head */
    OUTCOME_COUNT
};

enum upstream_error {
    UPSTREAM_OK,
    UPSTREAM_RESOLVE,
    UPSTREAM_ADDRESS, /* private, loopback, ...: refused */
    UPSTREAM_CONNECT,
    UPSTREAM_TLS,
    UPSTREAM_TIMEOUT,
    UPSTREAM_RESET,
    UPSTREAM_PROTOCOL, /* an answer that we refuse */
    /* Blob missing or not to be unsealed; or the vendor refused it: then the outcome is ANSWERED
     * with status 401, and no HEAD was sent. */
    UPSTREAM_CREDENTIAL,
    UPSTREAM_GRANT, /* FORWARD was not what was granted, or came too late */
    UPSTREAM_REVOKED,
    UPSTREAM_CLIENT, /* the gate reset it */
    UPSTREAM_ERROR_COUNT
};

struct message_outcome {
    uint64_t grant;
    enum outcome outcome;
    enum upstream_error error;
    struct str detail; /* for the log and the audit; no secrets */
    uint32_t status;
    bool complete;
    struct digest body_digest;    /* of the answer as copied to the reader; zero without a rule */
    uint64_t bytes_out, bytes_in; /* bodies, upstream side */
    struct str vendor_request_id;
    bool replayed; /* the pack's replay header was there */
    bool retried;
    bool reused;            /* a pooled connection */
    uint64_t first_byte_us; /* from the first byte sent; 0 without an answer */
    uint64_t total_us;
    uint64_t connect_us; /* resolve + connect + TLS, when not reused */
    uint64_t scrubbed;   /* places where the credential was overwritten */
};

/* Only where has_hold and answer_rule were granted: the vault withholds HEAD and DATA from the gate
 * until this comes, which is after OUTCOME and its settlement. */
struct message_release {
    uint64_t grant;
};

struct message_forget_credential {
    uint64_t credential;
};

struct message_leaf_sign {
    uint64_t request; /* of the gate of the vault's index */
    struct str host;
    struct str public_key;
};

struct message_sign_head {
    uint64_t sequence;
    struct digest head;
    int64_t at_ms;
};

struct message_signed {
    uint64_t sequence;
    struct str
        signature; /* Ed25519 over "keybrake audit head\n" sequence "\n" hex(head) "\n" at_ms */
    struct str public_key;
};

struct message_vault_stats {
    uint64_t connections_busy, connections_idle, streams, queue_bytes, handshakes, resumed;
};

/* ---- gate and vault ---- */

struct message_forward {
    uint64_t grant;
    /* The free headers.  The vault drops from them whatever is judged, a credential, framing,
     * hop-by-hop or in the pack's drop list, whoever sent it. */
    struct message_header *headers;
    size_t header_count;
};

struct message_head {
    uint64_t grant;
    uint32_t status;
    struct str reason;
    struct message_header *headers; /* scrubbed, end-to-end only, no framing */
    size_t header_count;
    enum body_kind body;
    uint64_t content_length;
    bool interim; /* a 1xx; another HEAD follows */
};

struct message_data {
    uint64_t grant;
    struct str bytes;
};

struct message_end {
    uint64_t grant;
};

struct message_reset {
    uint64_t grant;
    enum upstream_error error;
    struct str detail;
};

struct message_window {
    uint64_t grant;
    uint64_t bytes; /* so many more may be sent */
};

/* ---- vault and scribe ---- */

struct message_blob_get {
    uint64_t credential;
};

struct message_blob {
    uint64_t credential;
    uint64_t version;
    bool found;
    struct str sealed;
};

/* ---- judge and scribe ---- */

struct message_loaded {
    uint64_t audit_sequence; /* of the last row; 0 when there is none */
    struct digest audit_head;
    int64_t newest_at_ms; /* the highest time in the database */
};

struct message_commit {
    uint64_t batch;
    bool wait; /* somebody waits: commit now.  Else within 100 ms or 2048 rows */
    /* The first after a refusal.  Once the scribe has refused a batch it refuses every later one
     * too, until a COMMIT with `again`: that batch begins with all rows that were refused, in
     * their order. */
    bool again;
};

struct message_committed {
    uint64_t batch;     /* this one and all before it */
    uint64_t commit_us; /* how long the commit took */
    uint64_t rows;
};

struct message_store_refused {
    uint64_t batch;
    struct str problem;
};

struct message_row_meta {
    struct str name;
    struct str value;
};

enum key_status { KEY_ACTIVE, KEY_PAUSED, KEY_REVOKED, KEY_EXPIRED, KEY_STATUS_COUNT };

struct message_row_key {
    uint64_t key;
    struct str id; /* "key_..." */
    struct digest token_digest;
    struct str token_hint; /* the last 4 characters, for people */
    struct str policy;     /* struct policy on the wire (policy/policy.h) */
    uint64_t policy_version;
    uint64_t parent;     /* 0: none */
    uint64_t credential; /* 0: chosen by name at each request */
    enum key_status status;
    int64_t created_at_ms, expires_at_ms, ended_at_ms;
    struct str created_by;
    /* For searching; equal to what the policy says. */
    struct str label, vendor, tenant, run_id;
};

enum budget_level { LEVEL_KEY, LEVEL_TENANT, LEVEL_COUNT };

struct message_row_window {
    enum budget_level level;
    struct str owner; /* key id or tenant name */
    int64_t day;      /* days since 1970; -1: the whole life */
    int64_t posted;
    int64_t held;
    uint32_t told; /* the highest threshold that was reached and told: 50, 80, 100 percent; or 0 */
    bool overrun;  /* a settlement went above its hold: nothing more is admitted */
};

enum hold_state { HOLD_OPEN, HOLD_UNKNOWN, HOLD_HELD, HOLD_POSTED, HOLD_VOIDED, HOLD_STATE_COUNT };

struct message_row_hold {
    uint64_t hold;
    uint64_t grant;
    uint64_t key;
    int64_t day; /* of admission: where it counts, always */
    enum hold_state state;
    int64_t held;   /* set aside now */
    int64_t posted; /* spent under it */
    int64_t opened_at_ms, changed_at_ms;
    bool sent;                            /* some byte may have left */
    struct str vendor, operation, object; /* object: the vendor's id that keeps it open */
    struct str currency;
    int64_t amount_minor;
    struct digest idempotency; /* of its record; zero: none */
    bool estimated, presumed, overrun;
    uint64_t credential;   /* by which it was sent, and the vendor can be asked */
    struct str account;    /* "stripe-account=acct_1": the header that named it; empty: none */
    struct str vendor_key; /* the idempotency key as the vendor saw it */
    int64_t base;          /* had moved of the object before, under other holds or none of ours */
    int64_t rate;          /* of exchange, by which all of it counts: cost.factor; 0: none */
};

struct message_row_hold_gone {
    uint64_t hold; /* posted or voided long ago, and nothing refers to it */
};

struct message_row_idempotency {
    struct digest scope; /* of scope, credential, account, method, path, query, client key */
    struct digest body;
    uint64_t hold;
    int64_t first_at_ms;
    int64_t found_minor; /* the amount that was put into the body; -1: none */
    struct str currency; /* its */
};

struct message_row_credential {
    uint64_t credential;
    struct str name, vendor;
    uint64_t version;
    struct str sealed; /* for the vault only; empty on its way to the judge */
    struct str upstream;
    bool live_mode, allow_private;
    struct str public_fields; /* JSON object of the fields that are not secret */
    struct str secret_hint;   /* prefix and last 4 characters, for people */
    int64_t created_at_ms, rotated_at_ms;
};

struct message_row_credential_gone {
    uint64_t credential;
};

struct message_row_tenant {
    struct str name;
    int64_t daily_cap, total_cap; /* -1: none */
    int64_t changed_at_ms;
};

struct message_row_stop {
    uint64_t stop;
    struct str kind; /* all, vendor, tenant, label_prefix */
    struct str value;
    struct str reason, created_by;
    int64_t created_at_ms, ended_at_ms; /* 0: still on */
};

enum operator_role {
    OPERATOR_NONE,
    OPERATOR_VIEWER,
    OPERATOR_ISSUER,
    OPERATOR_ADMIN,
    OPERATOR_ROLE_COUNT
};

struct message_row_operator {
    uint64_t token;
    struct str name;
    struct digest token_digest;
    enum operator_role role;
    struct str bounds; /* issuer: JSON, what it may issue at most; empty: no bounds */
    int64_t created_at_ms, ended_at_ms;
};

struct message_row_price {
    struct str vendor, name, match; /* "sms_segment", "+44" */
    int64_t price;                  /* nano-dollars a unit */
    struct str source;
    int64_t as_of_ms;
};

enum audit_event {
    AUDIT_REQUEST,
    AUDIT_SETTLED,
    AUDIT_RESOLVED,
    AUDIT_CORRECTED,
    AUDIT_PRESUMED,
    AUDIT_THRESHOLD,
    AUDIT_CONTROL, /* an operator's or a key holder's action: `reason` names it */
    AUDIT_SERVER,  /* start, stop, restart of a process, clock, configuration */
    AUDIT_REFUSED, /* counts of refusals without a known key */
    AUDIT_EVENT_COUNT
};

/* One row of the audit.  `hash` chains it: see docs/audit.md.  The personal fields enter the hash
 * only as `personal`, so that they can be deleted and the chain still verifies. */
struct message_row_audit {
    uint64_t sequence;
    struct digest hash;
    enum audit_event event;
    int64_t at_ms;
    struct str request_id;
    uint64_t key; /* 0: none */
    struct str vendor, operation, operation_class;
    bool live_mode;
    struct str credential;
    uint64_t credential_version;
    struct str account; /* Connect */
    struct str method;
    struct str query_names;
    struct str verdict; /* allowed, denied, observed; of other events: empty */
    struct str reason;  /* the denial's code, or what was done */
    struct str rule;    /* the allowlist entry that matched */
    uint64_t policy_version;
    uint32_t status; /* from the vendor, or ours */
    struct str vendor_request_id;
    int64_t amount_minor;
    struct str currency;
    struct str rate;
    int64_t reserved, settled;
    uint64_t hold;
    struct str hold_state;
    uint64_t attempt;
    struct digest idempotency, body;
    struct str levels; /* cap, spent and held of each level, as text */
    struct str door, actor;
    uint64_t bytes_in, bytes_out;
    uint64_t total_us, upstream_us;
    struct str detail;
    /* personal */
    struct digest salt;
    struct digest personal; /* SHA-256 of salt and the four below, each with its length */
    struct str path, objects, client_run_id, source;
};

struct message_row_head {
    uint64_t sequence;
    struct digest head;
    int64_t at_ms;
    struct str signature, public_key;
};

/* ---- control and judge ---- */

enum call_verb {
    CALL_NONE,
    CALL_KEY_ISSUE,
    CALL_KEY_LIST,
    CALL_KEY_GET,
    CALL_KEY_PATCH,
    CALL_KEY_PAUSE,
    CALL_KEY_RESUME,
    CALL_KEY_REVOKE,
    CALL_CREDENTIAL_PUT,
    CALL_CREDENTIAL_LIST,
    CALL_CREDENTIAL_GET,
    CALL_CREDENTIAL_REMOVE,
    CALL_CREDENTIAL_TEST,
    CALL_TENANT_PUT,
    CALL_TENANT_GET,
    CALL_TENANT_LIST,
    CALL_HOLD_LIST,
    CALL_HOLD_RESOLVE,
    CALL_STOP_ADD,
    CALL_STOP_LIST,
    CALL_STOP_REMOVE,
    CALL_OPERATOR_ADD,
    CALL_OPERATOR_LIST,
    CALL_OPERATOR_REMOVE,
    CALL_PRICE_LIST,
    CALL_PRICE_PUT,
    CALL_FX_GET,
    CALL_FX_PUT,
    CALL_CLOCK_VOUCH, /* the wall clock is right */
    CALL_EXPLAIN,
    CALL_EXPLAIN_FACTS,
    CALL_SESSION_OPEN,
    CALL_SESSION_END,
    CALL_METRICS,
    CALL_READY,
    CALL_AUTHORISE, /* may this actor read what control answers itself: audit, spend, vendors */
    CALL_VERB_COUNT
};

/* What an operator asks.  `body` is, by verb, the wire form of the struct named in
 * policy/calls.h; control has parsed and checked the JSON, the judge decides. */
struct message_call {
    uint64_t call;
    enum call_verb verb;
    bool local;                 /* over the local socket: admin */
    struct digest token_digest; /* else: of the operator's bearer token */
    bool vault_key;             /* the bearer was a vault key's token: self calls only */
    struct str actor;           /* "uid 0" or empty: the judge names the token */
    struct str id;              /* key id, credential name, tenant, stop, ... */
    struct str cursor;
    uint64_t limit;
    uint64_t if_match; /* policy version; 0: none given */
    struct str idempotency_key;
    struct digest body_digest; /* of the JSON, for repeats of an issue */
    struct str body;
};

struct message_reply {
    uint64_t call;
    uint32_t status;   /* HTTP */
    struct str code;   /* of a problem; empty on success */
    struct str detail; /* one sentence */
    struct str json;   /* the answer; may hold a token: control wipes it */
    uint64_t version;  /* for ETag; 0: none */
};

#endif
