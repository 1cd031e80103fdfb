/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that is full, or fails; a process that is killed at any time.
 */
#include <dlfcn.h>
#include <errno.h>
#include <sys/resource.h>

#include "store/testing.h"

static int sync_error;
static unsigned syncs;

int fdatasync(int fd)
{
    static int (*real)(int);

    syncs++;
    if (sync_error != 0) {
        errno = sync_error;
        return -1;
    }
    if (real == NULL) {
        void *found = dlsym(RTLD_NEXT, "fdatasync");
        memcpy(&real, &found, sizeof(real));
    }
    return real(fd);
}

static void put_until_refused(struct store *store, struct digest *head, uint64_t *sequence)
{
    struct err err = {""};
    enum store_result result = STORE_DONE;

    for (int i = 0; i < 100000 && result == STORE_DONE; i++) {
        struct digest before = *head;
        struct message_row_audit row = audit_row(head, *sequence + 1);
        row.detail = STR("a long text, so that pages fill quickly ................................"
                         "..........................................................");
        result = store_put(store, MESSAGE_ROW_AUDIT, &row, &err);
        if (result == STORE_DONE) {
            result = store_commit(store, &err);
        }
        if (result == STORE_DONE) {
            ++*sequence;
        } else {
            *head = before;
        }
    }
    CHECK_CASE(result == STORE_REFUSED, err.text);
    store_rollback(store);
}

static void test_full(void)
{
    char *dir = test_directory_new();
    struct store *store = open_new(dir, 60);
    struct digest head = {{0}};
    uint64_t sequence = 0;
    struct message_loaded loaded;
    struct err err = {""};

    put_until_refused(store, &head, &sequence);
    put_until_refused(store, &head, &sequence);
    CHECK(sequence > 50);
    CHECK(store_checkpoint(store, &err) == STORE_DONE);
    store = reopen(store, dir); /* with room again */
    CHECK(store_loaded(store, &loaded, &err) == 0 && loaded.audit_sequence == sequence);
    struct message_row_audit row = audit_row(&head, sequence + 1);
    put(store, MESSAGE_ROW_AUDIT, &row);
    commit(store);
    store_close(store);
    test_directory_free(dir);
}

/* The same where the system says so: a bound on the size of files, which the log meets first. */
static void test_no_room(void)
{
    char *dir = test_directory_new();
    struct store *store = open_new(dir, 0);
    struct digest head = {{0}};
    uint64_t sequence = 0;
    struct rlimit before, small;

    (void)getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 1024 * 1024;
    (void)setrlimit(RLIMIT_FSIZE, &small);
    put_until_refused(store, &head, &sequence);
    (void)setrlimit(RLIMIT_FSIZE, &before);
    struct message_row_audit row = audit_row(&head, sequence + 1);
    put(store, MESSAGE_ROW_AUDIT, &row);
    commit(store);
    store = reopen(store, dir);
    struct message_loaded loaded;
    struct err err = {""};
    CHECK(store_loaded(store, &loaded, &err) == 0 && loaded.audit_sequence == sequence + 1);
    CHECK(digest_equal(&loaded.audit_head, &head));
    store_close(store);
    test_directory_free(dir);
}

static void test_sync_fails(void)
{
    static const int errors[] = {EIO, ENOSPC, EDQUOT};

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        char *dir = test_directory_new();
        struct store *store = open_new(dir, 0);
        struct message_row_tenant row = {.name = STR("acme")};
        struct err err = {""};

        put(store, MESSAGE_ROW_TENANT, &row);
        commit(store);
        row.name = STR("other");
        put(store, MESSAGE_ROW_TENANT, &row);
        sync_error = errors[i];
        CHECK(store_commit(store, &err) == STORE_BROKEN);
        sync_error = 0;
        unsigned before = syncs; /* for good: nothing is tried again */
        CHECK(store_commit(store, &err) == STORE_BROKEN);
        CHECK(store_put(store, MESSAGE_ROW_TENANT, &row, &err) == STORE_BROKEN);
        CHECK(store_checkpoint(store, &err) == STORE_BROKEN);
        CHECK(syncs == before);
        store = reopen(store, dir);
        int equal;
        CHECK(load_all(store, MESSAGE_ROW_TENANT, NULL, &equal) >= 1);
        store_close(store);
        test_directory_free(dir);
    }
}

