/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim: the real judge, scribe, ledger, store and SQLite in one process, under a clock, sockets, a
 * disk and randomness that one seed decides.
 *
 *     seed -> a world -> lives.  A life is a fork(): the server starts on the world's disk, gates,
 *     vaults, readers, an operator and a vendor play with it for a while, and it is struck down: a
 *     process killed, all killed, or the power cut.  What outlives it (disk, clock, vendor, what
 *     was promised to whom) is in shared memory, and the next life begins from that.
 *
 * Nothing of the server is rewritten: it is linked as it is, and the calls it makes of the system
 * are wrapped at the link (see SIM_WRAPPED in the Makefile).  The disk is an SQLite VFS.
 *
 * system.c  clock, randomness, epoll, sockets, a process's birth
 * disk.c    files that forget what was not synchronised
 * world.c   the neighbours, played message by message
 * oracle.c  what must be true of the rows after every life
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/child.h"
#include "ipc/message.h"
#include "judge/state.h"

enum {
    FILES = 2, /* the database and its log */
    FILE_BYTES_MAX = 24 * 1024 * 1024,
    SECTOR_BYTES = 512,
    KEYS_MAX = 400,
    CHARGES_MAX = 40000,
    IDEM_BYTES = 64,
    REPORT_BYTES = 4096,
};

/* How a life ends. */
enum crash {
    CRASH_NONE,
    CRASH_JUDGE,  /* the scribe still stores what it has been sent */
    CRASH_SCRIBE, /* at once, with the judge */
    CRASH_POWER,
    CRASH_STOP, /* no fault: everything is finished, then it stops */
    CRASH_COUNT
};

/* A vault key, and what its holder was promised. */
struct sim_key {
    char id[32];
    char token[128];
    int64_t cap; /* nano-dollars, by day; and for life */
    int parent;  /* -1: none */
    bool issued; /* the operator was told so */
    bool asked_to_revoke, revoked;
};

/* What the vendor did, and logged before it answered. */
struct sim_charge {
    uint64_t hold, grant;
    int64_t amount; /* nano-dollars */
    int64_t at_ms;
    char idem[IDEM_BYTES];
    bool acknowledged; /* a client saw its success ... */
    bool by_replay;    /* ... when it asked again */
    unsigned life;     /* in which it was made */
    bool has_intent;   /* its row was found */
};

struct sim_file {
    bool exists;
    size_t size, safe_size;
    unsigned char now[FILE_BYTES_MAX];  /* as read */
    unsigned char safe[FILE_BYTES_MAX]; /* as after a power cut */
    bool dirty[FILE_BYTES_MAX / SECTOR_BYTES];
};

/* All that outlives a life. */
struct world {
    uint64_t random[2];
    uint64_t boot_us;
    enum crash crash;
    unsigned life;
    struct sim_file files[FILES];
    unsigned writes_to_full;  /* 0: never; else that write from now on finds no room ... */
    unsigned full_writes;     /* ... and so many after it */
    unsigned syncs_to_broken; /* 0: never; else that fsync fails */
    bool sync_broke;          /* it has */
    struct sim_key keys[KEYS_MAX];
    int key_count;
    struct sim_charge charges[CHARGES_MAX];
    int charge_count;
    uint64_t audit_seen; /* intents were looked for up to this row */
    uint64_t counts[8];  /* for the report: COUNT_* */
    char report[REPORT_BYTES];
};
enum { COUNT_REQUESTS, COUNT_CHARGES, COUNT_DENIED, COUNT_REPEATS, COUNT_DEATHS, COUNT_FULL };

extern struct world *world;
extern const char *sim_dir;

/* One number below `below`; one time in `n`. */
uint64_t sim_random(uint64_t below);
bool sim_chance(uint64_t n);

/* The life has found what must not be: says so, and ends. */
void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* ---- system.c ---- */

struct sim_process {
    struct child *child;
    const struct child_events *events;
    void *ctx;
    bool ready, ended;
    int status;
    uint64_t idle_ms; /* until its next timer; as it said last */
};
extern struct sim_process sim_judge, sim_scribe;
extern struct judge *sim_judge_state;

/* One turn of a process's loop. */
void sim_turn(struct sim_process *process);

/* A pair of descriptors: `ret_far` for the process, the near end is read and written here. */
int sim_pair(int *ret_far);
void sim_write(int near, const void *bytes, size_t len);
size_t sim_readable(int near);
void sim_peek(int near, void *to, size_t len);
void sim_skip(int near, size_t len);
void sim_close(int near);
bool sim_is_closed(int near); /* by the process, and read to its end */

/* ---- disk.c ---- */

void disk_register(void);
void disk_load(const char *path); /* the database file as `keybrake init` makes it */
void disk_cut_power(void);

/* ---- world.c ---- */

void world_start(struct config *config);
void world_step(void);
void world_finish(void); /* lets everything come to its end */
enum sim_kill { KILL_VAULT, KILL_GATE, KILL_READER };
void world_killed(enum process_role role, uint32_t index); /* asked for by the judge */

/* ---- oracle.c ---- */

void oracle_check(bool whole); /* `whole`: the audit's chain too */
void oracle_check_quiet(void); /* nothing is under way: so nothing is open */

#endif
