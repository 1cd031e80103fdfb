/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel says of each process of a running server: /proc/PID/cmdline, status, ns. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/doctor.h"
#include "os/confine.h"

enum { TEXT_MAX = 8192, ARGUMENTS = 4 };

static const struct wall {
    const char *role;
    bool empty_network;
    const char *files; /* what Landlock leaves of the file system */
    const char *hosts; /* and of TCP */
} walls[] = {
    {"gate", true, "no file", "no connection of its own"},
    {"reader", true, "no file", "no connection"},
    {"judge", true, "no file", "no connection"},
    {"scribe", true, "no file but those it has open", "no connection"},
    {"vault", false, "no file", "connects, never listens"},
    {"control", false, "reads DIR/db", "no connection of its own"},
    {"dialer", false, "no file", "connects, never listens"},
};

struct process {
    const struct wall *wall;
    int pid;
    char name[48]; /* "gate.0" */
    bool filtered, no_new_privileges, no_capabilities;
    unsigned uid;
    bool network_known, network_shared; /* with us */
};

/* The whole of a small file of /proc, with NULs; its length. */
static size_t read_proc(int pid, const char *name, char *text)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    size_t len = fread(text, 1, TEXT_MAX - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    return len;
}

static const struct wall *wall_of(const char *argv0)
{
    static const char prefix[] = "keybrake-";

    if (strncmp(argv0, prefix, sizeof(prefix) - 1) != 0) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof(walls) / sizeof(walls[0]); i++) {
        if (strcmp(argv0 + sizeof(prefix) - 1, walls[i].role) == 0) {
            return &walls[i];
        }
    }
    return NULL;
}

static bool same_directory(const char *a, const char *b)
{
    char real_a[PATH_MAX], real_b[PATH_MAX];

    return realpath(a, real_a) != NULL && realpath(b, real_b) != NULL &&
           strcmp(real_a, real_b) == 0;
}

/* A process of the server on this data directory. */
static bool is_ours(struct process *process, const char *data_dir)
{
    char text[TEXT_MAX];
    const char *arguments[ARGUMENTS];
    size_t len = read_proc(process->pid, "cmdline", text);
    size_t at = 0;

    for (size_t i = 0; i < ARGUMENTS; i++) {
        if (at >= len) {
            return false;
        }
        arguments[i] = text + at;
        at += strlen(text + at) + 1;
    }
    process->wall = wall_of(arguments[0]);
    if (process->wall == NULL || !same_directory(arguments[3], data_dir)) {
        return false;
    }
    (void)snprintf(process->name, sizeof(process->name), "%.20s.%.10s", process->wall->role,
                   arguments[1]);
    return true;
}

static unsigned long long status_number(const char *status, const char *name, int base)
{
    const char *at = strstr(status, name);
    return at == NULL ? 0 : strtoull(at + strlen(name), NULL, base);
}

static bool network_of(const char *pid, char *ret, size_t size)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
    ssize_t len = readlink(path, ret, size - 1);
    if (len < 0) {
        return false;
    }
    ret[len] = '\0';
    return true;
}

static void look_at(struct process *process)
{
    char status[TEXT_MAX], ours[64], theirs[64], pid[16];

    if (read_proc(process->pid, "status", status) > 0) {
        process->filtered = status_number(status, "\nSeccomp:\t", 10) == 2;
        process->no_new_privileges = status_number(status, "\nNoNewPrivs:\t", 10) == 1;
        process->no_capabilities = status_number(status, "\nCapEff:\t", 16) == 0;
        process->uid = (unsigned)status_number(status, "\nUid:\t", 10);
    }
    (void)snprintf(pid, sizeof(pid), "%d", process->pid);
    process->network_known =
        network_of(pid, theirs, sizeof(theirs)) && network_of("self", ours, sizeof(ours));
    process->network_shared = process->network_known && strcmp(ours, theirs) == 0;
}

static const char *network_says(const struct process *process)
{
    if (!process->wall->empty_network) {
        return "the machine's network, which is its duty";
    }
    return !process->network_known   ? "network unknown: ask as root"
           : process->network_shared ? "the machine's network"
                                     : "an empty network";
}

static void say_process(struct findings *findings, const struct process *process,
                        const struct confine_support *support)
{
    bool broken = !process->filtered || !process->no_new_privileges || !process->no_capabilities;
    bool bare = support->landlock_abi == 0;
    bool shared = process->wall->empty_network && process->network_shared;
    const char *mend = broken   ? "this is no keybrake as we built it: stop it and look"
                       : bare   ? "boot with lsm=landlock,... (Linux 5.13 or newer has it)"
                       : shared ? "start serve as root, with CAP_SYS_ADMIN in a container"
                                : NULL;
    struct finding *one = doctor_find(findings,
                                      broken         ? BROKEN
                                      : mend != NULL ? WEAKER
                                                     : GOOD,
                                      process->name, mend);

    doctor_say(one, "uid %u, %s, %s, %s; %s; Landlock: %s, %s", process->uid,
               process->filtered ? "call filter" : "NO call filter",
               process->no_new_privileges ? "no new privileges" : "MAY GAIN privileges",
               process->no_capabilities ? "no capabilities" : "HAS capabilities",
               network_says(process), bare ? "missing" : process->wall->files,
               bare                        ? "the filter stands alone"
               : support->landlock_network ? process->wall->hosts
                                           : "no rules for TCP in this kernel");
}

void doctor_look_at_processes(struct findings *findings, const char *data_dir)
{
    struct confine_support support = confine_probe();
    size_t before = findings->count;
    DIR *all = opendir("/proc");
    struct dirent *entry;

    while (all != NULL && (entry = readdir(all)) != NULL) {
        uint64_t pid;
        if (!str_to_u64(str_from(entry->d_name), &pid) || pid > INT_MAX) {
            continue;
        }
        struct process process = {.pid = (int)pid};
        if (is_ours(&process, data_dir)) {
            look_at(&process);
            say_process(findings, &process, &support);
        }
    }
    if (all != NULL) {
        (void)closedir(all);
    }
    if (findings->count == before) {
        struct finding *one = doctor_find(findings, GOOD, "processes", NULL);
        doctor_say(one, "serve does not run on this data directory; when it does, each of its "
                        "processes is looked at here");
    }
}
