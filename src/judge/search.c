/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/search.h"

#include <stdlib.h>

#include "base/mem.h"
#include "judge/holds.h"
#include "judge/objects.h"

struct search {
    struct digest key;
    uint64_t hold;
};

void searches_init(struct judge *judge)
{
    judge->searches = TABLE_OF(struct search, key);
}

/* As an object is named: by vendor, credential and account too. */
static struct digest key_of(const struct hold *like, struct str vendor_key)
{
    return object_name(like->row.vendor, like->row.credential, like->row.account, vendor_key);
}

void search_begin(struct judge *judge, const struct hold *hold)
{
    struct digest key = key_of(hold, hold->row.vendor_key);

    /* A repeat goes out with the same key under the same hold, so there is only one of each. */
    if (hold->row.object.len > 0 || hold->row.vendor_key.len == 0 ||
        table_find(&judge->searches, &key) != NULL) {
        return;
    }
    struct search *search = mem_zeroed(sizeof(*search));
    search->key = key;
    search->hold = hold->number;
    table_add(&judge->searches, search);
}

void search_over(struct judge *judge, uint64_t number)
{
    const struct hold *hold = holds_find(judge, number);
    struct digest key;

    if (hold == NULL) {
        return;
    }
    key = key_of(hold, hold->row.vendor_key);
    struct search *search = table_find(&judge->searches, &key);
    if (search != NULL && search->hold == number) {
        (void)table_remove(&judge->searches, &key);
        free(search);
    }
}

struct hold *search_find(const struct judge *judge, const struct hold *like, struct str vendor_key)
{
    struct digest key = key_of(like, vendor_key);
    const struct search *search = table_find(&judge->searches, &key);
    struct hold *hold = search == NULL ? NULL : holds_find(judge, search->hold);

    return hold != NULL && hold->row.object.len == 0 ? hold : NULL;
}
