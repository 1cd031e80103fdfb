/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are not right: refused, and by name.
 */
#include "store/testing.h"

static void test_refused_files(void)
{
    static const char spoil_table[] = "PRAGMA writable_schema = ON; UPDATE sqlite_schema"
                                      " SET sql = replace(sql, 'STRICT', '') WHERE name = 'audit'";
    static const char *const spoilings[] = {
        "PRAGMA application_id = 1",
        "PRAGMA user_version = 1",
        "PRAGMA user_version = 0",
        "CREATE TRIGGER t AFTER INSERT ON audit BEGIN DELETE FROM audit; END",
        "CREATE TABLE more(a)",
        "CREATE VIEW v AS SELECT 1",
        "DROP INDEX keys_label",
        "ALTER TABLE meta ADD COLUMN x INTEGER",
        "DROP TABLE holds",
        spoil_table,
    };
    for (size_t i = 0; i < sizeof(spoilings) / sizeof(spoilings[0]); i++) {
        char *dir = test_directory_new();
        struct err err = {""};
        store_close(open_new(dir, 0));
        spoil(dir, spoilings[i]);
        struct store *store = store_open(dir, 0, &err);
        CHECK_CASE(store == NULL && err.text[0] != '\0', spoilings[i]);
        store_close(store);
        test_directory_free(dir);
    }
}

/* A row that changed by itself is not taken for what it was. */
static void test_damaged_rows(void)
{
    static const char *const damages[] = {
        "UPDATE windows SET posted = 0",
        "UPDATE windows SET checksum = checksum + 1",
        "UPDATE meta SET value = 'x' WHERE name = 'signing_public_key'",
        "UPDATE keys SET policy = x'00'",
        "UPDATE keys SET status = 9",
        "UPDATE keys SET token_digest = x'0102'",
        "UPDATE operators SET role = 2",
        "UPDATE credentials SET allow_private = 2",
        "UPDATE credentials SET upstream = 'http://localhost'",
    };
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        char *dir = test_directory_new();
        struct store *store = open_new(dir, 0);
        struct message_row_window window = {.owner = STR("a"), .day = 1, .posted = 5};
        struct message_row_credential credential = {.credential = 1};
        struct err err = {""};
        enum message_type type;
        const void *row;
        int rc;

        put(store, MESSAGE_ROW_WINDOW, &window);
        put(store, MESSAGE_ROW_CREDENTIAL, &credential);
        put_key(store, 1, KEY_ACTIVE, 0, 0);
        commit(store);
        store_close(store);
        spoil(dir, damages[i]);
        store = store_open(dir, 0, &err);
        CHECK_CASE(store != NULL, err.text);
        while ((rc = store_load(store, &type, &row, &err)) == 1) {
        }
        CHECK_CASE(rc < 0 && str_has(str_from(err.text), STR("damaged")), damages[i]);
        store_close(store);
        test_directory_free(dir);
    }
}

static int load_bytes(struct store *store, struct buf *out)
{
    struct err err;
    enum message_type type;
    const void *row;
    int rc;

    buf_cut(out, 0);
    while ((rc = store_load(store, &type, &row, &err)) == 1) {
        (void)buf_add_char(out, (char)type);
        (void)wire_encode(message_schema(type), row, out);
    }
    return rc;
}

