/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_options: a key's policy from the command line, as the API's JSON.
 */
#ifndef CLI_POLICY_OPTIONS_H
#define CLI_POLICY_OPTIONS_H

#include "base/json_out.h"
#include "cli/command.h"

/* Rows that `key issue` and `key set` share. */
/* clang-format off */
#define POLICY_OPTIONS \
    {"ttl", "TIME", "how long it lives: 30s, 12m, 2h, 1d (default: 1h)", false, false}, \
    {"expires-at", "TIME", "or until when: 2026-12-01T00:00:00Z", false, false}, \
    {"total-cap", "USD|none", "dollars over its whole life (default: the cap, up to 24h)", false, false}, \
    {"mode", "enforce|observe", "observe: only write down what would be refused", false, false}, \
    {"requests-per-minute", "N", "at most so many", false, false}, \
    {"requests-per-day", "N", "at most so many", false, false}, \
    {"concurrency", "N", "at most so many at once", false, false}, \
    {"allow-host", "HOST[:PORT]", "also reached, through a tunnel, unseen", true, false}, \
    {"source", "CIDR", "only from these addresses", true, false}, \
    {"flat-price", "USD", "what a request counts when its vendor names no price", false, false}, \
    {"max-amount", "USD", "the most that one request may move", false, false}, \
    {"currency", "CODE", "only these currencies", true, false}, \
    {"to-prefix", "PREFIX", "only these destinations (+44)", true, false}, \
    {"from-domain", "DOMAIN", "only these senders", true, false}, \
    {"model", "NAME", "only these models", true, false}, \
    {"account", "ID", "these connected accounts too", true, false}, \
    {"customer", "ID", "only these customers", true, false}, \
    {"own-objects-only", "yes|no", "only what this key made (default: no; with a tenant yes)", false, false}, \
    {"client-secret", "pass|redact", "Stripe's client_secret in answers (default: pass)", false, false}
/* clang-format on */

/* Writes the members that the options name. */
void policy_options_write(const struct invocation *invocation, struct json_out *out);

/* A dollar amount: "none" is null, everything else a text that the server reads. */
void write_usd_option(const struct invocation *invocation, struct json_out *out, const char *option,
                      const char *member);
void write_text_option(const struct invocation *invocation, struct json_out *out,
                       const char *option, const char *member);
void write_list_option(const struct invocation *invocation, struct json_out *out,
                       const char *option, const char *member);

#endif
