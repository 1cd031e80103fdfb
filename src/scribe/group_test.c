/* SPDX-License-Identifier: Apache-2.0 */
#include "scribe/group.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/test.h"

/* One server's scribe, and what it said, as text: "c7 " committed up to 7, "r8 " refused 8. */
struct bench {
    char *dir;
    struct loop *loop;
    struct store *store;
    struct group *group;
    struct buf said;
    struct loop_timer script;
    uint64_t (*script_step)(struct bench *bench, unsigned number);
    unsigned step;
};

static void on_committed(void *ctx, const struct message_committed *committed)
{
    struct bench *bench = ctx;
    (void)buf_addf(&bench->said, "c%llu ", (unsigned long long)committed->batch);
}

static void on_refused(void *ctx, const struct message_store_refused *refused)
{
    struct bench *bench = ctx;
    CHECK(refused->problem.len > 0);
    (void)buf_addf(&bench->said, "r%llu ", (unsigned long long)refused->batch);
}

static void on_broken(void *ctx, const char *why)
{
    struct bench *bench = ctx;
    (void)why;
    (void)buf_addf(&bench->said, "broken ");
}

static void open_bench(struct bench *bench, uint32_t pages_max)
{
    static const struct group_events events = {on_committed, on_refused, on_broken};
    struct store_seed seed = {0};
    struct err err = {""};

    *bench = (struct bench){.dir = test_directory_new(), .loop = loop_new(&err)};
    CHECK_CASE(store_create(bench->dir, &seed, &err) == 0, err.text);
    bench->store = store_open(bench->dir, pages_max, &err);
    CHECK_CASE(bench->store != NULL, err.text);
    bench->group = group_new(bench->loop, bench->store, &events, bench);
    buf_init(&bench->said, 65536);
}

static void close_bench(struct bench *bench)
{
    group_free(bench->group);
    store_close(bench->store);
    loop_timer_stop(bench->loop, &bench->script);
    loop_free(bench->loop);
    buf_clear(&bench->said);
    test_directory_free(bench->dir);
}

static void tenant(struct bench *bench, const char *name)
{
    struct message_row_tenant row = {.name = str_from(name)};
    group_row(bench->group, MESSAGE_ROW_TENANT, &row, STR_NONE);
}

static void audit(struct bench *bench, uint64_t sequence)
{
    struct message_row_audit row = {.sequence = sequence, .hash = {{1}}};
    group_row(bench->group, MESSAGE_ROW_AUDIT, &row, STR_NONE);
}

static void end(struct bench *bench, uint64_t batch, bool wait, bool again)
{
    struct message_commit commit = {.batch = batch, .wait = wait, .again = again};
    group_commit(bench->group, &commit);
}

static bool said(struct bench *bench, const char *text)
{
    bool same = str_equal(buf_str(&bench->said), str_from(text));

    if (!same) {
        (void)printf("said: %.*s\n", STR_FMT(buf_str(&bench->said)));
    }
    buf_cut(&bench->said, 0);
    return same;
}

/* Runs `step` again and again, each time with the next number, as long after the last one as it
 * says; 0 ends. */
static void next_step(void *ctx)
{
    struct bench *bench = ctx;
    uint64_t after_ms = bench->script_step(bench, bench->step++);

    if (after_ms == 0) {
        loop_stop(bench->loop, 0);
        return;
    }
    loop_timer_set(bench->loop, &bench->script, after_ms, next_step, bench);
}

static void run_script(struct bench *bench, uint64_t (*step)(struct bench *bench, unsigned number))
{
    bench->script_step = step;
    loop_timer_set(bench->loop, &bench->script, 0, next_step, bench);
    (void)loop_run(bench->loop);
}

static int stored_tenants(struct bench *bench)
{
    struct err err = {""};
    enum message_type type;
    const void *row;
    int rc, count = 0;

    store_close(bench->store);
    bench->store = store_open(bench->dir, 0, &err);
    CHECK_CASE(bench->store != NULL, err.text);
    while ((rc = store_load(bench->store, &type, &row, &err)) == 1) {
        count += type == MESSAGE_ROW_TENANT;
    }
    CHECK_CASE(rc == 0, err.text);
    return count;
}

static uint64_t turn_step(struct bench *bench, unsigned number)
{
    if (number == 1) {
        CHECK(said(bench, "c3 "));
        CHECK(group_is_idle(bench->group));
        return 0;
    }
    tenant(bench, "a");
    end(bench, 1, true, false);
    tenant(bench, "b");
    tenant(bench, "c");
    end(bench, 2, false, false);
    end(bench, 3, false, false); /* of no rows */
    CHECK(said(bench, ""));      /* not before the turn's end */
    return 1;
}

