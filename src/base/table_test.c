/* SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/test.h"

enum { THINGS = 5000 };

struct thing {
    uint64_t number;
    bool in;
};

/* Which of two things comes first depends on a secret: not in each table the same one. */
static void test_secret(void)
{
    struct thing things[2] = {{.number = 1}, {.number = 2}};
    bool first[2] = {false, false};

    for (int i = 0; i < 200; i++) {
        struct table table = TABLE_OF(struct thing, number);
        size_t at = 0;
        table_add(&table, &things[0]);
        table_add(&table, &things[1]);
        first[table_next(&table, &at) == &things[0]] = true;
        table_clear(&table);
    }
    CHECK(first[0] && first[1]);
}

/* Random adds and removes, compared with a flag in each thing. */
static void test_churn(void)
{
    struct thing *things = mem_array(THINGS, sizeof(*things));
    struct table table = TABLE_OF(struct thing, number);
    size_t in = 0;
    unsigned seed = 7;

    for (size_t i = 0; i < THINGS; i++) {
        things[i].number = i << 32 | i % 3; /* much alike: the table must spread them */
    }
    for (int turn = 0; turn < 200000; turn++) {
        seed = seed * 1103515245u + 12345u;
        struct thing *thing = &things[(seed >> 8) % THINGS];
        if (table_find(&table, &thing->number) != (thing->in ? thing : NULL)) {
            CHECK(false);
            break;
        }
        if (thing->in) {
            void *taken = table_remove(&table, &thing->number);
            if (taken != thing) {
                CHECK(false);
            }
            in--;
        } else {
            table_add(&table, thing);
            in++;
        }
        thing->in = !thing->in;
    }
    CHECK(table.count == in);
    size_t at = 0;
    size_t seen = 0;
    for (struct thing *thing = table_next(&table, &at); thing != NULL;
         thing = table_next(&table, &at)) {
        seen += thing->in;
    }
    CHECK(seen == in);
    table_clear(&table);
    CHECK(table.count == 0 && table_find(&table, &things[0].number) == NULL);
    free(things);
}

static void test_empty(void)
{
    struct table table = TABLE_OF(struct thing, number);
    uint64_t key = 0;
    size_t at = 0;
    struct thing zero = {.number = 0};

    CHECK(table_find(&table, &key) == NULL);
    CHECK(table_remove(&table, &key) == NULL);
    CHECK(table_next(&table, &at) == NULL);
    table_add(&table, &zero);
    CHECK(table_find(&table, &key) == &zero);
    key = 1;
    CHECK(table_remove(&table, &key) == NULL);
    table_clear(&table);
}

int main(void)
{
    test_empty();
    test_secret();
    test_churn();
    test_secret();
    return test_done();
}
