/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack: a vendor as data, and the server's settings: what the `check` child compiles from JSON
 * and every other process reads from a sealed memfd.
 *
 * Indices are into the arrays of the same config.  PACK_NONE stands for "no such thing".  All of
 * it is const after config_open(), and lives until config_free().
 */
#ifndef PACK_PACK_H
#define PACK_PACK_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "base/wire.h"
#include "ipc/message.h"

#define PACK_NONE UINT32_MAX

/* How much a configuration may hold; the loader tells the place of what is above. */
enum {
    PACK_NAME_MAX = 96,
    PACK_HOST_MAX = 253,
    PACK_TEXT_MAX = 512,
    PACK_BODY_MAX = 8192,
    PACK_LIST_MAX = 64,
    PACK_REDACT_MAX = 32,
    PACK_OPERATIONS_MAX = 4096,
    PACK_MATCHES_MAX = 8192,
    PACK_COSTS_MAX = 256,
    PACK_RATES_MAX = 1024,
    PACK_EXPONENTS_MAX = 256,
    PACK_SELECTORS_MAX = 64,
    PACK_AMOUNTS_MAX = 4, /* that are set aside together */
    PACK_EVENTS_MAX = 7,  /* of one answer that lists them */
    PACK_OBJECTS_MAX = 64,
    CONFIG_PACKS_MAX = 64,
    CONFIG_READS_MAX = 2048,
    CONFIG_FX_MAX = 256,
    CONFIG_LISTENERS_MAX = 32,
    CONFIG_BYTES_MAX = 32 * 1024 * 1024,
};

enum operation_class {
    CLASS_READ,
    CLASS_WRITE,
    CLASS_PAY,
    CLASS_MONEY_IN,
    CLASS_MONEY_OUT,
    /* Granted only by the operation's own name, never by a path or a wildcard: */
    CLASS_UNBOUNDED,
    CLASS_MINT,
    CLASS_ADMIN,
    CLASS_COUNT
};
const char *operation_class_name(enum operation_class class);
bool operation_class_is_guarded(enum operation_class class);

enum body_encoding {
    ENCODING_ANY,
    ENCODING_FORM,
    ENCODING_JSON,
    ENCODING_MULTIPART,
    ENCODING_COUNT
};

struct pack_upstream {
    struct str alias;
    bool tls;
    struct str host; /* where to connect */
    uint32_t port;
    struct str prefix; /* before the path; usually empty */
    struct str *hosts; /* names that mean this upstream; "*.x" is any one label or more */
    size_t host_count;
    bool is_default;
    bool allowed; /* false: named only in order to be refused */
};

struct pack_accept {
    enum credential_form form;
    struct str name; /* of the header, for FORM_HEADER; lower case */
};

/* A member of a credential.  A credential given as plain text is its first required secret field.
 */
struct pack_field {
    struct str name;
    bool secret, required;
    struct str *prefixes; /* one of these must start the value, when there are any */
    size_t prefix_count;
};

enum inject_kind {
    INJECT_BEARER,
    INJECT_BASIC,
    INJECT_TOKEN,
    INJECT_HEADER,
    INJECT_SAME,
    INJECT_COUNT
};
struct pack_inject {
    enum inject_kind kind;
    struct str header; /* INJECT_HEADER; lower case */
    struct str secret_field;
    /* INJECT_BASIC: the user is the first of these that the credential has, else the literal */
    struct str *user_fields;
    size_t user_field_count;
    struct str user_literal;
};

/* A header made from a field of the credential, when it has that field. */
struct pack_set_header {
    struct str name; /* lower case */
    struct str field;
};

/* A path parameter that must equal a field of the credential, else account_not_allowed. */
struct pack_bound_param {
    struct str param, field;
};

struct pack_encoding {
    struct str prefix; /* of the path */
    enum body_encoding encoding;
};

enum header_rule {
    HEADER_PASS,     /* judged only in that the vault sends what the judge saw */
    HEADER_ACCOUNTS, /* its value must be in the key's list of accounts */
    HEADER_IDEMPOTENCY,
    HEADER_RULE_COUNT
};
struct pack_header {
    struct str name; /* lower case */
    enum header_rule rule;
};

struct pack_idempotency {
    struct str header;        /* empty: the vendor has none */
    uint64_t max;             /* bytes */
    uint64_t window_ms;       /* how long the vendor remembers */
    struct str replay_header; /* in an answer: this is a replay */
    bool every_post;          /* else only the operations that say `idempotent` */
};

/* ---- reading bodies ---- */

