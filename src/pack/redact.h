/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redact: overwrites what a JSON answer has at certain places, at the same length.
 *
 * A place is a JSON pointer (RFC 6901) whose segments may also be `*`, one member or element
 * whatever its name, and `**`, any number of levels, none too:
 *
 *     /auth_token                   {"auth_token": "..."}
 *     /accounts/<*>/auth_token      of every account ("<*>" stands for a star alone)
 *     /<**>/client_secret           wherever it stands
 *
 * There a text becomes stars, every number ones, and so does all that lies below an object or an
 * array.  true, false and null stay, and so does each byte outside.  Names are compared decoded.
 */
#ifndef PACK_REDACT_H
#define PACK_REDACT_H

#include <stdint.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/str.h"

enum { REDACT_POINTERS_MAX = LIMIT_REDACT_POINTERS, REDACT_SEGMENTS_MAX = 16 };

/* Begins with a slash, has at most REDACT_SEGMENTS_MAX segments, and ~ only as ~0 and ~1. */
bool redact_pointer_is_valid(struct str pointer);

/* -1 with the reason when `body` is no JSON that has one reading (json_scan.h): then some of it may
 * be overwritten, and none may be shown.  An empty body has nothing to hide.  The pointers are
 * valid, and at most REDACT_POINTERS_MAX. */
int redact_json(unsigned char *body, size_t len, const struct str *pointers, size_t count,
                uint64_t *ret_hits, struct err *err);

#endif
