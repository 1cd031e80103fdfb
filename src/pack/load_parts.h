/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_parts: what the loader's files have of one another.
 */
#ifndef PACK_LOAD_PARTS_H
#define PACK_LOAD_PARTS_H

#include "pack/json_in.h"
#include "pack/pack.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* in->context while a pack is loaded. */
struct load_context {
    struct config *config;
    struct pack *pack;
    struct str *once; /* request.once */
    size_t once_count;
    struct str *params; /* request.params */
    size_t param_count;
    bool refuse_card_data;
    struct str rate_source; /* of all rows of "rates" */
    int64_t rate_as_of_ms;
    json_t *objects; /* the pack's, while it is loaded */
};

static inline struct load_context *load_context_of(const struct json_in *in)
{
    return in->context;
}

/* ---- load_vendor.c ---- */

json_loader load_upstreams;

/* The name under which the value at `at` stands in its object. */
int load_place_name(struct json_in *in, const struct json_place *at, struct str *ret);
/* A header's name in lower case, made of what a header may be made of. */
int load_header_name(struct json_in *in, const struct json_place *at, struct str text,
                     struct str *ret);

/* ---- load_read.c ---- */

/* Adds a reading rule to the configuration and gives its index; PACK_NONE when it is full. */
uint32_t load_add_read(struct config *config, const struct pack_read *read);
struct pack_read *load_reads(struct config *config, struct arena *arena);

/* What reads of every request must look for: accounts, card data. */
int load_default_read(struct json_in *in);

/* ---- a file each ---- */

json_loader load_credential, load_request, load_deny, load_costs, load_rates, load_operations;

#endif
