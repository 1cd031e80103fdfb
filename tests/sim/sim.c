/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim [--crashes N] [--seed S [--lives N]] [--seeds FILE]
 *
 * Runs worlds of many lives until N have ended in a crash; prints the seed of what goes wrong.
 * A world is wholly decided by its seed: `sim --seed S` shows it again.  FILE names seeds that once
 * failed; they are run first.  Ends with "N passed, N failed", a world being a case.
 */
#include "sim.h"

#include <ftw.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "judge/judge.h"
#include "judge/process.h"
#include "pack/load.h"
#include "scribe/scribe.h"
#include "store/store.h"

enum { LIVES = 50, LOG_TAIL = 3000, START_US = 1000000000 };

struct world *world;
const char *sim_dir;
static struct config config;
static uint64_t seed;

void sim_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(world->report, sizeof(world->report), format, args);
    va_end(args);
    _exit(EXIT_FAILURE);
}

/* ---- a life ---- */

static void plan_faults(void)
{
    world->writes_to_full = world->full_writes = world->syncs_to_broken = 0;
    world->sync_broke = false;
    if (sim_chance(8)) {
        world->writes_to_full = 1 + (unsigned)sim_random(400);
        world->full_writes = 1 + (unsigned)sim_random(60);
    }
    if (sim_chance(20)) {
        world->syncs_to_broken = 1 + (unsigned)sim_random(120);
    }
}

static void give_birth(void)
{
    char *argv[] = {NULL};

    plan_faults();
    bool planned = world->syncs_to_broken > 0 || world->writes_to_full > 0;
    if (scribe_main(0, argv) != 0) {
        if (!planned) {
            sim_fail("the scribe does not start");
        }
        world->crash = CRASH_POWER;
        _exit(EXIT_SUCCESS);
    }
    (void)judge_main(0, argv);
    world_start(&config);
}

/* The judge is dead; the scribe reads to the end of what it had said. */
static void let_scribe_finish(void)
{
    for (int i = 0; i < 200 && !sim_scribe.ended; i++) {
        sim_turn(&sim_scribe);
    }
}

static void stop(void)
{
    world_finish();
    oracle_check_quiet();
    sim_judge.events->drain(sim_judge.ctx);
    for (int i = 0; i < 20000 && !sim_judge.ended; i++) {
        sim_turn(&sim_judge);
        sim_turn(&sim_scribe);
        world->boot_us += 5000;
    }
    if (!sim_judge.ended) {
        sim_fail("the judge does not stop");
    }
    sim_scribe.events->drain(sim_scribe.ctx);
}

static void live(void)
{
    uint64_t steps = sim_chance(4) ? sim_random(200) : sim_random(1600);

    world->crash = CRASH_NONE;
    give_birth();
    if (!sim_scribe.ended) {
        oracle_check(world->life % 10 == 9);
    }
    for (uint64_t i = 0; i < steps && !sim_scribe.ended && !sim_judge.ended; i++) {
        world_step();
    }
    if (sim_scribe.ended || sim_judge.ended) {
        if (sim_scribe.status == CHILD_EXIT_FATAL && world->sync_broke) {
            world->crash = sim_chance(2) ? CRASH_POWER : CRASH_SCRIBE; /* a failed fsync */
            return;
        }
        sim_fail("a process ended: judge %d (%d), scribe %d (%d)", sim_judge.ended,
                 sim_judge.status, sim_scribe.ended, sim_scribe.status);
    }
    world->crash = sim_chance(10) ? CRASH_STOP : (enum crash)(1 + sim_random(CRASH_COUNT - 2));
    if (world->crash == CRASH_STOP && (world->writes_to_full > 0 || world->syncs_to_broken > 0)) {
        world->crash = CRASH_POWER;
    }
    if (world->crash == CRASH_JUDGE) {
        let_scribe_finish();
    } else if (world->crash == CRASH_STOP) {
        stop();
    }
}

/* ---- a world ---- */

static int log_file = -1;

static void show_log(void)
{
    char text[LOG_TAIL + 1];
    off_t end = lseek(log_file, 0, SEEK_END);
    ssize_t got = pread(log_file, text, LOG_TAIL, end > LOG_TAIL ? end - LOG_TAIL : 0);

    if (got > 0) {
        (void)printf("  its log ends:\n%.*s\n", (int)got, text);
    }
}

static bool one_life(void)
{
    int status = 0;

    (void)fflush(stdout);
    world->report[0] = '\0';
    pid_t pid = fork();
    if (pid == 0) {
        if (ftruncate(log_file, 0) < 0 || lseek(log_file, 0, SEEK_SET) < 0 ||
            dup2(log_file, STDERR_FILENO) < 0) {
            _exit(EXIT_FAILURE);
        }
        live();
        _exit(EXIT_SUCCESS);
    }
    (void)waitpid(pid, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS) {
        (void)printf("FAIL  seed %" PRIu64 ", life %u: %s%s\n", seed, world->life,
                     WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "", world->report);
        show_log();
        return false;
    }
    if (world->crash == CRASH_POWER) {
        disk_cut_power();
    }
    return true;
}

