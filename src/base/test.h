/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test: what a unit test needs.  A program runs its cases and returns test_done(), which prints
 * "N passed, N failed".
 */
#ifndef BASE_TEST_H
#define BASE_TEST_H

#include <stdbool.h>

void test_check(bool ok, const char *what, const char *expression, const char *file, int line);
int test_done(void); /* what main returns */

/* A new directory; in memory where that can be, since no test is about how fast a disk is.
 * test_directory_free() removes it with all that is in it; takes NULL too. */
char *test_directory_new(void);
void test_directory_free(char *directory);
void test_remove(const char *path); /* whatever it is, with all that is in it */

#define CHECK(e) test_check((e), "", #e, __FILE__, __LINE__)
/* `what` names the case of a table. */
#define CHECK_CASE(e, what) test_check((e), (what), #e, __FILE__, __LINE__)

#endif
