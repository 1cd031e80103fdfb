/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/turn.h"

#include "base/mem.h"
#include "base/test.h"

enum { REQUESTS = 4 };

static struct judge *judge;
static struct request *requests;
static const struct digest object = {{1}}, record = {{2}};

static struct {
    int again[REQUESTS], late[REQUESTS];
    int order[REQUESTS], count;
    bool takes; /* whoever is woken takes the turn if it can, else waits again */
} seen;

static void on_again(struct request *request, bool late)
{
    size_t i = (size_t)(request - requests);

    seen.again[i]++;
    seen.late[i] += late;
    seen.order[seen.count++ % REQUESTS] = (int)i;
    if (seen.takes && !turn_is_taken(judge, &object, request)) {
        turn_take(request, &object);
    } else if (seen.takes && !late) {
        CHECK(turn_wait(request, &object, on_again));
    }
}

static void stop(void *ctx)
{
    (void)ctx;
    loop_stop(judge->loop, 0);
}

static void run_for(uint64_t ms)
{
    static struct loop_timer timer;

    loop_timer_set(judge->loop, &timer, ms, stop, NULL);
    (void)loop_run(judge->loop);
}

static void begin(void)
{
    struct err err;

    judge = mem_zeroed(sizeof(*judge));
    judge->loop = loop_new(&err);
    turns_init(judge);
    requests = mem_array(REQUESTS, sizeof(*requests));
    for (size_t i = 0; i < REQUESTS; i++) {
        requests[i] = (struct request){.judge = judge};
        list_init(&requests[i].turn_link);
    }
    seen.count = 0;
    for (size_t i = 0; i < REQUESTS; i++) {
        seen.again[i] = seen.late[i] = 0;
    }
}

static void end(void)
{
    for (size_t i = 0; i < REQUESTS; i++) {
        turns_leave(&requests[i]);
    }
    CHECK(judge->turns.count == 0); /* nothing stays behind */
    table_clear(&judge->turns);
    loop_free(judge->loop);
    free(requests);
    free(judge);
}

static void test_taken(void)
{
    begin();
    CHECK(!turn_is_taken(judge, &object, NULL));
    turn_take(&requests[0], &object);
    turn_take(&requests[0], &object); /* it has it */
    turn_take(&requests[0], &record);
    CHECK(turn_is_taken(judge, &object, NULL) && turn_is_taken(judge, &object, &requests[1]));
    CHECK(!turn_is_taken(judge, &object, &requests[0]));
    CHECK(turn_is_taken(judge, &record, &requests[1]));
    turns_leave(&requests[0]); /* both */
    turns_leave(&requests[0]);
    CHECK(!turn_is_taken(judge, &object, NULL) && !turn_is_taken(judge, &record, NULL));
    end();
}

/* One after another, in the order in which they came. */
static void test_in_order(void)
{
    begin();
    seen.takes = true;
    turn_take(&requests[0], &object);
    for (size_t i = 1; i < REQUESTS; i++) {
        CHECK(turn_wait(&requests[i], &object, on_again));
    }
    run_for(5);
    CHECK(seen.count == 0);
    for (size_t i = 0; i + 1 < REQUESTS; i++) {
        turns_leave(&requests[i]);
        CHECK(seen.again[i + 1] == (int)i); /* not from under the feet of who leaves */
        run_for(5);
        CHECK(!turn_is_taken(judge, &object, &requests[i + 1]));
        CHECK(turn_is_taken(judge, &object, NULL));
    }
    CHECK(seen.late[1] + seen.late[2] + seen.late[3] == 0);
    end();
    seen.takes = false;
}

/* Who waits may go; who had the turn wakes nobody else's. */
static void test_leaving_while_waiting(void)
{
    begin();
    turn_take(&requests[0], &object);
    CHECK(turn_wait(&requests[1], &object, on_again));
    CHECK(turn_wait(&requests[2], &object, on_again));
    turns_leave(&requests[1]);
    turns_leave(&requests[0]);
    run_for(5);
    CHECK(seen.again[1] == 0 && seen.again[2] == 1 && seen.late[2] == 0);
    end();
}

/* The time is one for all that a request waits for. */
static void test_late(void)
{
    begin();
    turn_take(&requests[0], &object);
    CHECK(turn_wait(&requests[1], &object, on_again));
    CHECK(requests[1].waits_until_ms >= loop_now_ms(judge->loop) + LIMIT_IN_FLIGHT_WAIT_MS - 1000);
    requests[2].waits_until_ms = loop_now_ms(judge->loop) + 20; /* it has waited before */
    CHECK(turn_wait(&requests[2], &object, on_again));
    run_for(60);
    CHECK(seen.again[2] == 1 && seen.late[2] == 1 && seen.again[1] == 0);
    CHECK(turn_is_taken(judge, &object, &requests[2]));
    end();
}

static void test_too_many(void)
{
    enum { MANY = 300 };
    struct request *many = mem_array(MANY, sizeof(*many));
    size_t waiting = 0;

    begin();
    turn_take(&requests[0], &object);
    for (size_t i = 0; i < MANY; i++) {
        many[i] = (struct request){.judge = judge};
        list_init(&many[i].turn_link);
        waiting += turn_wait(&many[i], &object, on_again) ? 1 : 0;
    }
    CHECK(waiting == 256);
    CHECK(turn_wait(&requests[1], &record, on_again)); /* another turn has room */
    for (size_t i = 0; i < MANY; i++) {
        turns_leave(&many[i]);
    }
    end();
    free(many);
}

int main(void)
{
    test_taken();
    test_in_order();
    test_leaving_while_waiting();
    test_late();
    test_too_many();
    return test_done();
}
