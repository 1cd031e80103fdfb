/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/objects.h"

#include <stdlib.h>

#include "base/mem.h"

struct object {
    struct digest name;
    struct list holds; /* by object_link, the oldest first */
};

void objects_init(struct judge *judge)
{
    judge->objects = TABLE_OF(struct object, name);
}

struct digest object_name(struct str vendor, uint64_t credential, struct str account, struct str id)
{
    uint64_t lengths[3] = {vendor.len, account.len, id.len};
    const struct str parts[] = {str_of(lengths, sizeof(lengths)), vendor,
                                str_of(&credential, sizeof(credential)), account, id};

    return digest_of_parts(parts, sizeof(parts) / sizeof(parts[0]));
}

struct digest objects_name_of(const struct hold *hold)
{
    return object_name(hold->row.vendor, hold->row.credential, hold->row.account, hold->row.object);
}

struct hold *objects_holder(const struct judge *judge, const struct digest *name)
{
    const struct object *object = table_find(&judge->objects, name);
    struct hold *holder = NULL;

    for (struct list *at = object == NULL ? NULL : object->holds.next;
         at != NULL && at != &object->holds; at = at->next) {
        struct hold *hold = LIST_THING(at, struct hold, object_link);
        if (hold->row.state != HOLD_HELD || hold->doubt) {
            return NULL;
        }
        holder = holder == NULL ? hold : holder;
    }
    return holder;
}

struct hold *objects_holder_but(const struct judge *judge, const struct digest *name,
                                const struct hold *but)
{
    const struct object *object = table_find(&judge->objects, name);

    for (struct list *at = object == NULL ? NULL : object->holds.next;
         at != NULL && at != &object->holds; at = at->next) {
        struct hold *hold = LIST_THING(at, struct hold, object_link);
        if (hold != but) {
            return hold;
        }
    }
    return NULL;
}

void objects_follow(struct judge *judge, struct hold *hold)
{
    if (hold->row.object.len == 0 || !list_empty(&hold->object_link)) {
        return;
    }
    struct digest name = objects_name_of(hold);
    struct object *object = table_find(&judge->objects, &name);
    if (object == NULL) {
        object = mem_zeroed(sizeof(*object));
        object->name = name;
        list_init(&object->holds);
        table_add(&judge->objects, object);
    }
    list_add(&object->holds, &hold->object_link);
}

void objects_leave(struct judge *judge, struct hold *hold)
{
    if (list_empty(&hold->object_link)) {
        return;
    }
    struct digest name = objects_name_of(hold);
    struct object *object = table_find(&judge->objects, &name);
    list_remove(&hold->object_link);
    if (object != NULL && list_empty(&object->holds)) {
        (void)table_remove(&judge->objects, &name);
        free(object);
    }
}

int64_t objects_posted(const struct judge *judge, const struct digest *name)
{
    const struct object *object = table_find(&judge->objects, name);
    int64_t most = 0;

    for (struct list *at = object == NULL ? NULL : object->holds.next;
         at != NULL && at != &object->holds; at = at->next) {
        const struct hold *hold = LIST_THING(at, struct hold, object_link);
        int64_t all = hold->row.base + hold->row.posted;
        most = all > most ? all : most;
    }
    return most;
}
