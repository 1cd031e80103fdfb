/* SPDX-License-Identifier: Apache-2.0 */
/*
 * environment: what a sandboxed command finds in its environment.  Built, never inherited: a short
 * list of harmless variables of the caller, what was asked for by name, the vendors' variables, and
 * where to find the CAs.
 */
#ifndef SANDBOX_ENVIRONMENT_H
#define SANDBOX_ENVIRONMENT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

enum { ENVIRONMENT_BYTES_MAX = 128 * 1024, ENVIRONMENT_VARIABLES_MAX = 900 };

struct environment {
    struct buf text; /* "NAME=value", a NUL behind each */
    size_t count;
};

void environment_init(struct environment *environment);
void environment_clear(struct environment *environment);

/* Replaces what the name had.  -1: not a name, or too much. */
int environment_set(struct environment *environment, struct str name, struct str value,
                    struct err *err);
struct str environment_get(const struct environment *environment, struct str name);

/* PATH, LANG, TERM and their like, from `from` (as environ), and the sandbox's own. */
int environment_basic(struct environment *environment, char *const *from, struct err *err);
/* Each way in which a client can be told of the sandbox's CAs. */
int environment_trust(struct environment *environment, const char *bundle, const char *session_ca,
                      struct err *err);
/* "NAME" takes the caller's, "NAME=value" is as it stands.  Refuses what looks like a real key of a
 * vendor: it would then be inside after all. */
int environment_ask(struct environment *environment, const char *wish, char *const *from,
                    struct err *err);

/* Does it look like a vendor's real key?  By the prefixes that vendors give them. */
bool environment_is_key(struct str value);

#endif
