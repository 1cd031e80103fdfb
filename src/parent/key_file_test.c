/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/key_file.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/test.h"

enum { PLAIN_BYTES_MAX = 1024 };

static char directory[] = "/tmp/key-file-test-XXXXXX";
static char path[64];

static int read_back(struct str passphrase, struct secret *key, struct err *err)
{
    struct key_file file = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = key_file_read(&file, fd, path, err);

    (void)close(fd);
    if (rc == 0) {
        rc = key_file_open(&file, passphrase, key, err);
    }
    key_file_clear(&file);
    return rc;
}

static void write_bytes(const unsigned char *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    CHECK(write(fd, bytes, size) == (ssize_t)size);
    (void)close(fd);
}

static size_t read_bytes(unsigned char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = read(fd, out, size);

    (void)close(fd);
    return got < 0 ? 0 : (size_t)got;
}

static void test_round_trips(const struct secret *key, struct str passphrase)
{
    struct secret back = {0};
    struct err err;
    struct stat about;
    unsigned char bytes[1024];

    CHECK(key_file_write(path, key, passphrase, &err) == 0);
    CHECK(stat(path, &about) == 0 && (about.st_mode & 0777) == 0600);
    CHECK(secret_new(&back, sizeof(struct vault_key), &err) == 0);
    CHECK(read_back(passphrase, &back, &err) == 0);
    CHECK(memcmp(back.data, key->data, key->size) == 0);
    /* Sealed means sealed. */
    size_t size = read_bytes(bytes, sizeof(bytes));
    const struct vault_key *plain = (const struct vault_key *)(void *)key->data;
    bool seen = memmem(bytes, size, plain->box_secret, 32) != NULL ||
                memmem(bytes, size, plain->sign_secret, 32) != NULL;
    CHECK(seen == (passphrase.len == 0));
    CHECK(key_file_write(path, key, passphrase, &err) == -1); /* never over another */
    /* A file that others may read is refused. */
    (void)chmod(path, 0640);
    CHECK(read_back(passphrase, &back, &err) == -1 && strstr(err.text, "chmod 600") != NULL);
    (void)chmod(path, 0600);
    if (passphrase.len > 0) {
        CHECK(read_back(STR("another passphrase"), &back, &err) == -1);
        CHECK(strstr(err.text, "passphrase is wrong") != NULL);
    }
    secret_clear(&back);
}

/* Any bit that changes anywhere, and any cut, is found. */
static void test_damage(struct str passphrase, size_t step)
{
    struct secret back = {0};
    struct err err;
    unsigned char bytes[1024];
    size_t size = read_bytes(bytes, sizeof(bytes));
    unsigned found = 0;
    unsigned tried = 0;

    CHECK(secret_new(&back, sizeof(struct vault_key), &err) == 0);
    for (size_t at = 0; at < size; at += step) {
        bytes[at] ^= 0x10;
        write_bytes(bytes, size);
        found += read_back(passphrase, &back, &err) == -1;
        tried++;
        bytes[at] ^= 0x10;
    }
    CHECK(tried > 0 && found == tried);
    for (size_t len = 0; len < size; len += 17) {
        write_bytes(bytes, len);
        CHECK(read_back(passphrase, &back, &err) == -1);
    }
    bytes[size] = 0;
    write_bytes(bytes, size + 1);
    CHECK(read_back(passphrase, &back, &err) == -1);
    secret_clear(&back);
    (void)unlink(path);
}

/* What is sealed before a change opens during it; after it only what was sealed since. */
static void test_change(struct secret *key, struct str passphrase)
{
    struct vault_key *pairs = (struct vault_key *)(void *)key->data;
    unsigned char before[5 + crypto_box_SEALBYTES], after[5 + crypto_box_SEALBYTES];
    struct secret back = {0}, clear = {0};
    struct err err;

    CHECK(crypto_box_seal(before, (const unsigned char *)"older", 5, pairs->box_public) == 0);
    CHECK(key_file_write(path, key, STR_NONE, &err) == 0);
    int older = open(path, O_RDONLY | O_CLOEXEC);
    key_file_change(key);
    CHECK(key_file_replace(path, key, passphrase, &err) == 0);
    CHECK(crypto_box_seal(after, (const unsigned char *)"newer", 5, pairs->box_public) == 0);
    /* Whoever still has the older file open reads nothing in it. */
    char gone[PLAIN_BYTES_MAX];
    ssize_t size = read(older, gone, sizeof(gone));
    CHECK(size > 100 && sodium_is_zero((const unsigned char *)gone, (size_t)size) == 1);
    (void)close(older);

    CHECK(secret_new(&back, sizeof(struct vault_key), &err) == 0);
    CHECK(read_back(passphrase, &back, &err) == 0);
    CHECK(memcmp(back.data, key->data, key->size) == 0);
    const struct vault_key *read = (const struct vault_key *)(void *)back.data;
    CHECK(vault_key_open(read, str_of(before, sizeof(before)), "it", &clear, &err) == 0);
    CHECK(clear.size == 5 && memcmp(clear.data, "older", 5) == 0);
    secret_clear(&clear);
    CHECK(vault_key_open(read, str_of(after, sizeof(after)), "it", &clear, &err) == 0);
    CHECK(clear.size == 5 && memcmp(clear.data, "newer", 5) == 0);
    secret_clear(&clear);

    key_file_changed(key);
    CHECK(key_file_replace(path, key, passphrase, &err) == 0);
    CHECK(read_back(passphrase, &back, &err) == 0);
    CHECK(vault_key_open(read, str_of(after, sizeof(after)), "it", &clear, &err) == 0);
    secret_clear(&clear);
    CHECK(vault_key_open(read, str_of(before, sizeof(before)), "it", &clear, &err) == -1);
    CHECK(strcmp(err.text, "it is not sealed to this server's key") == 0 && clear.data == NULL);
    CHECK(vault_key_open(read, str_of(after, crypto_box_SEALBYTES), "it", &clear, &err) == -1);
    secret_clear(&back);
    (void)unlink(path);
    CHECK(key_file_replace(path, key, passphrase, &err) == -1); /* there is none */
}

