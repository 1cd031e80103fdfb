/* SPDX-License-Identifier: Apache-2.0 */
/*
 * facts_read: the two readers behind facts.h.  Private to this folder.
 */
#ifndef PACK_FACTS_READ_H
#define PACK_FACTS_READ_H

#include "pack/facts.h"

struct facts_reading {
    const struct pack_read *read;
    struct arena *arena;
    struct message_facts *ret; /* facts: absent, or a count of 0 */
    size_t text_bytes;         /* of all facts so far */
};

void facts_read_form(struct facts_reading *reading, struct str body);
void facts_read_json(struct facts_reading *reading, struct str body);

/* Of a body that has been read and is plain: where the values that the rule names as places are. */
void facts_find_places(struct facts_reading *reading, struct str body);

/* Sets state and problem, "NAME: WHY" when there is a name; returns false. */
bool facts_fail(struct facts_reading *reading, enum facts_state state, struct str name,
                const char *why);

/* False when a text is too long, or all of them together are. */
bool facts_set_text(struct facts_reading *reading, struct message_fact *fact, struct str text);

/* True for a selector that counts: adds what `text` stands for. */
bool facts_count_text(const struct pack_selector *selector, struct message_fact *fact,
                      struct str text);

bool facts_is_pointer(const struct pack_selector *selector); /* else it is a form key */
bool facts_is_counter(const struct pack_selector *selector);

/* A last step (of a form key, a JSON path below the top) that card data stand under. */
bool facts_is_card_field(struct str name);

#endif
