/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list: a doubly linked ring whose links are fields of the things.
 *
 *     struct list waiting;              the head, alone at first: list_init(&waiting)
 *     struct list link;                 in the thing
 *     LIST_THING(waiting.next, struct thing, link)
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define LIST_THING(link, type, field) ((type *)(void *)((char *)(link)-offsetof(type, field)))

static inline void list_init(struct list *list)
{
    list->next = list->prev = list;
}

static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

/* NULL: it is empty. */
struct list *list_first(const struct list *list);

/* Before `at`: list_add(&head, link) puts it last, list_add(head.next, link) first. */
static inline void list_add(struct list *at, struct list *link)
{
    link->prev = at->prev;
    link->next = at;
    at->prev->next = link;
    at->prev = link;
}

/* Leaves `link` alone, so that taking it out twice does no harm. */
static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

#endif
