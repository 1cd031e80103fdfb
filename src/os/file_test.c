/* SPDX-License-Identifier: Apache-2.0 */
#include "os/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/test.h"

static char directory[] = "/tmp/file-test-XXXXXX";
static char path[64], fresh[72];

static bool holds(const char *file, const char *text)
{
    char bytes[64];
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));

    if (fd >= 0) {
        (void)close(fd);
    }
    return got == (ssize_t)strlen(text) && memcmp(bytes, text, strlen(text)) == 0;
}

static void test_new(void)
{
    struct err err = {""};
    struct stat about;

    CHECK(file_write_new(path, 0600, STR("one"), &err) == 0);
    CHECK(holds(path, "one"));
    CHECK(stat(path, &about) == 0 && (about.st_mode & 0777) == 0600);
    CHECK(file_write_new(path, 0600, STR("two"), &err) == -1);
    CHECK(strstr(err.text, "File exists") != NULL && holds(path, "one"));
    CHECK(file_write_new("/tmp/no such directory/x", 0600, STR("x"), &err) == -1);
}

static void test_replace(void)
{
    struct err err = {""};
    struct stat about;

    CHECK(file_write_new(fresh, 0600, STR("left by a crash"), &err) == 0);
    CHECK(file_replace(path, 0640, STR("three"), &err) == 0);
    CHECK(holds(path, "three") && access(fresh, F_OK) < 0);
    CHECK(stat(path, &about) == 0 && (about.st_mode & 0777) == 0640);
    CHECK(unlink(path) == 0 && file_replace(path, 0600, STR("four"), &err) == 0);
    CHECK(holds(path, "four"));
    /* A link is replaced, not followed. */
    CHECK(unlink(path) == 0 && symlink("elsewhere", path) == 0);
    CHECK(file_replace(path, 0600, STR("five"), &err) == 0);
    CHECK(lstat(path, &about) == 0 && S_ISREG(about.st_mode) && holds(path, "five"));
    CHECK(file_replace("/tmp/no such directory/x", 0600, STR("x"), &err) == -1);
    CHECK(strstr(err.text, "no such directory") != NULL);
    /* What cannot be replaced stays, and nothing is left beside it. */
    CHECK(unlink(path) == 0 && mkdir(path, 0700) == 0);
    CHECK(file_replace(path, 0600, STR("six"), &err) == -1 && access(fresh, F_OK) < 0);
    CHECK(rmdir(path) == 0);
}

static void test_directory(void)
{
    struct err err = {""};

    CHECK(file_sync_directory(directory, &err) == 0);
    CHECK(file_sync_directory("/tmp/no such directory", &err) == -1);
}

int main(void)
{
    if (mkdtemp(directory) == NULL) {
        return EXIT_FAILURE;
    }
    (void)snprintf(path, sizeof(path), "%s/a", directory);
    (void)snprintf(fresh, sizeof(fresh), "%s.new", path);
    test_new();
    test_replace();
    test_directory();
    (void)rmdir(directory);
    return test_done();
}
