/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy: what one vault key may do.
 *
 * Parsed and checked by control from an operator's JSON, travels and is stored on the wire by
 * policy_schema, decoded and applied by the judge.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include "base/arena.h"
#include "base/err.h"
#include "base/wire.h"
#include "pack/pack.h"

#define MONEY_NONE INT64_C(-1) /* "no cap", "no price" */

enum policy_mode { MODE_ENFORCE, MODE_OBSERVE, MODE_COUNT };
enum token_style { TOKEN_VK, TOKEN_SK, TOKEN_RK, TOKEN_STYLE_COUNT };

struct policy {
    struct str label, vendor, credential, tenant, run_id, parent; /* parent: a key id */
    struct str idempotency_scope;
    struct str session; /* "ses_...": of the sandbox that it works in alone; set by the judge */
    int64_t daily_cap;  /* nano-dollars; MONEY_NONE: an explicit null */
    int64_t total_cap;
    bool total_cap_given; /* false: as the daily cap when the key lives 24 h or less */
    struct str *entries;  /* of the allowlist, as written */
    size_t entry_count;
    int64_t expires_at_ms;
    uint64_t requests_per_minute, requests_per_day, concurrency; /* 0: no limit */
    enum policy_mode mode;
    enum token_style token_style;
    int64_t flat_price; /* a request; MONEY_NONE */
    bool own_objects_only;
    bool redact_client_secret;
    /* parameter rules; an empty list is no rule, but for accounts: then none is allowed */
    int64_t max_amount; /* nano-dollars a request; MONEY_NONE */
    struct str *currencies;
    size_t currency_count;
    struct str *to_prefixes;
    size_t to_prefix_count;
    struct str *from_domains;
    size_t from_domain_count;
    struct str *models;
    size_t model_count;
    struct str *accounts; /* Connect */
    size_t account_count;
    struct str *customers;
    size_t customer_count;
    struct str *sources; /* CIDR */
    size_t source_count;
    struct str *hosts; /* policy/hosts.h: reached through a tunnel, unseen; empty: none */
    size_t host_count;
    bool cancel_open; /* on_key_end: what it leaves open at the vendor is cancelled there */
};

extern const struct wire_schema policy_schema;

/* As wire_decode() with policy_schema; but a policy that an older server stored, which lacks the
 * last fields, is taken too: what is not there is empty.  Fields are added at the end only. */
bool policy_decode(struct str bytes, struct arena *arena, struct policy *ret);

/* Checks what does not depend on other keys: entries parse, names of operations exist in the pack
 * (else an error that names the nearest), guarded classes only by name, lengths, caps, expiry. */
int policy_check(const struct policy *policy, const struct config *config, int64_t now_ms,
                 struct err *err);

/* -1: that no pack is loaded for this vendor, and for which ones there are. */
int policy_unknown_vendor(const struct config *config, struct str vendor, struct err *err);

/* A deep copy. */
struct policy *policy_copy(struct arena *arena, const struct policy *policy);

/* What may change while a key lives: bits of call_patch.named. */
enum policy_field {
    FIELD_DAILY_CAP,
    FIELD_TOTAL_CAP,
    FIELD_ENTRIES,
    FIELD_EXPIRES,
    FIELD_MODE,
    FIELD_REQUESTS_PER_MINUTE,
    FIELD_REQUESTS_PER_DAY,
    FIELD_CONCURRENCY,
    FIELD_SOURCES,
    FIELD_HOSTS,
    FIELD_FLAT_PRICE,
    FIELD_MAX_AMOUNT,
    FIELD_CURRENCIES,
    FIELD_TO_PREFIXES,
    FIELD_FROM_DOMAINS,
    FIELD_MODELS,
    FIELD_ACCOUNTS,
    FIELD_CUSTOMERS,
    FIELD_OWN_OBJECTS_ONLY,
    FIELD_REDACT_CLIENT_SECRET,
    FIELD_CANCEL_OPEN,
    FIELD_COUNT
};
#define POLICY_FIELD(f) (UINT64_C(1) << (f))

/* A deep copy of `policy` with the fields in `named` taken from `change`. */
struct policy *policy_patched(struct arena *arena, const struct policy *policy,
                              const struct policy *change, uint64_t named);

/* The total cap of a key that was made at that time: as written, or the daily cap where it lives a
 * day at most, since midnight must not double it; else MONEY_NONE. */
int64_t policy_total_cap(const struct policy *policy, int64_t created_at_ms);

/* True when `next` allows nothing that `old` did not to a key made at `created_at_ms`: caps,
 * expiry, entries, limits, parameters and mode are each the same or narrower.  The fields that
 * never change are not looked at.  When it does not hold, *ret_field names the first that is wider.
 */
bool policy_is_narrower(const struct policy *next, const struct policy *old, int64_t created_at_ms,
                        const struct pack *pack, const char **ret_field);

#endif
