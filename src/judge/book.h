/* SPDX-License-Identifier: Apache-2.0 */
/*
 * book: what operators have entered besides keys: credentials (never the secret), tenants, stops,
 * operators' tokens, prices.
 */
#ifndef JUDGE_BOOK_H
#define JUDGE_BOOK_H

#include "judge/state.h"

void book_init(struct judge *judge);

struct credential *book_credential(const struct judge *judge, uint64_t number); /* or NULL */
struct credential *book_credential_by_name(const struct judge *judge, struct str name);
/* For a key that names none: the one named as its vendor, else the vendor's only one, else NULL. */
struct credential *book_default_credential(const struct judge *judge, struct str vendor);
struct credential *book_put_credential(struct judge *judge,
                                       const struct message_row_credential *row);
void book_remove_credential(struct judge *judge, struct credential *credential);
struct str credential_field(const struct credential *credential, struct str name); /* or empty */

/* Made when it is not there: a name alone is a tenant without caps. */
struct tenant *book_tenant(struct judge *judge, struct str name);
struct tenant *book_find_tenant(const struct judge *judge, struct str name); /* or NULL */
void book_put_tenant(struct judge *judge, const struct message_row_tenant *row);

struct stop *book_put_stop(struct judge *judge, const struct message_row_stop *row);
struct stop *book_stop(const struct judge *judge, uint64_t number); /* or NULL */
bool book_has_ended_stop(const struct judge *judge); /* which makes room for another */
bool stop_hits(const struct stop *stop, const struct key *key);
const struct stop *book_stop_for(const struct judge *judge, const struct key *key); /* or NULL */

struct operator_token *book_put_operator(struct judge *judge,
                                         const struct message_row_operator *row);
struct operator_token *book_operator(const struct judge *judge, const struct digest *digest);
void operator_row(const struct operator_token *token, struct message_row_operator *ret);

void book_put_price(struct judge *judge, const struct message_row_price *row);
const struct price_list *book_prices(const struct judge *judge, struct str vendor); /* or NULL */

#endif
