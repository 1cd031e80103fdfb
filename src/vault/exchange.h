/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exchange: one admitted request, from the meeting of GRANT and FORWARD to its OUTCOME and the last
 * byte of its answer.
 *
 * Says exactly one OUTCOME to the judge; SENT before the first byte of a request with a hold; and
 * one END or RESET to the gate, unless the gate has gone or reset it.
 */
#ifndef VAULT_EXCHANGE_H
#define VAULT_EXCHANGE_H

#include "vault/state.h"

struct exchange;

struct table exchanges_table(void);       /* empty, for vault->exchanges */
void exchanges_free(struct vault *vault); /* those that no gate had any more */

void exchange_begin(struct vault *vault, struct meeting *meeting); /* takes it over */
struct exchange *exchange_find(const struct vault *vault, const struct gate_peer *gate,
                               uint64_t grant); /* or NULL */
bool exchange_is_known(const struct vault *vault, uint64_t grant);

/* From its gate. */
void exchange_take_data(struct exchange *exchange, struct str bytes);
void exchange_take_end(struct exchange *exchange);
void exchange_take_reset(struct exchange *exchange);
void exchange_take_window(struct exchange *exchange, uint64_t bytes);

void exchanges_release(struct vault *vault, uint64_t grant);
void exchanges_revoke(struct vault *vault, const uint64_t *keys, size_t count);
void exchanges_gate_gone(struct gate_peer *gate);
void exchanges_reader_gone(struct vault *vault);
/* The blob came; NULL: it did not, and `why` says so. */
void exchanges_credential(struct vault *vault, uint64_t id, struct credential *credential,
                          const char *why);
bool exchanges_say_sent(struct vault *vault); /* before anything leaves for a vendor */

/* The OUTCOME of a grant that came to nothing. */
void exchange_refuse(struct vault *vault, const struct message_grant *grant,
                     enum upstream_error error, const char *detail);

#endif
