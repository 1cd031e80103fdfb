/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls: what control asks of the judge, by verb (ipc/message.h, struct message_call.body).
 *
 *     CALL_KEY_ISSUE        struct policy, by policy_schema; expires_at_ms is absolute
 *     CALL_KEY_PATCH        struct call_patch; the judge applies it with policy_patched()
 *     CALL_KEY_LIST         struct call_key_filter
 *     CALL_CREDENTIAL_PUT   struct call_credential
 *     CALL_CREDENTIAL_REMOVE  the same, with only `force` filled
 *     CALL_TENANT_PUT       struct call_tenant
 *     CALL_HOLD_RESOLVE     struct call_resolve
 *     CALL_STOP_ADD         struct call_stop
 *     CALL_OPERATOR_ADD     struct call_operator
 *     CALL_PRICE_PUT        struct message_row_price
 *     CALL_FX_PUT           struct call_fx
 *     CALL_EXPLAIN          struct message_admit (request and door filled; presented empty)
 *     CALL_EXPLAIN_FACTS    struct call_explain_facts
 *     CALL_SESSION_OPEN     struct call_session
 *     CALL_SESSION_END      struct call_session_end
 *     the others            nothing
 *
 * The id of the key, credential, tenant, stop or operator is message_call.id.  CALL_AUTHORISE has
 * the name of what is to be read there ("audit", "spend", "vendors").  A vault key's token as
 * bearer may say "self" for its own key's id.
 *
 * Replies: `version` is the policy version of a key, the version of a credential.  When the judge
 * needs the body's facts for an explanation, its reply has the code "read_body" and the number of
 * the reading rule as `version`; control then asks again with CALL_EXPLAIN_FACTS.
 */
#ifndef POLICY_CALLS_H
#define POLICY_CALLS_H

#include "policy/policy.h"

/* RFC 7396: only what was named changes. */
struct call_patch {
    uint64_t named;       /* bits POLICY_FIELD(FIELD_...) */
    struct policy policy; /* the new values of what was named */
};

struct call_key_filter {
    struct str label_prefix, vendor, tenant, status, run_id;
};

struct call_credential {
    struct str name, vendor;
    uint64_t version;  /* what is sealed in; must be the present one + 1, else 409 */
    struct str sealed; /* to the vault's public key, by control */
    struct str upstream;
    bool live_mode, allow_private;
    struct str public_fields; /* JSON object */
    struct str secret_hint;
    /* What says that it is the same account: the public fields that name it. */
    struct str account_mark;
    bool new_account;
    bool force; /* CALL_CREDENTIAL_REMOVE */
};

struct call_tenant {
    int64_t daily_cap, total_cap; /* MONEY_NONE: none */
};

/* What an operator has found out of a hold. */
struct call_resolve {
    bool posted;     /* else nothing has moved, or nothing more */
    int64_t amount;  /* in all under this hold, nano-dollars */
    struct str row;  /* the hold as stored, struct message_row_hold on the wire: one that is over is
                      * not in the judge's memory any more.  Empty: it is not stored */
    struct str note; /* for the audit */
};

enum { CALL_FX_RATES_MAX = 256 };
struct call_fx_rate {
    struct str currency; /* lower case, three letters */
    int64_t nano_per_unit;
};
struct call_fx {
    struct str source;
    int64_t as_of_ms;
    uint32_t margin_percent;
    struct call_fx_rate *rates;
    size_t rate_count;
};

struct call_stop {
    struct str kind, value, reason;
};

/* What an issuer may issue at most (policy/bounds.h).  An empty list is no bound. */
struct call_bounds {
    struct str *vendors;
    size_t vendor_count;
    struct str *entries; /* allowlist entries; each of a key must be covered by one of them */
    size_t entry_count;
    int64_t daily_cap, total_cap; /* MONEY_NONE: no bound */
    uint64_t ttl_max_ms;          /* 0: no bound */
    struct str label_prefix, tenant;
};

struct call_operator {
    struct str name;
    enum operator_role role;
    struct str bounds; /* struct call_bounds on the wire; issuer only; empty: no bounds */
};

struct call_explain_facts {
    struct message_admit admit;
    struct message_facts facts;
};

/* A sandbox that begins: the keys that are made for it, and work on its own sockets alone. */
struct call_session {
    struct policy *policies;
    size_t policy_count;
};

struct call_session_end {
    struct str reason; /* "the command ended", "the launcher is gone", ... */
};

extern const struct wire_schema call_session_schema, call_session_end_schema;
extern const struct wire_schema call_patch_schema, call_key_filter_schema, call_credential_schema,
    call_tenant_schema, call_resolve_schema, call_fx_schema, call_stop_schema, call_bounds_schema,
    call_operator_schema, call_explain_facts_schema;

/* What is sealed for the vault: the only place where a real key is in the clear.  Encoded by
 * control into wiped memory, sealed with crypto_box_seal, decoded by the vault. */
struct sealed_field {
    struct str name, value;
};
struct sealed_credential {
    struct str name, vendor;
    uint64_t version;
    struct sealed_field *fields;
    size_t field_count;
    struct str *secret_fields; /* names of those to scrub */
    size_t secret_field_count;
    struct str *hosts; /* patterns; the vault dials no other */
    size_t host_count;
    struct str upstream; /* replaces the pack's base URL; empty: the pack's */
    struct str ca_pem;   /* trusted instead of the system's; empty: the system's */
    bool allow_private;
};
extern const struct wire_schema sealed_credential_schema;

#endif
