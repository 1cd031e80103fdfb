/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cost_object: money whose amount is not in the request but in an object at the vendor.
 *
 * The object that a request acts on is named by a parameter of its path.  When money is held for it
 * here, that is what there is; else the vendor is asked first (COST_FETCH), and what it says
 * counts. Pure.
 */
#ifndef PACK_COST_OBJECT_H
#define PACK_COST_OBJECT_H

#include "pack/cost.h"

/* Letters, digits, '_', '-' and '.', up to COST_OBJECT_MAX: it can stand in a path of ours. */
bool cost_is_object_id(struct str id);

/* The id in the path, or empty: the operation acts on no object, or the id is none. */
struct str cost_object_acted_on(const struct pack *pack, const struct match *match);

/* Is what it reserves the new total of its object?  Does it act on one without moving money? */
bool cost_is_total(const struct pack *pack, const struct match *match);
bool cost_may_fetch(const struct pack *pack, const struct match *match); /* ever */
bool cost_ends_object(const struct pack *pack, const struct match *match);

/* Of the object that the operation makes or acts on; NULL: its kind is not known. */
const struct pack_object *cost_object_kind(const struct pack *pack, const struct match *match);

/* The path of a fetch with its placeholders filled from the request.  False: one of them is not
 * there, or is no id. */
bool cost_fetch_path(const struct cost_question *question, const struct pack_fetch *fetch,
                     struct str *ret_path);

/* What the answer to a fetch says.  False, with the reason, when it does not say how much. */
bool cost_read_found(const struct pack_fetch *fetch, const struct message_facts *answer,
                     struct arena *arena, struct cost_found *ret, struct err *err);

/* The path by which an object is asked for; false when it has none, or a field is missing. */
bool cost_object_path(const struct pack_object *object, struct str id,
                      struct str (*field)(const void *ctx, struct str name), const void *ctx,
                      struct arena *arena, struct str *ret_path);
/* The same, of the POST that cancels it. */
bool cost_cancel_path(const struct pack_object *object, struct str id,
                      struct str (*field)(const void *ctx, struct str name), const void *ctx,
                      struct arena *arena, struct str *ret_path);

/* By the object's own answer: what it has come to.  `held` is what is set aside for it now.  False
 * when no state of the pack fits; then it stays as it is. */
bool cost_settle_object(const struct cost_question *question, const struct pack_object *object,
                        struct str id, const struct cost *held, const struct message_facts *answer,
                        struct settlement *ret);

/* The request names an amount and no currency, and the vendor can say in which it is: ret->fetch.
 * For where the dearest currency is too much, or its rate too old. */
bool cost_asks_currency(const struct cost_question *question, struct cost *ret);

/* Of this folder: does the rule need an object, and what does it set aside then? */
bool cost_needs_object(const struct cost_question *question, const struct pack_cost *cost);
enum cost_verdict cost_reserve_object(const struct cost_question *question,
                                      const struct pack_cost *cost, struct cost *ret,
                                      struct err *err);

#endif
