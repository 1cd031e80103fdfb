/* SPDX-License-Identifier: Apache-2.0 */
/*
 * visitor_parts: what the five files of a visitor have of one another: visitor.c (its states),
 * receive.c, heads.c, flush.c and timers.c.  The rest of the gate needs visitor.h only.
 */
#ifndef GATE_VISITOR_PARTS_H
#define GATE_VISITOR_PARTS_H

#include "gate/visitor.h"

/* ---- visitor.c ---- */

uint64_t visitor_now_ms(const struct visitor *client);
bool visitor_wants_input(const struct visitor *client);
/* Tells the loop what it waits for.  Input that is not wanted now is asked off only with
 * `refuse_input`, when some came: mostly none does. */
void visitor_want_events(struct visitor *client, bool refuse_input);
/* Its end will be a reset: of a body that cannot be shown as cut in any other way, and of a client
 * that takes nothing, for which the kernel would keep what is unsent. */
void visitor_end_by_reset(struct visitor *client);

/* ---- receive.c ---- */

/* One read.  False when the connection is over. */
bool visitor_receive(struct visitor *client);
/* The same for bytes that are here, and that the innermost TLS is to decrypt. */
bool visitor_receive_tls(struct visitor *client, struct str bytes);

/* ---- heads.c ---- */

/* What there is of a head.  True when the state may have changed: judged, or refused. */
bool visitor_work_head(struct visitor *client);
/* A head that is none, or did not come in time; 0 is no status. */
void visitor_refuse_head(struct visitor *client, unsigned status, const char *text);
/* Refuses what was not read as a request: where it ends is not known, so that the answer is the
 * connection's last. */
void visitor_refuse_unread(struct visitor *client, enum verdict verdict, unsigned status,
                           const char *text);

/* ---- flush.c ---- */

/* Writes what the socket takes now, and does what follows from it. */
void visitor_flush(struct visitor *client);
bool visitor_has_output(const struct visitor *client);

/* ---- timers.c ---- */

/* To be called whenever its state or its output changed. */
void visitor_set_timer(struct visitor *client);

#endif
