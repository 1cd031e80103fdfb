/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names: the resolver inside a sandbox.
 *
 * Every name exists.  An A question is answered with an address out of 198.18.0.0/15 (RFC 2544,
 * never routed), always the same one for the same name; whatever is dialled there is caught, and
 * the gate judges it by the name it was meant for (SNI, Host).  A name that may not be reached is
 * therefore refused where the refusal can be read, and not as a name that "does not exist".
 */
#ifndef SANDBOX_NAMES_H
#define SANDBOX_NAMES_H

#include <stddef.h>
#include <stdint.h>

enum {
    NAMES_QUESTION_MAX = 4096, /* of a whole question; larger ones are not answered */
    NAMES_ANSWER_MAX = 512,
    NAMES_TTL_S = 5,
};

/* The base URL door, whatever else a name means: http://keybrake.internal/stripe/v1/... */
#define NAMES_DOOR "keybrake.internal"

/* The answer to `question`, a DNS message without a length before it; 0: none is due (it is no
 * question, or not even a header). */
size_t names_answer(const unsigned char *question, size_t len,
                    unsigned char answer[NAMES_ANSWER_MAX]);

#endif