/* A bit that flips anywhere in the file is either noticed or changes nothing that is loaded. */
static void test_flipped_bits(void)
{
    char *dir = test_directory_new();
    struct store *store = open_new(dir, 0);
    struct buf good, now;
    struct err err = {""};
    int refused = 0, other = 0;

    buf_init(&good, 1 << 24);
    buf_init(&now, 1 << 24);
    for (uint64_t i = 1; i <= 60; i++) {
        struct message_row_window window = {.owner = str_of(&i, sizeof(i)), .day = 9, .posted = 5};
        struct message_row_hold hold = {.hold = i, .key = i, .held = 5};
        struct message_row_idempotency record = {.hold = i};
        memcpy(record.scope.bytes, &i, sizeof(i));
        put_key(store, i, KEY_ACTIVE, 0, 0);
        put(store, MESSAGE_ROW_WINDOW, &window);
        put(store, MESSAGE_ROW_HOLD, &hold);
        put(store, MESSAGE_ROW_IDEMPOTENCY, &record);
    }
    commit(store);
    CHECK(load_bytes(store, &good) == 0);
    store_close(store); /* the log is in the file now */
    char *path = db_path(dir, &err);
    FILE *file = fopen(path, "r+");
    CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0);
    long size = ftell(file);
    unsigned char *kept = mem_zeroed((size_t)size);
    rewind(file);
    CHECK(fread(kept, 1, (size_t)size, file) == (size_t)size);
    for (long at = 1; at < size; at += 397) {
        unsigned char flipped = kept[at] ^ (unsigned char)(1 << at % 8);
        CHECK(fseek(file, at, SEEK_SET) == 0 && fputc(flipped, file) != EOF && fflush(file) == 0);
        store = store_open(dir, 0, &err);
        if (store == NULL || load_bytes(store, &now) < 0) {
            refused++;
        } else if (!str_equal(buf_str(&now), buf_str(&good))) {
            other++;
        }
        store_close(store);
        rewind(file);
        CHECK(fwrite(kept, 1, (size_t)size, file) == (size_t)size && fflush(file) == 0);
    }
    CHECK(refused > 20);
    CHECK(other == 0);
    free(kept);
    free(path);
    (void)fclose(file);
    buf_clear(&good);
    buf_clear(&now);
    test_directory_free(dir);
}

static void test_places(void)
{
    char *dir = test_directory_new();
    struct err err = {""};
    char path[64], link[64];
    struct stat status;

    CHECK(store_open(dir, 0, &err) == NULL);
    CHECK(create("/nowhere/at/all", &err) < 0);
    struct store *store = open_new(dir, 0);
    CHECK(store_open(dir, 0, &err) == NULL); /* one server at a time */
    CHECK(str_has(str_from(err.text), STR("another keybrake")));
    CHECK(create(dir, &err) < 0); /* never over one that is there */
    store_close(store);
    (void)snprintf(path, sizeof(path), "%s/db/keybrake.db", dir);
    CHECK(stat(path, &status) == 0 && (status.st_mode & 07777) == 0600);
    (void)snprintf(link, sizeof(link), "%s/db", dir);
    CHECK(stat(link, &status) == 0 && (status.st_mode & 07777) == 0700);

    /* A link in place of the file is not followed; one above the directory is. */
    (void)snprintf(link, sizeof(link), "%s/elsewhere", dir);
    CHECK(rename(path, link) == 0 && symlink(link, path) == 0);
    CHECK(store_open(dir, 0, &err) == NULL);
    CHECK(unlink(path) == 0 && rename(link, path) == 0);
    CHECK(symlink(dir, link) == 0);
    store = store_open(link, 0, &err);
    CHECK_CASE(store != NULL, err.text);
    store_close(store);
    test_directory_free(dir);
}

/* An init that was cut short leaves nothing in the way. */
static void test_create_again(void)
{
    char *dir = test_directory_new();
    struct err err = {""};
    char path[64];

    (void)snprintf(path, sizeof(path), "%s/db", dir);
    CHECK(mkdir(path, 0700) == 0);
    (void)snprintf(path, sizeof(path), "%s/db/keybrake.db.new", dir);
    FILE *left = fopen(path, "w");
    CHECK(left != NULL && fputs("half", left) >= 0 && fclose(left) == 0);
    CHECK_CASE(create(dir, &err) == 0, err.text);
    CHECK(access(path, F_OK) < 0);
    test_directory_free(dir);
}

int main(void)
{
    test_refused_files();
    test_damaged_rows();
    test_flipped_bits();
    test_places();
    test_create_again();
    return test_done();
}
