/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_session: a sandbox's session with the server, as the launcher holds it.
 */
#ifndef CLI_RUN_SESSION_H
#define CLI_RUN_SESSION_H

#include <jansson.h>

#include "cli/command.h"

struct run_session {
    int fd;         /* while it is open, the session lives */
    json_t *opened; /* {"id", "ca_pem", "keys": [{"id", "vendor", "token", "env"}]} */
};

/* Options of a key, for `run` and `attach`; a group of them begins with --vendor. */
/* clang-format off */
#define SESSION_OPTIONS \
    {"vendor", "VENDOR", "a key for this vendor; what follows is its policy", true, false}, \
    {"cap", "USD|none", "dollars a day", true, false}, \
    {"allow", "ENTRY", "what it may call: '/v1/charges', 'charges.create', ...", true, false}, \
    {"credential", "NAME", "whose real key; default: the one named as the vendor", true, false}, \
    {"total-cap", "USD|none", "dollars in all", true, false}, \
    {"mode", "enforce|observe", "observe: only write down what would be refused", true, false}, \
    {"requests-per-minute", "N", "at most so many", true, false}, \
    {"requests-per-day", "N", "at most so many", true, false}, \
    {"concurrency", "N", "at most so many at once", true, false}, \
    {"flat-price", "USD", "what a request counts when its vendor names no price", true, false}, \
    {"max-amount", "USD", "the most that one request may move", true, false}, \
    {"currency", "CODE", "only these currencies", true, false}, \
    {"to-prefix", "PREFIX", "only these destinations (+44)", true, false}, \
    {"from-domain", "DOMAIN", "only these senders", true, false}, \
    {"allow-host", "HOST[:PORT]", "also reached, through a tunnel, unseen", true, false}, \
    {"model", "NAME", "only these models", true, false}, \
    {"account", "ID", "these connected accounts too", true, false}, \
    {"customer", "ID", "only these customers", true, false}, \
    {"ttl", "TIME", "how long it may run: 30s, 12m, 2h (default: 1h)", false, false}, \
    {"label", "TEXT", "what you call it", false, false}, \
    {"run-id", "TEXT", "the run that it is for; retries of a run share idempotency", false, false}, \
    {"tenant", "NAME", "whose budget it counts against too", false, false}
/* clang-format on */

/* How long the command may run. */
int run_session_ttl_ms(const struct invocation *invocation, int64_t *ret_ms, struct err *err);

/* Opens it with these sockets, which stay the caller's. */
int run_session_open(struct run_session *session, const struct invocation *invocation,
                     const int *sockets, size_t socket_count, struct err *err);
/* The certificate of the CA that the server made for it; the private key stays there. */
struct str run_session_ca(const struct run_session *session);
/* Ends it, with the reason that the audit will have.  `wait`: until that is durable and nothing of
 * it runs upstream any more. */
void run_session_end(struct run_session *session, const char *reason, bool wait);
void run_session_clear(struct run_session *session);

/* What was asked, spent and refused, on stderr. */
void run_session_report(const struct run_session *session, const struct invocation *invocation);

#endif
