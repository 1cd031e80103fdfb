/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/files.h"

#include "base/test.h"

/* What may be shown; what is built of it, tests/test_run.py looks at from inside. */
static void test_what_may_be_shown(void)
{
    static const struct {
        const char *directory, *writable, *readable, *hidden;
        bool good;
    } cases[] = {
        {"/work/project", NULL, NULL, NULL, true},
        {"/home/me/project", NULL, NULL, NULL, true},
        {"/usr/share/doc", NULL, NULL, NULL, true}, /* is there anyway */
        {"/home/me", NULL, NULL, NULL, false},
        {"/home", NULL, NULL, NULL, false},
        {"/", NULL, NULL, NULL, false},
        {"/root", NULL, NULL, NULL, false},
        {"/tmp", NULL, NULL, NULL, false},
        {"/var/lib", NULL, NULL, NULL, false},
        {"/home/me/.ssh", NULL, NULL, NULL, false},
        {"/home/me/.aws/sso", NULL, NULL, NULL, false},
        {"/home/me/.config/gcloud", NULL, NULL, NULL, false},
        {"/home/me/.sshfs", NULL, NULL, NULL, true}, /* only begins like it */
        {"/work/project", "/work/project/out", NULL, NULL, true},
        {"/work/project", "/", NULL, NULL, false},
        {"/work/project", "/etc", NULL, NULL, false},
        {"/work/project", "/usr/local", NULL, NULL, false},
        {"/work/project", "/home/me", NULL, NULL, false},
        {"/work/project", "/home/me/.ssh", NULL, NULL, false},
        {"/work/project", NULL, "/home/me/.nvm", NULL, true},
        {"/work/project", NULL, "/run/docker.sock", NULL, false},
        {"/work/project", NULL, "/proc/1", NULL, false},
        {"/work/project", NULL, "/sys", NULL, false},
        {"/work/project", NULL, NULL, "/work/project/data", true},
        {"/work/project", NULL, NULL, "/work/project", false},
        {"/work/project", NULL, NULL, "/work", false},
        {"/work/project", "/data/run", NULL, "/data", false},
        {"/work/project", NULL, "/data/vault", "/data", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = {""};
        struct files_plan plan = {
            .directory = cases[i].directory,
            .writable = &cases[i].writable,
            .writable_count = cases[i].writable != NULL,
            .readable = &cases[i].readable,
            .readable_count = cases[i].readable != NULL,
            .hidden = &cases[i].hidden,
            .hidden_count = cases[i].hidden != NULL,
        };
        bool good = files_check(&plan, "/home/me", &err) == 0;
        CHECK_CASE(good == cases[i].good, cases[i].directory);
        CHECK_CASE(good || err.text[0] != '\0', cases[i].directory);
    }
}

static void test_without_a_home(void)
{
    struct files_plan plan = {.directory = "/work/project"};
    struct err err;

    CHECK(files_check(&plan, NULL, &err) == 0);
    CHECK(files_check(&plan, "/", &err) == 0);
}

int main(void)
{
    test_what_may_be_shown();
    test_without_a_home();
    return test_done();
}
