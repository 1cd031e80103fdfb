/* SPDX-License-Identifier: Apache-2.0 */
/* What works here, what does not, and how to mend it. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "base/secret.h"
#include "cli/commands.h"
#include "cli/doctor.h"
#include "os/confine.h"
#include "sandbox/attach.h"
#include "sandbox/notify.h"
#include "store/admissions.h"

enum {
    FILES_WANTED = 16384,
    DISK_FULL_PERCENT = 80,
    ADMISSIONS_LOOKED_AT = 1000000, /* rows of requests, the newest */
    /* No clock of a machine that runs this is right before then. */
    BUILT_YEAR = 2026,
};

struct finding *doctor_find(struct findings *findings, enum finding_grade grade,
                            const char *subject, const char *mend)
{
    struct finding *one = &findings->all[findings->count];

    if (findings->count + 1 < FINDINGS_MAX) {
        findings->count++;
    }
    *one = (struct finding){.grade = grade, .mend = mend};
    (void)snprintf(one->subject, sizeof(one->subject), "%s", subject);
    return one;
}

void doctor_say(struct finding *one, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(one->says, sizeof(one->says), format, args);
    va_end(args);
}

static void look_at_kernel(struct findings *findings)
{
    struct confine_support support = confine_probe();
    struct finding *one;

    one = doctor_find(findings, support.seccomp ? GOOD : BROKEN, "seccomp",
                      support.seccomp ? NULL : "run a kernel with CONFIG_SECCOMP_FILTER");
    doctor_say(one, "system call filters %s",
               support.seccomp ? "work" : "do not work: serve will refuse to start");
    one = doctor_find(findings, support.landlock_abi > 0 ? GOOD : WEAKER, "landlock",
                      support.landlock_abi > 0
                          ? NULL
                          : "boot with lsm=landlock,... (Linux 5.13 or newer has it)");
    doctor_say(one, "ABI %d%s", support.landlock_abi,
               support.landlock_abi == 0  ? ": processes can open what their user can"
               : support.landlock_network ? ", with network rules"
                                          : ", without network rules");
    bool root = geteuid() == 0;
    one = doctor_find(
        findings, !root || support.network_namespaces ? GOOD : WEAKER, "network namespaces",
        root && !support.network_namespaces ? "allow CAP_SYS_ADMIN in this container" : NULL);
    doctor_say(one, "%s",
               !root                        ? "used only when serve is started as root"
               : support.network_namespaces ? "each process without network duty gets an empty one"
                                            : "cannot be made here; the call filters stand");
    one = doctor_find(findings, support.memfd_secret ? GOOD : WEAKER, "memfd_secret",
                      support.memfd_secret ? NULL
                                           : "boot with secretmem.enable=1 (Linux 5.14 or newer)");
    doctor_say(one, "%s",
               support.memfd_secret
                   ? "credentials lie where not even root can read them"
                   : "credentials lie in locked, undumpable memory, which root can read");
}

static const char *mend_sandbox(const char *why)
{
    if (strstr(why, "map the sandbox's user") != NULL || strstr(why, "Permission denied") != NULL) {
        return "on Ubuntu 24.04 and its like, give the program an AppArmor profile with 'userns,' "
               "(docs/sandbox.md)";
    }
    if (strstr(why, "No space left") != NULL) {
        return "sysctl -w user.max_user_namespaces=10000";
    }
    return "run it as root, or outside of this container; or use keybrake attach";
}

/* By making one. */
static void look_at_sandbox(struct findings *findings)
{
    struct err err = {""};
    enum sandbox_tier tier = sandbox_probe(&err);
    struct finding *one =
        doctor_find(findings, tier == TIER_NAMESPACES ? GOOD : WEAKER, "sandbox", NULL);

    if (tier == TIER_NAMESPACES) {
        doctor_say(one, "run: own namespaces, every TCP connection is caught");
    } else if (tier == TIER_NO_REDIRECT) {
        one->mend = "use a kernel with nf_tables and nft_redir (modprobe nft_redir)";
        doctor_say(one, "run: own namespaces; only ports 80, 443 and --port are caught, others "
                        "refused");
    } else {
        struct err why;
        bool by_notify = notify_probe(&why) == 0;
        one->mend = mend_sandbox(err.text);
        doctor_say(one, "run: %s; %s%s", err.text,
                   by_notify ? "connections are asked about (seccomp), files are Landlock's"
                             : "it refuses to start: ",
                   by_notify ? "" : why.text);
    }
}

