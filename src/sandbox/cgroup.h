/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup: limits for a sandbox as a whole, where the kernel lets us make a group.
 *
 * Of version 2 a group beside our own is taken (a group with processes in it may not divide what it
 * has among others), or below it at the root; of version 1 one below our own, in each hierarchy.
 */
#ifndef SANDBOX_CGROUP_H
#define SANDBOX_CGROUP_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

enum { CGROUP_GROUPS_MAX = 2, CGROUP_PATH_BYTES = 512 };

struct cgroup_limits {
    uint64_t memory_bytes; /* 0: as much as there is */
    uint32_t pid_max;      /* 0: as many as there can be.  There are rlimits for it too: where no
                            * group can be had, this is passed over. */
};

struct cgroup {
    char groups[CGROUP_GROUPS_MAX][CGROUP_PATH_BYTES];
    size_t count;
};

/* Makes the group; nothing, where no limit is asked for.  -1, and nothing is left behind: memory
 * cannot be limited here, and why. */
int cgroup_open(struct cgroup *cgroup, const struct cgroup_limits *limits, struct err *err);
/* `pid`, 0 being who calls, and what it starts from then on. */
int cgroup_join(const struct cgroup *cgroup, pid_t pid, struct err *err);
/* Kills what is left in it, where that can be done, and removes it.  Takes a zeroed one too. */
void cgroup_close(struct cgroup *cgroup);

/* Where our own group of a controller ("memory"; empty: version 2) is to be found, by the texts of
 * /proc/self/mountinfo and /proc/self/cgroup. */
bool cgroup_place(struct str mountinfo, struct str self, struct str controller, char *out,
                  size_t size);

#endif
