/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/cgroup.h"

#include <string.h>

#include "base/test.h"

/* What limits do, tests/test_run.py shows where groups can be made. */
static void test_places(void)
{
    static const char hybrid[] =
        "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
    static const char unified[] =
        "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 master:1 - cgroup2 cgroup2 rw,nsdelegate\n";
    static const char container[] =
        "700 699 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
        "701 699 0:38 /.. /sys/fs/cgroup/unified ro - cgroup2 cgroup rw\n";
    static const char self[] =
        "9:name=systemd:/\n4:memory:/a/b\n2:cpu,cpuacct:/\n0::/user.slice/x\n";
    static const struct {
        const char *mountinfo, *self, *controller, *place; /* NULL: none */
    } cases[] = {
        {hybrid, self, "memory", "/sys/fs/cgroup/memory/a/b"},
        {hybrid, self, "cpu", "/sys/fs/cgroup/cpu,cpuacct"},
        {hybrid, self, "cpuacct", "/sys/fs/cgroup/cpu,cpuacct"},
        {hybrid, self, "", "/sys/fs/cgroup/unified/user.slice/x"},
        {hybrid, self, "pids", NULL},
        {hybrid, self, "mem", NULL},
        {hybrid, "0::/\n", "", "/sys/fs/cgroup/unified"},
        {hybrid, "0::\n", "", NULL},
        {hybrid, "0:x:/\n", "", NULL},
        {hybrid, "", "", NULL},
        {unified, self, "", "/sys/fs/cgroup/user.slice/x"},
        {unified, self, "memory", NULL},
        {unified, "0::/../other\n", "", NULL},
        {container, "4:memory:/docker/abc\n", "memory", "/sys/fs/cgroup/memory"},
        {container, "4:memory:/docker/abc/d\n", "memory", "/sys/fs/cgroup/memory/d"},
        {container, "4:memory:/docker/xyz\n", "memory", NULL},
        {container, "0::/x\n", "", NULL},
        {"", self, "", NULL},
        {"1 2 3\n", self, "", NULL},
        {"29 23 0:26 / /a\\040b rw - cgroup2 cgroup2 rw\n", "0::/x\n", "", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char place[CGROUP_PATH_BYTES] = "";
        bool found = cgroup_place(str_from(cases[i].mountinfo), str_from(cases[i].self),
                                  str_from(cases[i].controller), place, sizeof(place));
        CHECK_CASE(found == (cases[i].place != NULL), cases[i].self);
        CHECK_CASE(cases[i].place == NULL || strcmp(place, cases[i].place) == 0, place);
    }
}

static void test_too_long(void)
{
    char place[8];

    CHECK(!cgroup_place(STR("29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
                        STR("0::/x\n"), STR_NONE, place, sizeof(place)));
}

static void test_nothing_to_close(void)
{
    struct cgroup none = {.count = 0};

    cgroup_close(&none);
    CHECK(none.count == 0);
}

int main(void)
{
    test_places();
    test_too_long();
    test_nothing_to_close();
    return test_done();
}
