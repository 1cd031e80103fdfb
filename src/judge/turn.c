/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/turn.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

enum { WAITERS_MAX = 256 }; /* for one turn */

struct turn {
    struct digest name;
    struct request *has; /* NULL: it goes to the first that waits */
    struct list waiters; /* requests by turn_link */
    size_t waiter_count;
};

void turns_init(struct judge *judge)
{
    judge->turns = TABLE_OF(struct turn, name);
}

static struct turn *find_or_add(struct judge *judge, const struct digest *name)
{
    struct turn *turn = table_find(&judge->turns, name);

    if (turn == NULL) {
        turn = mem_zeroed(sizeof(*turn));
        turn->name = *name;
        list_init(&turn->waiters);
        table_add(&judge->turns, turn);
    }
    return turn;
}

static void forget_unused(struct judge *judge, struct turn *turn)
{
    if (turn->has == NULL && turn->waiter_count == 0) {
        (void)table_remove(&judge->turns, &turn->name);
        free(turn);
    }
}

bool turn_is_taken(const struct judge *judge, const struct digest *name,
                   const struct request *by_other_than)
{
    const struct turn *turn = table_find(&judge->turns, name);

    return turn != NULL && turn->has != NULL && turn->has != by_other_than;
}

void turn_take(struct request *request, const struct digest *name)
{
    struct turn *turn = find_or_add(request->judge, name);
    size_t at = 0;

    assert(turn->has == NULL || turn->has == request);
    if (turn->has == request) {
        return;
    }
    while (request->turns[at] != NULL) {
        at++;
        assert(at < REQUEST_TURNS);
    }
    turn->has = request;
    request->turns[at] = turn;
}

/* Not from under the feet of whoever has just ended: in the next turn of the loop. */
static void on_again(void *ctx)
{
    struct request *request = ctx;
    struct judge *judge = request->judge;
    struct turn *turn = request->waits_for;
    bool late = loop_now_ms(judge->loop) >= request->waits_until_ms;

    list_remove(&request->turn_link);
    turn->waiter_count--;
    request->waits_for = NULL;
    forget_unused(judge, turn);
    request->again(request, late);
}

bool turn_wait(struct request *request, const struct digest *name,
               void (*again)(struct request *request, bool late))
{
    struct judge *judge = request->judge;
    struct turn *turn = find_or_add(judge, name);
    uint64_t now_ms = loop_now_ms(judge->loop);

    if (turn->waiter_count >= WAITERS_MAX) {
        return false;
    }
    if (request->waits_until_ms == 0) { /* once for all that it waits for */
        request->waits_until_ms = now_ms + LIMIT_IN_FLIGHT_WAIT_MS;
    }
    request->waits_for = turn;
    request->again = again;
    turn->waiter_count++;
    list_add(&turn->waiters, &request->turn_link);
    loop_timer_set(judge->loop, &request->timer,
                   request->waits_until_ms > now_ms ? request->waits_until_ms - now_ms : 0,
                   on_again, request);
    return true;
}

/* All of them, each in its place: the first takes it again, or all may pass now. */
static void wake(struct judge *judge, struct turn *turn)
{
    for (struct list *at = turn->waiters.next; at != &turn->waiters; at = at->next) {
        struct request *request = LIST_THING(at, struct request, turn_link);
        loop_timer_set(judge->loop, &request->timer, 0, on_again, request);
    }
}

void turns_leave(struct request *request)
{
    struct judge *judge = request->judge;
    struct turn *waited = request->waits_for;

    if (waited != NULL) {
        loop_timer_stop(judge->loop, &request->timer);
        list_remove(&request->turn_link);
        waited->waiter_count--;
        request->waits_for = NULL;
        forget_unused(judge, waited);
    }
    for (size_t i = 0; i < REQUEST_TURNS; i++) {
        struct turn *turn = request->turns[i];
        request->turns[i] = NULL;
        if (turn != NULL) {
            turn->has = NULL;
            wake(judge, turn);
            forget_unused(judge, turn);
        }
    }
}