enum selector_kind {
    SELECT_FORM,     /* a form key by its decoded name, brackets as written: amount, a[b] */
    SELECT_POINTER,  /* a JSON pointer (RFC 6901); a `*` step is every element */
    SELECT_COUNT,    /* how many: 1 for a text, elements for an array; with '*' the sum.  Addresses:
                      * a text counts its addresses (commas outside quotes) */
    SELECT_SEGMENTS, /* how many SMS segments a text is; in GSM-7 if that has all its characters,
                      * else in UCS-2; 0 when it is not there.  Names as for SELECT_COUNT */
    SELECT_KIND_COUNT
};
struct pack_selector {
    enum selector_kind kind;
    struct str name;
};

/* One reading rule: what the reader extracts from a body.  The last `account_count` selectors are
 * the pack's account_params, in their order. */
struct pack_read {
    enum body_encoding encoding;
    struct pack_selector *selectors;
    size_t selector_count;
    uint32_t account_count;
    struct str *once; /* form keys that may stand only once, in whatever spelling */
    size_t once_count;
    uint64_t *places; /* selectors whose place in the body is told: a value may be put there */
    size_t place_count;
    bool refuse_card_data;
    struct str account_prefix; /* a value that begins so names an account, whatever its key */
};

/* ---- money ---- */

enum amount_kind {
    AMOUNT_NONE,     /* costs nothing */
    AMOUNT_MINOR,    /* a fact in minor units, and a currency */
    AMOUNT_RATE,     /* a price of the pack's rate table, times a count */
    AMOUNT_RESERVED, /* settle: what was reserved */
    AMOUNT_KEEP,     /* settle: stays held, by the object's id */
    AMOUNT_UNKNOWN,  /* reserve: cost_unknown */
    AMOUNT_MAJOR,    /* a fact in major units, "-0.0075", and a currency; its sign is dropped */
    AMOUNT_OBJECT,   /* reserve: what is held for the object, or what the vendor says when asked */
    AMOUNT_KIND_COUNT
};
struct pack_amount {
    enum amount_kind kind;
    uint32_t minor, currency; /* selectors of the read that applies; minor PACK_NONE: nothing */
    uint32_t held;            /* settle, AMOUNT_MINOR: what may still move; PACK_NONE: nothing */
    struct str rate;          /* AMOUNT_RATE: which */
    uint32_t rate_by;         /* selector whose prefix chooses the row; PACK_NONE: the "*" row */
    uint32_t times[4];        /* selectors; PACK_NONE where unused; their sum */
    bool at_least_one;        /* else times nothing is nothing */
    uint32_t per;             /* so many of them are one that is paid for; the last one is whole */
};

/* A value that keybrake puts into the request's body before it goes out. */
enum put_kind {
    PUT_AT_MOST, /* `value`, where the request says more or nothing */
    PUT_ALWAYS,  /* `value`, whatever the request says */
    PUT_FETCHED, /* the amount that was fetched, where the request says nothing */
    PUT_KIND_COUNT
};
struct pack_put {
    enum put_kind kind;
    uint32_t selector; /* of the request; among the places of its read */
    uint64_t value;
};

enum condition_kind {
    CONDITION_STATUS, /* of the answer: "2xx" or "402" in `value` */
    CONDITION_EQUALS, /* the fact as text: "succeeded", "true", "12" */
    CONDITION_ABSENT, /* the fact is not there, or null */
    CONDITION_KIND_COUNT
};
/* About the request in `free_if`, about the answer in a settle rule. */
struct pack_condition {
    enum condition_kind kind;
    bool negated;
    uint32_t selector; /* PACK_NONE for CONDITION_STATUS */
    struct str value;
};

struct pack_settle {
    struct pack_condition *conditions; /* all must hold */
    size_t condition_count;
    struct pack_amount amount;
    /* It may still move only because the client has a secret of it; where that is redacted from
     * what the client sees, nothing is held. */
    bool by_secret;
};

/* A GET of ours, that finds what a request would move.  `{path:NAME}` is a parameter of the
 * request's path, `{req:NAME}` a value of its body. */
struct pack_fetch {
    struct str path, query;
    uint32_t read;         /* config->reads, of its answer */
    uint32_t minor, minus; /* selectors of it; minus PACK_NONE: nothing is taken off */
    uint32_t posted;       /* what has moved already; PACK_NONE: nothing */
    uint32_t currency;
};

/* A kind of object at the vendor for which money is held: how to ask for it, and what its states
 * mean.  `{id}` is its id, `{field:NAME}` a public field of the credential. */
