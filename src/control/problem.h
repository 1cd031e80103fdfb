/* SPDX-License-Identifier: Apache-2.0 */
/*
 * problem: what went wrong, for the operator's program (RFC 9457).
 *
 *     {"type":"urn:keybrake:no_such_key","title":"Not Found","status":404,
 *      "detail":"there is no key key_...","code":"no_such_key"}
 */
#ifndef CONTROL_PROBLEM_H
#define CONTROL_PROBLEM_H

#include "base/buf.h"
#include "base/str.h"

enum { PROBLEM_BYTES_MAX = 64 * 1024 };
#define PROBLEM_TYPE STR("application/problem+json")

void problem_write(struct buf *out, unsigned status, struct str code, struct str detail);

#endif