static void new_world(void)
{
    if (world != NULL) {
        (void)munmap(world, sizeof(*world));
    }
    world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (world == MAP_FAILED) {
        abort();
    }
    world->boot_us = START_US;
}

static bool run_world(unsigned lives, const char *database, uint64_t *crashes)
{
    bool good = true;

    new_world();
    world->random[0] = seed * 0x9e3779b97f4a7c15ULL + 1;
    world->random[1] = seed ^ 0xd1b54a32d192ed03ULL;
    for (int i = 0; i < 20; i++) {
        (void)sim_random(2);
    }
    disk_load(database);
    for (world->life = 0; world->life < lives && good; world->life++) {
        good = one_life();
        *crashes += world->crash != CRASH_STOP;
    }
    return good;
}

/* ---- what all worlds begin with ---- */

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void make_database(void)
{
    static char dir[] = "/tmp/keybrake-sim-XXXXXX";
    struct message_row_meta secret = {.name = STR("idempotency_secret"), .value = STR("abc")};
    struct store_seed all = {.metas = &secret, .meta_count = 1};
    struct message_row_credential credential = {.credential = 1,
                                                .name = STR("stripe"),
                                                .vendor = STR("stripe"),
                                                .version = 1,
                                                .sealed = STR("x"),
                                                .public_fields = STR("{}"),
                                                .created_at_ms = 1};
    struct err err = {""};

    if (mkdtemp(dir) == NULL || store_create(dir, &all, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(EXIT_FAILURE);
    }
    struct store *store = store_open(dir, 0, &err);
    if (store == NULL ||
        store_put(store, MESSAGE_ROW_CREDENTIAL, &credential, &err) != STORE_DONE ||
        store_commit(store, &err) != STORE_DONE || store_checkpoint(store, &err) != STORE_DONE) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(EXIT_FAILURE);
    }
    store_close(store);
    sim_dir = dir;
}

static uint64_t number_after(int argc, char **argv, const char *name, uint64_t otherwise)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return strtoull(argv[i + 1], NULL, 10);
        }
    }
    return otherwise;
}

static const char *text_after(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return argv[i + 1];
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct arena *arena = arena_new();
    uint64_t wanted = number_after(argc, argv, "--crashes", 1000);
    unsigned lives = (unsigned)number_after(argc, argv, "--lives", LIVES);
    const char *seeds = text_after(argc, argv, "--seeds");
    uint64_t crashes = 0, counts[8] = {0};
    unsigned passed = 0, failed = 0;
    struct err err = {""};
    char database[256];
    bool alone = text_after(argc, argv, "--seed") != NULL;

    config = (struct config){.generation = 7,
                             .ttl_default_ms = LIMIT_TTL_DEFAULT_MS,
                             .ttl_max_ms = LIMIT_TTL_MAX_MS,
                             .self_revoke = true};
    digest_setup();
    if (load_builtin_packs(&config, arena, &err) < 0 || config_finish(&config, arena, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        return EXIT_FAILURE;
    }
    new_world();
    log_file = memfd_create("log", MFD_CLOEXEC);
    make_database();
    (void)snprintf(database, sizeof(database), "%s/db/keybrake.db", sim_dir);
    disk_register();
    FILE *old = seeds == NULL ? NULL : fopen(seeds, "r");
    char line[256];
    seed = number_after(argc, argv, "--seed", (uint64_t)time(NULL) * 1000);
    uint64_t first = seed;
    while (alone ? passed + failed == 0 : crashes < wanted && failed < 3) {
        bool from_file = false;
        while (old != NULL && !from_file && fgets(line, sizeof(line), old) != NULL) {
            from_file = sscanf(line, "%" SCNu64, &seed) == 1;
        }
        if (!from_file && !alone) {
            seed = first++;
        }
        if (run_world(lives, database, &crashes)) {
            passed++;
        } else {
            failed++;
        }
        for (int i = 0; i < 8; i++) {
            counts[i] += world->counts[i];
        }
    }
    (void)nftw(sim_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    (void)printf("%" PRIu64 " crashes, %" PRIu64 " requests, %" PRIu64 " charges, %" PRIu64
                 " replays, %" PRIu64 " denials, %" PRIu64 " deaths of gates, vaults and readers, "
                 "%" PRIu64 " writes without room; from seed %" PRIu64 "\n",
                 crashes, counts[COUNT_REQUESTS], counts[COUNT_CHARGES], counts[COUNT_REPEATS],
                 counts[COUNT_DENIED], counts[COUNT_DEATHS], counts[COUNT_FULL], seed);
    (void)printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