struct pack_object {
    struct str name;
    struct str path;   /* empty: it cannot be asked for */
    struct str cancel; /* a POST there, without a body, ends it and moves nothing; empty: none */
    uint32_t read;
    struct pack_settle *settles;
    size_t settle_count;
    uint64_t estimate_ms; /* after so long what is held is posted, as estimated; 0: never */
};

/* Where the vendor lists what happened lately: a request of ours is found there by its key.  The
 * first selector of `read` is whether there are more; then come four of each event: its id, the
 * idempotency key that caused it, the id of the object it is about, and that object's kind. */
struct pack_events {
    struct str path;  /* empty: there is no such list */
    struct str query; /* `{since}` and `{until}` are seconds since 1970 */
    struct str after; /* the parameter that names the last event seen */
    uint32_t read;
    uint32_t count; /* of the events in one answer */
};
enum { PACK_EVENT_ID, PACK_EVENT_KEY, PACK_EVENT_OBJECT, PACK_EVENT_KIND, PACK_EVENT_PARTS };

struct pack_cost {
    struct str name;
    uint32_t request_read; /* config->reads; PACK_NONE: no body is needed */
    uint32_t answer_read;
    struct pack_amount reserve;
    struct pack_amount *more; /* what is set aside beside it; a price times nothing is nothing */
    size_t more_count;
    struct pack_condition *free_if; /* all hold of the request: it moves no money */
    size_t free_if_count;
    struct pack_condition *unknown_if; /* all hold of the request: nobody knows what it costs */
    size_t unknown_if_count;
    struct pack_put *puts;
    size_t put_count;
    uint32_t object; /* selector of the answer: the vendor's id; PACK_NONE */
    uint32_t kind;   /* pack->objects: of what kind it is; PACK_NONE */
    struct str on;   /* path parameter: the object that it acts on; empty: it makes one */
    bool total;      /* what it reserves is the new total of that object */
    struct pack_condition *whole_if; /* all hold of the request: the object stays open afterwards */
    size_t whole_if_count;
    struct pack_fetch *fetches; /* the first whose placeholders are all there */
    size_t fetch_count;
    struct pack_settle *settles; /* the first whose conditions all hold */
    size_t settle_count;
};

struct pack_rate {
    struct str name, match; /* "sms_segment", "+44"; "*" is any */
    int64_t price;          /* nano-dollars */
    struct str source;
    int64_t as_of_ms;
};

struct pack_exponent {
    struct str currency; /* lower case */
    uint32_t digits;
};

/* ---- operations ---- */

struct pack_operation {
    struct str name;
    enum operation_class class;
    uint32_t cost; /* PACK_NONE: costs nothing */
    bool range_allowed, idempotent;
    struct str *redact; /* places of secrets in the answer: redact.h */
    size_t redact_count;
};

/* `{x}` is one non-empty segment, `{x...}` one or more. */
struct pack_match {
    uint32_t operation;
    uint32_t upstream;
    struct str method; /* "*": any */
    struct str path;
};

struct pack_status {
    struct str code; /* of a denial */
    uint32_t status;
};

struct pack_type {
    struct str code, type;
};

/* Placeholders in `body` and header values: ${code} ${message} ${status} ${request_id} ${type} and
 * ${urn} ("urn:keybrake:CODE"); texts are JSON-escaped in the body, header-safe in a header. */
struct pack_deny {
    struct pack_status *statuses;
    size_t status_count;
    struct message_header *headers;
    size_t header_count;
    struct str content_type;
    struct str body;
    struct pack_type *types; /* what ${type} is, by code; "default" is the rest */
    size_t type_count;
};

/* A variable that the vendor's SDKs read; ${base} is the door with the vendor's prefix, ${token}
 * the vault key, ${NAME} a public field of the credential. */
struct pack_env {
    struct str name, value;
};

struct match_index; /* match.h */

