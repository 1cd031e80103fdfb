/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_cost_parts: what load_cost.c (the rules), load_object.c (objects and events) and the files
 * below have of one another.
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

/* An amount that is being read, for a cost: to be set aside, or of an answer. */
struct load_amount_target {
    struct load_cost_target *cost;
    struct pack_amount *amount;
    bool of_answer;
};

/* ---- load_select.c ---- */

/* Gives the index of a selector ("req:amount", "res:/status"), which is added when it is new. */
int load_selector_text(struct json_in *in, const struct json_place *at, struct str text,
                       bool of_answer, struct load_reading *reading, uint32_t *ret);
int load_selector(struct json_in *in, const struct json_place *at, json_t *value,
                  struct load_cost_target *cost, bool of_answer, uint32_t *ret);

/* An array of "res:/status=succeeded" and their like: all must hold. */
int load_conditions(struct json_in *in, const struct json_place *at, json_t *value,
                    struct load_amount_target *target, struct pack_condition **ret,
                    size_t *ret_count);

/* ---- load_amount.c ---- */

int load_amount(struct json_in *in, const struct json_place *at, json_t *value,
                struct load_amount_target *target);
void load_no_amount(struct pack_amount *amount); /* as it is before anything is read */

/* ---- load_read.c ---- */

/* The cost's two reading rules, into the configuration. */
int load_cost_reads(struct json_in *in, const struct json_place *at,
                    struct load_cost_target *target);

/* The rule for an answer, into the configuration.  -1: it is full. */
int load_answer_read(struct json_in *in, const struct json_place *at,
                     const struct load_reading *reading, uint32_t *ret);

/* ---- load_put.c ---- */

json_loader load_puts; /* load_cost_target */

/* ---- load_cost.c, load_object.c ---- */

/* An array of {"if": ..., "amount": ...}, behind those that are there. */
int load_settle_rules(struct json_in *in, const struct json_place *at, json_t *value,
                      struct load_cost_target *cost, struct pack_settle **rules, size_t *count);

json_loader load_objects, load_events;                       /* of a pack */
json_loader load_cost_fetches, load_cost_on, load_cost_kind; /* of a cost: load_cost_target */

#endif
