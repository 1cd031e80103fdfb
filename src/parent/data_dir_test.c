/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/data_dir.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/test.h"

static char directory[] = "/tmp/data-dir-test-XXXXXX";

static const char *below(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static bool refuses(const char *path, const char *why)
{
    struct err err = {""};
    int lock = data_dir_claim(path, &err);

    if (lock >= 0) {
        (void)close(lock);
        return false;
    }
    return strstr(err.text, why) != NULL;
}

static void test_claim(void)
{
    struct err err;

    CHECK(refuses(below("nothing"), "keybrake init"));
    CHECK(refuses(directory, "keybrake init"));
    (void)mkdir(below("vault"), 0700);
    (void)mkdir(below("db"), 0700);
    (void)chmod(directory, 0770);
    CHECK(refuses(directory, "chmod 700"));
    (void)chmod(directory, 0700);
    int lock = data_dir_claim(directory, &err);
    CHECK(lock >= 0);
    CHECK(access(below("run"), F_OK) == 0);
    CHECK(refuses(directory, "already"));
    (void)close(lock);
    lock = data_dir_claim(directory, &err);
    CHECK(lock >= 0);
    (void)close(lock);
}

static uid_t owner_of(const char *path)
{
    struct stat about = {.st_uid = (uid_t)-1};
    (void)stat(path, &about);
    return about.st_uid;
}

static void test_give(void)
{
    struct err err;

    if (geteuid() != 0) {
        CHECK(data_dir_give(directory, "whoever", &err) == 0);
        return;
    }
    (void)close(open(below("db/keybrake.db"), O_CREAT | O_WRONLY, 0600));
    (void)close(open(below("vault/key"), O_CREAT | O_WRONLY, 0600));
    CHECK(symlink("/etc/passwd", below("db/link")) == 0);
    CHECK(data_dir_give(directory, "no-such-user", &err) == -1);
    CHECK(data_dir_give(directory, "65534", &err) == 0);
    CHECK(owner_of(directory) == 0 && owner_of(below("db")) == 65534);
    CHECK(owner_of(below("db/keybrake.db")) == 65534);
    CHECK(owner_of(below("vault")) == 0 && owner_of(below("vault/key")) == 0);
    CHECK(owner_of(below("run")) == 0 && owner_of("/etc/passwd") == 0);
    /* A second name of somebody else's file is not a way to own it. */
    char key[128];
    (void)snprintf(key, sizeof(key), "%s/vault/key", directory);
    CHECK(link(key, below("db/mine")) == 0);
    CHECK(data_dir_give(directory, "65534", &err) == -1 && strstr(err.text, "2 names") != NULL);
    CHECK(owner_of(key) == 0);
    (void)unlink(below("db/mine"));
    CHECK(data_dir_give(directory, "", &err) == 0);
    CHECK(owner_of(directory) == 0 && owner_of(below("db/keybrake.db")) == 0);
}

static void remove_all(void)
{
    static const char *const names[] = {"db/keybrake.db", "db/link", "vault/key", "run/lock", "db",
                                        "vault",          "run"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)remove(below(names[i]));
    }
    (void)rmdir(directory);
}

int main(void)
{
    CHECK(mkdtemp(directory) != NULL);
    test_claim();
    test_give();
    remove_all();
    return test_done();
}