/* Each commit is on the disk before it returns. */
static void test_syncs(void)
{
    char *dir = test_directory_new();
    struct store *store = open_new(dir, 0);
    struct message_row_tenant row = {.name = STR("acme")};

    for (int i = 0; i < 3; i++) {
        unsigned before = syncs;
        put(store, MESSAGE_ROW_TENANT, &row);
        CHECK(syncs == before);
        commit(store);
        CHECK(syncs == before + 1 || i == 0);
        CHECK(syncs > before);
    }
    struct err err = {""};
    CHECK(store_log_bytes(store) > 0);
    CHECK(store_checkpoint(store, &err) == STORE_DONE);
    CHECK(store_log_bytes(store) == 0);
    store_close(store);
    test_directory_free(dir);
}

/* Commits batches of three rows that belong together, and says so through `out`. */
static void write_until_killed(const char *dir, int out)
{
    struct err err = {""};
    struct store *store = store_open(dir, 0, &err);
    struct message_loaded loaded;

    if (store == NULL || store_loaded(store, &loaded, &err) < 0) {
        _exit(1);
    }
    for (uint64_t n = loaded.audit_sequence + 1;; n++) {
        struct message_row_audit row = audit_row(&loaded.audit_head, n);
        struct message_row_hold hold = {.hold = n, .state = HOLD_OPEN, .held = (int64_t)n};
        struct message_row_window window = {
            .owner = STR("key_1"), .day = 5, .held = (int64_t)n, .posted = (int64_t)n};
        if (store_put(store, MESSAGE_ROW_HOLD, &hold, &err) != STORE_DONE ||
            store_put(store, MESSAGE_ROW_WINDOW, &window, &err) != STORE_DONE ||
            store_put(store, MESSAGE_ROW_AUDIT, &row, &err) != STORE_DONE ||
            store_commit(store, &err) != STORE_DONE ||
            (n % 64 == 0 && store_checkpoint(store, &err) != STORE_DONE) ||
            write(out, &n, sizeof(n)) != sizeof(n)) {
            _exit(1);
        }
    }
}

static void test_killed(void)
{
    char *dir = test_directory_new();
    uint64_t promised = 0, got;

    store_close(open_new(dir, 0));
    for (int round = 0; round < 12; round++) {
        int ends[2];
        if (pipe(ends) < 0) {
            abort();
        }
        pid_t child = fork();
        if (child == 0) {
            (void)close(ends[0]);
            write_until_killed(dir, ends[1]);
        }
        (void)close(ends[1]);
        (void)usleep(20000 + (useconds_t)round * 7000);
        (void)kill(child, SIGKILL);
        while (read(ends[0], &got, sizeof(got)) == sizeof(got)) {
            promised = got;
        }
        (void)close(ends[0]);
        (void)waitpid(child, NULL, 0);

        struct err err = {""};
        struct message_loaded loaded;
        struct store *store = store_open(dir, 0, &err);
        CHECK_CASE(store != NULL, err.text);
        CHECK(store_loaded(store, &loaded, &err) == 0);
        CHECK(loaded.audit_sequence >= promised && loaded.audit_sequence <= promised + 1);
        promised = loaded.audit_sequence;
        store_close(store);
        CHECK(ask(dir, "SELECT total(last - first + 1) FROM audit") == (int64_t)promised);
        CHECK(ask(dir, "SELECT count(*) FROM holds") == (int64_t)promised);
        CHECK(promised == 0 || ask(dir, "SELECT held FROM windows") == (int64_t)promised);
        CHECK(ask(dir,
                  "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'") == 1);
    }
    CHECK(promised > 10);
    test_directory_free(dir);
}

int main(void)
{
    (void)signal(SIGXFSZ, SIG_IGN);
    test_full();
    test_no_room();
    test_sync_fails();
    test_syncs();
    test_killed();
    return test_done();
}