static void test_turn(void)
{
    struct bench bench;

    open_bench(&bench, 0);
    run_script(&bench, turn_step);
    CHECK(stored_tenants(&bench) == 3);
    close_bench(&bench);
}

/* Nobody waits: within 100 ms, or at once with 2048 rows. */
static uint64_t delay_step(struct bench *bench, unsigned number)
{
    if (number == 0) {
        tenant(bench, "a");
        end(bench, 1, false, false);
        return 10;
    }
    if (number == 1) {
        CHECK(said(bench, ""));
        return 120;
    }
    CHECK(said(bench, "c1 "));
    for (int i = 0; i < GROUP_ROWS - 1; i++) {
        tenant(bench, "b");
    }
    end(bench, 2, false, false);
    CHECK(said(bench, ""));
    tenant(bench, "b");
    end(bench, 3, false, false);
    CHECK(said(bench, "c3 "));
    return 0;
}

static void test_delay(void)
{
    struct bench bench;

    open_bench(&bench, 0);
    run_script(&bench, delay_step);
    close_bench(&bench);
}

/* A batch that is not complete is never stored with those before it. */
static uint64_t partial_step(struct bench *bench, unsigned number)
{
    if (number == 0) {
        tenant(bench, "a");
        end(bench, 1, true, false);
        tenant(bench, "b");
        return 5;
    }
    CHECK(said(bench, "")); /* waits for the end of batch 2 */
    tenant(bench, "c");
    end(bench, 2, false, false);
    CHECK(said(bench, "c2 ")); /* which is then not delayed */
    tenant(bench, "d");
    group_end(bench->group); /* the judge died */
    CHECK(said(bench, ""));
    return 0;
}

static void test_partial(void)
{
    struct bench bench;

    open_bench(&bench, 0);
    run_script(&bench, partial_step);
    CHECK(stored_tenants(&bench) == 3);
    close_bench(&bench);
}

static void test_end(void)
{
    struct bench bench;

    open_bench(&bench, 0);
    tenant(&bench, "a");
    end(&bench, 1, false, false);
    group_end(bench.group);
    CHECK(said(&bench, "c1 "));
    group_end(bench.group);
    CHECK(said(&bench, ""));
    close_bench(&bench);
}

/* Refused are the whole group and all that follows, until it comes again. */
static uint64_t refused_step(struct bench *bench, unsigned number)
{
    if (number == 0) {
        tenant(bench, "a");
        end(bench, 1, false, false);
        audit(bench, 2); /* leaves a gap: cannot be stored */
        CHECK(said(bench, "r1 "));
        tenant(bench, "b");
        end(bench, 2, true, false);
        CHECK(said(bench, "r2 "));
        tenant(bench, "c");
        end(bench, 3, true, false);
        CHECK(said(bench, "r3 "));
        end(bench, 4, true, false);
        CHECK(said(bench, "r4 "));
        return 120;
    }
    if (number == 1) {
        CHECK(said(bench, ""));
        CHECK(group_is_idle(bench->group));
        tenant(bench, "a");
        tenant(bench, "b");
        audit(bench, 1);
        end(bench, 5, true, true);
        tenant(bench, "c");
        end(bench, 6, false, false);
        return 5;
    }
    CHECK(said(bench, "c6 "));
    tenant(bench, "d"); /* again, and again refused */
    audit(bench, 1);
    end(bench, 7, true, true);
    CHECK(said(bench, "r7 "));
    tenant(bench, "e");
    end(bench, 8, true, false);
    CHECK(said(bench, "r8 "));
    return 0;
}

static void test_refused(void)
{
    struct bench bench;

    open_bench(&bench, 0);
    run_script(&bench, refused_step);
    CHECK(stored_tenants(&bench) == 3);
    close_bench(&bench);
}

static void test_full(void)
{
    struct bench bench;
    char name[900];
    uint64_t batch = 0;
    size_t len = 0;

    open_bench(&bench, 60);
    memset(name, 'x', sizeof(name));
    for (unsigned i = 0; i < 1000 && len == 0; i++) {
        (void)snprintf(name, 8, "%07u", i);
        name[7] = 'x';
        struct message_row_tenant row = {.name = str_of(name, sizeof(name))};
        group_row(bench.group, MESSAGE_ROW_TENANT, &row, STR_NONE);
        end(&bench, ++batch, false, false);
        len = buf_len(&bench.said);
    }
    CHECK(buf_str(&bench.said).data[0] == 'r');
    close_bench(&bench);
}

int main(void)
{
    test_turn();
    test_delay();
    test_partial();
    test_end();
    test_refused();
    test_full();
    return test_done();
}
