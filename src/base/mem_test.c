/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/test.h"

static void too_large(void)
{
    free(mem_grow(NULL, SIZE_MAX / 2, 4));
}

static void too_many(void)
{
    free(mem_array(SIZE_MAX / 2, 4));
}

static int signal_of(void (*run)(void))
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)close(STDERR_FILENO);
        run();
        _exit(0);
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

int main(void)
{
    unsigned char *zeroed = mem_zeroed(0);
    char *text = mem_copy_str(STR("abc"));
    char *copy = mem_copy("xyz", 3);

    CHECK(zeroed != NULL && zeroed[0] == 0);
    CHECK(strcmp(text, "abc") == 0 && memcmp(copy, "xyz", 3) == 0);
    text = mem_grow(text, 100, 1);
    CHECK(strcmp(text, "abc") == 0);
    mem_wipe(copy, 3);
    CHECK(memcmp(copy, "\0\0\0", 3) == 0);
    mem_wipe(NULL, 0);
    CHECK(mem_equal_consttime("abc", "abc", 3) && !mem_equal_consttime("abc", "abd", 3));
    CHECK(!mem_equal_consttime("abc", "Abc", 3) && mem_equal_consttime(NULL, NULL, 0));
    CHECK(signal_of(too_large) == SIGABRT);
#ifndef KEYBRAKE_SANITIZE /* which has its own word for it */
    CHECK(signal_of(too_many) == SIGABRT);
#else
    (void)too_many;
#endif
    free(mem_copy(NULL, 0));
    free(zeroed);
    free(text);
    free(copy);
    return test_done();
}
