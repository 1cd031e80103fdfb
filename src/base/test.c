/* SPDX-License-Identifier: Apache-2.0 */
#include "base/test.h"

#include <stdio.h>

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
