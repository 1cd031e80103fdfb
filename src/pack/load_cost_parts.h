/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_cost_parts: what load_cost.c and load_object.c have of one another.
 */
#ifndef PACK_LOAD_COST_PARTS_H
#define PACK_LOAD_COST_PARTS_H

#include "base/limits.h"
#include "pack/load_parts.h"

/* A reading rule that grows while a cost is read. */
struct load_reading {
    struct pack_selector selectors[PACK_SELECTORS_MAX];
    size_t count;
    bool json; /* pointers; else form keys.  Decided by the first */
    uint64_t places[LIMIT_SPLICES];
    size_t place_count;
};

struct load_cost_target {
    struct pack_cost *cost;
    struct load_reading request, answer;
};

/* Gives the index of a selector ("req:amount", "res:/status"), which is added when it is new. */
int load_selector_text(struct json_in *in, const struct json_place *at, struct str text,
                       bool of_answer, struct load_reading *reading, uint32_t *ret);
int load_selector(struct json_in *in, const struct json_place *at, json_t *value,
                  struct load_cost_target *cost, bool of_answer, uint32_t *ret);

/* An array of {"if": ..., "amount": ...}, behind those that are there. */
int load_settle_rules(struct json_in *in, const struct json_place *at, json_t *value,
                      struct load_cost_target *cost, struct pack_settle **rules, size_t *count);

/* The rule for an answer, into the configuration.  -1: it is full. */
int load_answer_read(struct json_in *in, const struct json_place *at,
                     const struct load_reading *reading, uint32_t *ret);

json_loader load_objects, load_events;                       /* of a pack */
json_loader load_cost_fetches, load_cost_on, load_cost_kind; /* of a cost: load_cost_target */

#endif