static void look_at_secret_memory(struct findings *findings)
{
    struct secret secret;
    struct err err;
    bool works = secret_new(&secret, 4 << 20, &err) == 0;
    struct finding *one =
        doctor_find(findings, works ? GOOD : BROKEN, "secret memory",
                    works ? NULL : "raise the limit: ulimit -l 65536, or LimitMEMLOCK=");

    doctor_say(one, "%s", works ? "4 MiB could be locked" : err.text);
    secret_clear(&secret);
}

static void look_at_limits(struct findings *findings)
{
    struct rlimit limit = {0, 0};

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    bool enough = limit.rlim_max >= FILES_WANTED;
    struct finding *one = doctor_find(findings, enough ? GOOD : WEAKER, "open files",
                                      enough ? NULL : "raise the hard limit: LimitNOFILE=65536");
    doctor_say(one, "at most %llu a process", (unsigned long long)limit.rlim_max);
}

static void look_at_disk(struct findings *findings, const char *data_dir)
{
    struct statvfs about;
    struct finding *one = doctor_find(findings, GOOD, "disk", NULL);

    if (statvfs(data_dir, &about) < 0 || about.f_blocks == 0) {
        one->grade = WEAKER;
        one->mend = "run: keybrake init";
        doctor_say(one, "%s: %s", data_dir, strerror(errno));
        return;
    }
    unsigned long long used = 100 - about.f_bavail * 100ull / about.f_blocks;
    if (used >= DISK_FULL_PERCENT) {
        one->grade = WEAKER;
        one->mend = "make room: with a full disk every request with a budget is refused";
    }
    doctor_say(one, "%s is %llu %% full", data_dir, used);
}

static bool has_database(const char *dir)
{
    char path[4096];
    struct stat about;

    (void)snprintf(path, sizeof(path), "%s/db/keybrake.db", dir);
    return stat(path, &about) == 0;
}

static void look_at_data(struct findings *findings, const char *data_dir)
{
    char path[4096];
    struct stat about;
    struct finding *one = doctor_find(findings, GOOD, "data directory", NULL);

    (void)snprintf(path, sizeof(path), "%s/vault/key", data_dir);
    if (stat(data_dir, &about) == 0 && (about.st_mode & 022) != 0) {
        one->grade = BROKEN;
        one->mend = "chmod 700 it";
        doctor_say(one, "%s can be written by others", data_dir);
    } else if (stat(path, &about) < 0) {
        one->grade = WEAKER;
        one->mend = errno != ENOENT ? "run doctor as the user of serve"
                    : has_database(data_dir)
                        ? "unless the service manager hands it in (keybrake-vault-key), put it "
                          "back from a backup: nothing that is stored opens without it"
                        : "run: keybrake init";
        doctor_say(one, "%s: %s", path, strerror(errno));
    } else if ((about.st_mode & 077) != 0) {
        one->grade = BROKEN;
        one->mend = "chmod 600 it";
        doctor_say(one, "%s can be read by others", path);
    } else {
        doctor_say(one, "%s is ours alone", path);
    }
}

static void look_at_time(struct findings *findings)
{
    int64_t now = clock_wall_ms();
    bool right = now > (int64_t)(BUILT_YEAR - 1970) * 365 * 86400 * 1000;
    struct finding *one =
        doctor_find(findings, right ? GOOD : BROKEN, "clock",
                    right ? NULL : "set it, and run a time service (systemd-timesyncd)");

    doctor_say(one, "%s", clock_rfc3339(now / 1000 * 1000).text);
}

