/* SPDX-License-Identifier: Apache-2.0 */
#include "base/test.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"

static int passed, failed;

void test_check(bool ok, const char *what, const char *expression, const char *file, int line)
{
    if (ok) {
        passed++;
        return;
    }
    failed++;
    (void)printf("%s:%d: not so: %s   %s\n", file, line, expression, what);
}

int test_done(void)
{
    (void)printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}

char *test_directory_new(void)
{
    char in_memory[] = "/dev/shm/keybrake-test-XXXXXX", elsewhere[] = "/tmp/keybrake-test-XXXXXX";
    const char *made = mkdtemp(in_memory);

    if (made == NULL) {
        made = mkdtemp(elsewhere);
    }
    if (made == NULL) {
        abort();
    }
    return mem_copy_str(str_from(made));
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void test_remove(const char *path)
{
    (void)nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void test_directory_free(char *directory)
{
    if (directory != NULL) {
        test_remove(directory);
        free(directory);
    }
}
