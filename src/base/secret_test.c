/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/test.h"

static void test_sizes(void)
{
    static const size_t sizes[] = {1, 16, 4095, 4096, 4097, 100000};
    struct err err;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct secret secret = {0};
        CHECK(secret_new(&secret, sizes[i], &err) == 0);
        CHECK(secret.size == sizes[i]);
        memset(secret.data, 0xa5, sizes[i]);
        CHECK(secret.data[sizes[i] - 1] == 0xa5);
        secret_clear(&secret);
        CHECK(secret.data == NULL && secret.size == 0);
        secret_clear(&secret);
    }
    struct secret none = {0};
    CHECK(secret_new(&none, 0, &err) == -1);
    CHECK(secret_new(&none, (size_t)SECRET_SIZE_MAX + 1, &err) == -1);
    CHECK(none.data == NULL);
}

/* What a child sees of a secret of its parent: 0 the same, 1 something else, 2 it may not look. */
static int seen_by_child(const struct secret *secret, ptrdiff_t offset)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        (void)signal(SIGBUS, SIG_DFL);
        const volatile unsigned char *at = secret->data;
        _exit(at[offset] == 0xa5 ? 0 : 1);
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) < 2 ? WEXITSTATUS(status) : 2;
}

static void test_guards(void)
{
    struct secret secret = {0};
    struct err err;

    CHECK(secret_new(&secret, 4096, &err) == 0);
    memset(secret.data, 0xa5, 4096);
    CHECK(seen_by_child(&secret, 4096) == 2); /* behind it */
    CHECK(seen_by_child(&secret, -1) == 2);   /* before it */
    secret_clear(&secret);
}

static void test_handing_over(void)
{
    struct secret mine = {0};
    struct secret theirs = {0};
    struct err err;
    int fd = secret_fd_new(100, &err);

    CHECK(fd >= 0);
    CHECK(secret_map_fd(&mine, fd, 100, &err) == 0);
    memcpy(mine.data, "handed over", 12);
    CHECK(secret_map_fd(&theirs, fd, 100, &err) == 0);
    CHECK(memcmp(theirs.data, "handed over", 12) == 0);
    secret_clear(&theirs);
    /* Clearing wipes the pages, whoever else has them: a receiver does not clear what it got. */
    CHECK(mine.data[0] == 0);
    secret_clear(&mine);
    (void)close(fd);
}

int main(void)
{
    test_sizes();
    test_guards();
    test_handing_over();
    return test_done();
}