/* The file that a keybrake of before wrote for the same pairs: today's without the previous pair.
 */
static void write_older(const struct secret *key, struct str passphrase)
{
    const struct vault_key *now = (const struct vault_key *)(void *)key->data;
    unsigned char bytes[PLAIN_BYTES_MAX] = "keybrake vault key 1 plain\n", older[168] = {1};
    size_t size = strlen((const char *)bytes);

    memcpy(older + 8, now->box_public, 32);
    memcpy(older + 40, now->box_secret, 32);
    memcpy(older + 72, now->sign_public, 32);
    memcpy(older + 104, now->sign_secret, 64);
    if (passphrase.len == 0) {
        memcpy(bytes + size, older, sizeof(older));
        size += sizeof(older);
    } else {
        unsigned char box_key[crypto_secretbox_KEYBYTES];
        unsigned char *salt = bytes + 28 + 16, *nonce = salt + crypto_pwhash_SALTBYTES;
        memcpy(bytes, "keybrake vault key 1 sealed\n", 28);
        bytes[28] = 1; /* opslimit; memlimit is 64 KiB */
        bytes[28 + 8 + 2] = 1;
        CHECK(crypto_pwhash(box_key, sizeof(box_key), passphrase.data, passphrase.len, salt, 1,
                            65536, crypto_pwhash_ALG_ARGON2ID13) == 0);
        CHECK(crypto_secretbox_easy(nonce + crypto_secretbox_NONCEBYTES, older, sizeof(older),
                                    nonce, box_key) == 0);
        size = 28 + 16 + crypto_pwhash_SALTBYTES + crypto_secretbox_NONCEBYTES +
               crypto_secretbox_MACBYTES + sizeof(older);
    }
    write_bytes(bytes, size);
}

static void test_older(const struct secret *key, struct str passphrase)
{
    struct secret back = {0};
    struct err err;

    write_older(key, passphrase);
    CHECK(secret_new(&back, sizeof(struct vault_key), &err) == 0);
    CHECK(read_back(passphrase, &back, &err) == 0);
    CHECK(memcmp(back.data, key->data, key->size) == 0);
    if (passphrase.len > 0) {
        CHECK(read_back(STR("another passphrase"), &back, &err) == -1);
    }
    secret_clear(&back);
    test_damage(passphrase, passphrase.len == 0 ? 1 : 149);
}

static void test_passphrases(const struct secret *key)
{
    struct err err;
    static char longer[PASSPHRASE_BYTES_MAX + 1];

    memset(longer, 'x', sizeof(longer));
    CHECK(key_file_write(path, key, STR("short"), &err) == -1);
    CHECK(key_file_write(path, key, str_of(longer, sizeof(longer)), &err) == -1);
    CHECK(access(path, F_OK) < 0);
}

int main(void)
{
    struct secret key = {0};
    struct err err;

    CHECK(mkdtemp(directory) != NULL);
    (void)snprintf(path, sizeof(path), "%s/key", directory);
    CHECK(key_file_make(&key, &err) == 0 && key.size == sizeof(struct vault_key));
    test_passphrases(&key);
    test_round_trips(&key, STR_NONE);
    test_damage(STR_NONE, 1);
    test_round_trips(&key, STR("correct horse"));
    test_damage(STR("correct horse"), 149);
    test_older(&key, STR_NONE);
    test_older(&key, STR("correct horse"));
    test_change(&key, STR_NONE);
    test_change(&key, STR("correct horse"));
    key_file_change(&key);
    test_round_trips(&key, STR_NONE);
    test_damage(STR_NONE, 1);
    secret_clear(&key);
    (void)rmdir(directory);
    return test_done();
}
