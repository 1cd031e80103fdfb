/* SPDX-License-Identifier: Apache-2.0 */
/*
 * times: `since` and `until` of a query.
 *
 *     2026-11-23T10:00:00Z     that time
 *     2026-11-23               that day's beginning
 *     2h                       two hours before now
 */
#ifndef CONTROL_TIMES_H
#define CONTROL_TIMES_H

#include "base/err.h"
#include "base/str.h"

int times_parse(struct str text, const char *name, int64_t now_ms, int64_t *ret_ms,
                struct err *err);

#endif
