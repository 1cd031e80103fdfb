/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plain: what in a request's head two servers might take for different requests is refused.
 */
#ifndef JUDGE_PLAIN_H
#define JUDGE_PLAIN_H

#include "judge/state.h"

/* A method override, in a header or in the query.  False when refused. */
bool plain_method(const struct message_admit *admit, struct arena *arena,
                  struct decision *decision);

/* The body that decision->read_rule reads must be declared as what the rule reads it as, in UTF-8,
 * and not encoded.  False when refused. */
bool plain_body_type(const struct message_admit *admit, struct decision *decision);

#endif