struct pack {
    struct str vendor, revision;
    bool generic; /* the upstream comes with the credential; unlisted methods are writes */
    struct pack_upstream *upstreams;
    size_t upstream_count;
    struct pack_accept *accepts;
    size_t accept_count;
    struct pack_field *fields;
    size_t field_count;
    struct str
        check; /* a path that any good credential may GET, `{field:NAME}` filled; empty: none */
    struct str live_mark, test_mark; /* "_live_", "_test_": in the secret; empty: always live */
    struct pack_inject inject;
    struct pack_set_header *set_headers;
    size_t set_header_count;
    struct pack_bound_param *bound_params;
    size_t bound_param_count;
    struct pack_encoding *encodings;
    size_t encoding_count;
    struct pack_header *headers; /* the judged ones */
    size_t header_count;
    struct message_header *fetch_headers; /* of what keybrake asks by itself; lower case */
    size_t fetch_header_count;
    struct str *drop_headers; /* of requests; lower case */
    size_t drop_header_count;
    struct str *account_params; /* form keys whose value must be in the key's accounts, when it */
    size_t account_param_count; /* begins with account_prefix; in the body or in the query */
    struct str account_prefix;
    /* The same in JSON: pointers.  A value that begins so elsewhere is refused. */
    struct str *account_pointers;
    size_t account_pointer_count;
    uint32_t default_read; /* config->reads: of a form body whose operation costs nothing */
    uint32_t default_json_read;
    struct pack_idempotency idempotency;
    struct pack_exponent *exponents;
    size_t exponent_count;
    struct pack_rate *rates;
    size_t rate_count;
    struct pack_operation *operations;
    size_t operation_count;
    struct pack_match *matches;
    size_t match_count;
    struct pack_object *objects;
    size_t object_count;
    struct pack_events events;
    struct pack_cost *costs;
    size_t cost_count;
    uint64_t *free_statuses; /* proof that no money moved */
    size_t free_status_count;
    struct pack_deny deny;
    bool retry_unknown; /* outcome_unknown may be retried when the client sent an idempotency key */
    struct str request_id_header; /* of the vendor's answers; lower case */
    uint64_t first_byte_ms;
    struct pack_env *env;
    size_t env_count;
    const struct match_index *index; /* not on the wire: config_finish() */
};

struct config_listener {
    struct str address; /* "127.0.0.1:8787", "[::1]:80", "unix:/run/x" */
    bool tls, control;
};

struct config_fx {
    struct str currency;   /* lower case, three letters */
    int64_t nano_per_unit; /* nano-dollars for one major unit */
};

struct config {
    uint64_t generation; /* not on the wire */
    struct pack *packs;
    size_t pack_count;
    struct pack_read *reads; /* reads[0] reads nothing, so that 0 can stand for "no rule" */
    size_t read_count;
    struct config_fx *fx;
    size_t fx_count;
    int64_t fx_as_of_ms;
    struct str fx_source;
    uint32_t fx_margin_percent;
    struct config_listener *listeners;
    size_t listener_count;
    struct str public_url;  /* empty: made from the first listener */
    struct str *proxy_from; /* networks of load balancers, who must say whose a connection is */
    size_t proxy_from_count;
    uint64_t ttl_default_ms, ttl_max_ms;
    bool self_revoke;
    bool dial_private;     /* tunnels to other hosts may end at private addresses */
    uint64_t memory_bytes; /* ceiling; 0: a quarter of RAM */
    uint32_t gates;        /* that share it */
    /* Not on the wire: header_is_credential()'s, sorted. */
    struct str *credential_headers;
    size_t credential_header_count;
    bool credential_shape[256]; /* by length and ends: nearly all other names are none of these */
};

extern const struct wire_schema config_schema;

/* Maps a sealed memfd and decodes it; closes `fd`.  NULL with the reason. */
struct config *config_open(int fd, uint64_t generation, struct err *err);
void config_free(struct config *config); /* takes NULL too */

/* Checks that every index is in range and makes what is not on the wire: config_open() does it,
 * and whoever loads packs to use them at once. */
int config_finish(struct config *config, struct arena *arena, struct err *err);

uint32_t config_find_pack(const struct config *config, struct str vendor); /* or PACK_NONE */
/* The pack that serves this host name, and which of its upstreams that is; or PACK_NONE twice. */
uint32_t config_find_host(const struct config *config, struct str host, uint32_t *ret_upstream);
uint32_t pack_find_operation(const struct pack *pack, struct str name); /* or PACK_NONE */
/* The loaded name that is nearest to a misspelt one; empty when nothing is near. */
struct str pack_nearest_operation(const struct pack *pack, struct str name);
/* The same of paths, where "*" is as near to "{id}" as one can be. */
struct str pack_nearest_path(const struct pack *pack, struct str path);
/* A path such as "/verify.twilio.com/v2/Services", as clients write it that know several hosts
 * but one base URL: takes the host off *path and gives its upstream.  PACK_NONE, and *path as it
 * was, when the first segment is no host of this pack. */
uint32_t pack_take_host(const struct pack *pack, struct str *path);
enum body_encoding pack_encoding_of(const struct pack *pack, struct str path);
const struct pack_header *pack_find_header(const struct pack *pack, struct str name); /* or NULL */

/* Known credential headers of all packs, folded over case, '-' and '_' ("xapikey"): whatever is in
 * here never goes upstream from a client. */
bool header_is_credential(const struct config *config, struct str name);

#endif
