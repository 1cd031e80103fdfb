/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/splice.h"

static const struct message_place *place_of(const struct message_facts *facts, uint32_t selector)
{
    for (size_t i = 0; i < facts->place_count; i++) {
        const struct message_place *place = &facts->places[i];
        if (place->selector == selector && place->offset <= facts->length &&
            place->length <= facts->length - place->offset) {
            return place;
        }
    }
    return NULL;
}

/* Something else is put at the same place, where nothing was: then they need what parts them. */
static bool joins(const struct splices *splices, const struct message_place *place)
{
    for (size_t i = 0; i < splices->count; i++) {
        if (splices->list[i].offset == place->offset && splices->list[i].removed == 0) {
            return true;
        }
    }
    return false;
}

static void write_form(struct buf *out, struct str name, uint64_t value,
                       const struct message_place *place, bool joined)
{
    if (place->missing > 0) {
        (void)buf_add_str(out, place->occupied || joined ? STR("&") : STR_NONE);
        (void)buf_add_str(out, name);
        (void)buf_add_char(out, '=');
    }
    (void)buf_add_u64(out, value);
}

/* The last `missing` steps of the pointer: "b":{"c":1} */
static void write_json(struct buf *out, struct str pointer, uint64_t value,
                       const struct message_place *place, bool joined)
{
    struct str rest = str_slice(pointer, 1, pointer.len);
    uint32_t steps = 1;

    for (size_t i = 0; i < rest.len; i++) {
        steps += rest.data[i] == '/';
    }
    for (uint32_t i = steps; i > place->missing && i > 0; i--) {
        (void)str_take_until(&rest, '/');
    }
    (void)buf_add_str(out, joined && !place->occupied ? STR(",") : STR_NONE);
    for (uint32_t i = 0; i < place->missing; i++) {
        (void)buf_add_str(out, i > 0 ? STR("{\"") : STR("\""));
        (void)buf_add_str(out, str_take_until(&rest, '/'));
        (void)buf_add_str(out, STR("\":"));
    }
    (void)buf_add_u64(out, value);
    for (uint32_t i = 1; i < place->missing; i++) {
        (void)buf_add_char(out, '}');
    }
    (void)buf_add_str(out, place->missing > 0 && place->occupied ? STR(",") : STR_NONE);
}

/* Behind all that are put at the same place; but a value that stands there, of no length, stands
 * before what is added. */
static void insert(struct splices *splices, const struct message_splice *splice, bool stands)
{
    size_t at = splices->count++;
    uint64_t behind = splice->offset + (stands ? 0 : 1);

    for (; at > 0 && splices->list[at - 1].offset >= behind; at--) {
        splices->list[at] = splices->list[at - 1];
    }
    splices->list[at] = *splice;
}

int splice_put(struct splices *splices, const struct pack_read *read,
               const struct message_facts *facts, uint32_t selector, uint64_t value,
               struct arena *arena, struct err *err)
{
    struct str name = read->selectors[selector].name;
    const struct message_place *place = place_of(facts, selector);
    struct buf text;

    if (place == NULL || splices->count == LIMIT_SPLICES) {
        return err_set(err, "%.*s cannot be put into the body", STR_FMT(name));
    }
    buf_init(&text, LIMIT_SPLICED_BYTES);
    if (read->encoding == ENCODING_JSON) {
        write_json(&text, name, value, place, joins(splices, place));
    } else {
        write_form(&text, name, value, place, joins(splices, place));
    }
    struct message_splice splice = {.offset = place->offset,
                                    .removed = place->length,
                                    .bytes = arena_copy(arena, buf_str(&text))};
    buf_clear(&text);
    insert(splices, &splice, place->missing == 0);
    return 0;
}

/* ---- in the vault ---- */

bool splices_are_valid(const struct message_splice *list, size_t count, uint64_t body_length)
{
    uint64_t at = 0, added = 0;

    for (size_t i = 0; i < count; i++) {
        if (list[i].offset < at || list[i].offset > body_length ||
            list[i].removed > body_length - list[i].offset) {
            return false;
        }
        at = list[i].offset + list[i].removed;
        added += list[i].bytes.len;
    }
    return count <= LIMIT_SPLICES && added <= LIMIT_SPLICED_BYTES;
}

uint64_t splices_length(const struct message_splice *list, size_t count, uint64_t body_length)
{
    for (size_t i = 0; i < count; i++) {
        body_length = body_length - list[i].removed + list[i].bytes.len;
    }
    return body_length;
}

bool splices_apply(const struct message_splice *list, size_t count, struct str body,
                   struct buf *out)
{
    size_t at = 0;

    for (size_t i = 0; i < count; i++) {
        (void)buf_add_str(out, str_slice(body, at, list[i].offset));
        (void)buf_add_str(out, list[i].bytes);
        at = list[i].offset + list[i].removed;
    }
    return buf_add_str(out, str_slice(body, at, body.len)) && !out->overflow;
}