static void look_at_memory(struct findings *findings)
{
    struct sysinfo about;
    struct finding *one = doctor_find(findings, GOOD, "memory", NULL);

    if (sysinfo(&about) == 0) {
        unsigned long long all = (unsigned long long)about.totalram * about.mem_unit >> 20;
        if (about.totalswap > 0) {
            one->grade = WEAKER;
            one->mend = "encrypt swap, or do without: request bodies may be written there";
        }
        doctor_say(one, "%llu MiB, of which serve takes %llu%s", all, all / 4,
                   about.totalswap > 0 ? "; there is swap" : "; no swap");
    }
}

static const char *const grades[] = {[GOOD] = "ok", [WEAKER] = "weaker", [BROKEN] = "broken"};

static void print_text(const struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *one = &findings->all[i];
        (void)printf("%-7s %-19s %s\n", grades[one->grade], one->subject, one->says);
        if (one->mend != NULL) {
            (void)printf("%-27s -> %s\n", "", one->mend);
        }
    }
}

static void print_json(const struct findings *findings)
{
    struct buf text;

    buf_init(&text, 64 * 1024);
    struct json_out out = json_begin(&text);
    json_open(&out, '{');
    json_name(&out, "data");
    json_open(&out, '[');
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *one = &findings->all[i];
        json_open(&out, '{');
        json_name(&out, "subject");
        json_text(&out, str_from(one->subject));
        json_name(&out, "grade");
        json_text(&out, str_from(grades[one->grade]));
        json_name(&out, "finding");
        json_text(&out, str_from(one->says));
        json_name(&out, "mend");
        json_text_or_null(&out, str_from(one->mend));
        json_close(&out, '}');
    }
    json_close(&out, ']');
    json_close(&out, '}');
    (void)printf("%.*s\n", STR_FMT(buf_str(&text)));
    buf_clear(&text);
}

/* The rule on which everything stands, once more from the rows. */
static void look_at_admissions(struct findings *findings, const char *dir)
{
    struct admissions_report report;
    struct err err = {""};
    struct finding *one;

    if (admissions_check(dir, ADMISSIONS_LOOKED_AT, &report, &err) != 0) {
        one = doctor_find(findings, WEAKER, "admissions",
                          "run doctor as the user that the data directory belongs to");
        doctor_say(one, "not checked: %s", err.text);
        return;
    }
    bool good = report.over == 0 && report.unreadable == 0;
    one = doctor_find(findings, good ? GOOD : BROKEN, "admissions",
                      good ? NULL
                           : "this must not be: stop the server, keep the data directory, and run "
                             "`keybrake audit verify`");
    if (good) {
        doctor_say(one, "posted + held + asked was within every cap at each of %llu admissions%s",
                   (unsigned long long)report.checked, report.complete ? "" : ", the newest");
    } else {
        doctor_say(one,
                   "of %llu admissions %llu were above a cap and %llu cannot be read; the first is "
                   "row %llu of the audit",
                   (unsigned long long)report.checked, (unsigned long long)report.over,
                   (unsigned long long)report.unreadable, (unsigned long long)report.first);
    }
}

int run_doctor(const struct invocation *invocation)
{
    static struct findings findings; /* large */
    int status = EXIT_DONE;

    look_at_kernel(&findings);
    look_at_sandbox(&findings);
    look_at_secret_memory(&findings);
    look_at_limits(&findings);
    look_at_memory(&findings);
    look_at_disk(&findings, data_directory(invocation));
    look_at_data(&findings, data_directory(invocation));
    look_at_time(&findings);
    if (has_database(data_directory(invocation))) {
        look_at_admissions(&findings, data_directory(invocation));
    }
    doctor_look_at_processes(&findings, data_directory(invocation));
    if (option_given(invocation, "json")) {
        print_json(&findings);
    } else {
        print_text(&findings);
    }
    for (size_t i = 0; i < findings.count; i++) {
        if (findings.all[i].grade == BROKEN) {
            status = EXIT_REFUSED;
        }
    }
    return status;
}
