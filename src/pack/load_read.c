/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading rules: what a cost's selectors, and a pack's account parameters, make the reader look
 * for.
 */
#include <string.h>

#include "pack/load_cost_parts.h"

struct pack_read *load_reads(struct config *config, struct arena *arena)
{
    if (config->reads == NULL) {
        config->reads = arena_zeroed(arena, CONFIG_READS_MAX, sizeof(struct pack_read));
        config->read_count = 1; /* reads[0] reads nothing */
    }
    return config->reads;
}

uint32_t load_add_read(struct config *config, const struct pack_read *read)
{
    if (config->read_count == CONFIG_READS_MAX) {
        return PACK_NONE;
    }
    config->reads[config->read_count] = *read;
    return (uint32_t)config->read_count++;
}

static bool reads_already(const struct load_reading *reading, struct str name)
{
    for (size_t i = 0; i < reading->count; i++) {
        enum selector_kind kind = reading->selectors[i].kind;
        if ((kind == SELECT_FORM || kind == SELECT_POINTER) &&
            str_equal(reading->selectors[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* What rules of policies are about: pointers of JSON, other names of forms. */
static size_t add_params(const struct load_context *context, const struct load_reading *reading,
                         struct pack_selector *to)
{
    size_t count = 0;

    for (size_t i = 0; i < context->param_count; i++) {
        struct str name = context->params[i];
        if (str_starts(name, STR("/")) == reading->json && !reads_already(reading, name)) {
            to[count++] =
                (struct pack_selector){reading->json ? SELECT_POINTER : SELECT_FORM, name};
        }
    }
    return count;
}

/* The selectors of `reading` and of policies' rules, then the pack's account parameters. */
static struct pack_read request_read(const struct json_in *in, const struct load_reading *reading)
{
    const struct load_context *context = load_context_of(in);
    const struct pack *pack = context->pack;
    struct pack_read read = {.encoding = reading->json ? ENCODING_JSON : ENCODING_FORM,
                             .refuse_card_data = context->refuse_card_data};
    size_t accounts = reading->json ? pack->account_pointer_count : pack->account_param_count;
    const struct str *names = reading->json ? pack->account_pointers : pack->account_params;

    read.selectors = arena_zeroed(in->arena, reading->count + context->param_count + accounts,
                                  sizeof(struct pack_selector));
    memcpy(read.selectors, reading->selectors, reading->count * sizeof(struct pack_selector));
    read.selector_count = reading->count;
    read.selector_count += add_params(context, reading, read.selectors + reading->count);
    for (size_t i = 0; i < accounts; i++) {
        read.selectors[read.selector_count++] =
            (struct pack_selector){reading->json ? SELECT_POINTER : SELECT_FORM, names[i]};
    }
    read.place_count = reading->place_count;
    read.places = arena_zeroed(in->arena, reading->place_count, sizeof(read.places[0]));
    memcpy(read.places, reading->places, reading->place_count * sizeof(read.places[0]));
    read.account_count = (uint32_t)accounts;
    read.account_prefix = accounts > 0 ? pack->account_prefix : STR_NONE;
    if (!reading->json) {
        read.once = context->once;
        read.once_count = context->once_count;
    }
    return read;
}

int load_answer_read(struct json_in *in, const struct json_place *at,
                     const struct load_reading *reading, uint32_t *ret)
{
    struct pack_read read = {.encoding = ENCODING_JSON, .selector_count = reading->count};

    *ret = PACK_NONE;
    if (reading->count == 0) {
        return 0;
    }
    read.selectors = arena_zeroed(in->arena, reading->count, sizeof(struct pack_selector));
    memcpy(read.selectors, reading->selectors, reading->count * sizeof(struct pack_selector));
    *ret = load_add_read(load_context_of(in)->config, &read);
    return *ret != PACK_NONE
               ? 0
               : json_in_fail(in, at, "there are more than %d reading rules", CONFIG_READS_MAX);
}

int load_cost_reads(struct json_in *in, const struct json_place *at,
                    struct load_cost_target *target)
{
    struct config *config = load_context_of(in)->config;
    struct pack_cost *cost = target->cost;

    cost->request_read = cost->answer_read = PACK_NONE;
    if (config->read_count + 2 > CONFIG_READS_MAX) {
        return json_in_fail(in, at, "there are more than %d reading rules", CONFIG_READS_MAX);
    }
    if (target->request.count > 0) {
        struct pack_read read = request_read(in, &target->request);
        cost->request_read = load_add_read(config, &read);
    }
    return load_answer_read(in, at, &target->answer, &cost->answer_read);
}

static int add_default_read(struct json_in *in, bool json, uint32_t *ret)
{
    struct load_context *context = load_context_of(in);
    const struct load_reading nothing = {.json = json};
    struct pack_read read = request_read(in, &nothing);

    if (read.selector_count == 0 && !read.refuse_card_data) {
        return 0;
    }
    *ret = load_add_read(context->config, &read);
    return *ret != PACK_NONE
               ? 0
               : json_in_fail(in, NULL, "there are more than %d reading rules", CONFIG_READS_MAX);
}

int load_default_read(struct json_in *in)
{
    struct pack *pack = load_context_of(in)->pack;

    return add_default_read(in, false, &pack->default_read) != 0
               ? -1
               : add_default_read(in, true, &pack->default_json_read);
}
