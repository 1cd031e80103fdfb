/* SPDX-License-Identifier: Apache-2.0 */
#include "base/list.h"

#include "base/test.h"

struct thing {
    int number;
    struct list link;
};

static int sum_in_order(struct list *head)
{
    int sum = 0;

    for (struct list *at = head->next; at != head; at = at->next) {
        sum = sum * 10 + LIST_THING(at, struct thing, link)->number;
    }
    return sum;
}

int main(void)
{
    struct list head;
    struct thing things[] = {{1, {0}}, {2, {0}}, {3, {0}}};

    list_init(&head);
    CHECK(list_empty(&head));
    CHECK(list_first(&head) == NULL);
    list_add(&head, &things[0].link);
    list_add(&head, &things[1].link);
    list_add(head.next, &things[2].link);
    CHECK(sum_in_order(&head) == 312);
    CHECK(list_first(&head) == &things[2].link);
    list_remove(&things[0].link);
    list_remove(&things[0].link);
    CHECK(sum_in_order(&head) == 32);
    CHECK(list_empty(&things[0].link));
    list_remove(&things[2].link);
    list_remove(&things[1].link);
    CHECK(list_empty(&head));
    return test_done();
}
