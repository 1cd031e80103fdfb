/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics: what /metrics shows, counted as it happens, as Prometheus text (format 0.0.4).
 */
#ifndef JUDGE_METRICS_H
#define JUDGE_METRICS_H

#include "judge/state.h"

struct metrics *metrics_new(void);

/* The names of a new configuration's vendors, so that counting is one addition. */
void metrics_verdict(struct metrics *metrics, const struct decision *decision);
void metrics_done(struct metrics *metrics, const struct request *request);
void metrics_commit(struct metrics *metrics, uint64_t commit_us);
void metrics_spent(struct metrics *metrics, struct str vendor, int64_t nano);

void metrics_write(const struct judge *judge, struct buf *out);

#endif
