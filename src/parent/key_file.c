/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/key_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/file.h"

#define PLAIN_LINE "keybrake vault key 2 plain\n"
#define SEALED_LINE "keybrake vault key 2 sealed\n"
/* As keybrake wrote it before there was a change of pairs: read, never written.  Lines and what
 * stands before the box are as long as today's. */
#define PLAIN_LINE_1 "keybrake vault key 1 plain\n"
#define SEALED_LINE_1 "keybrake vault key 1 sealed\n"

struct vault_key_1 {
    uint32_t version, reserved;
    unsigned char box_public[32], box_secret[32], sign_public[32], sign_secret[64];
};

/* What follows the line of a sealed file; all bytes, so without padding. */
struct sealed {
    unsigned char opslimit[8], memlimit[8]; /* little-endian */
    unsigned char salt[crypto_pwhash_SALTBYTES];
    unsigned char nonce[crypto_secretbox_NONCEBYTES];
    unsigned char box[crypto_secretbox_MACBYTES + sizeof(struct vault_key)];
};

enum {
    PLAIN_SIZE = sizeof(PLAIN_LINE) - 1 + sizeof(struct vault_key),
    SEALED_SIZE = sizeof(SEALED_LINE) - 1 + sizeof(struct sealed),
    LESS_IN_1 = sizeof(struct vault_key) - sizeof(struct vault_key_1),
    FILE_SIZE_MAX = SEALED_SIZE,
    /* What a file may ask of us; ours ask for libsodium's MODERATE. */
    OPSLIMIT_MAX = 16,
};
#define MEMLIMIT_MAX (1024ull * 1024 * 1024)

static void put_u64(unsigned char *out, uint64_t value)
{
    for (size_t i = 0; i < 8; i++) {
        out[i] = (unsigned char)(value >> (8 * i));
    }
}

static uint64_t get_u64(const unsigned char *in)
{
    uint64_t value = 0;

    for (size_t i = 0; i < 8; i++) {
        value |= (uint64_t)in[i] << (8 * i);
    }
    return value;
}

int key_file_make(struct secret *ret_key, struct err *err)
{
    if (sodium_init() < 0) {
        return err_set(err, "libsodium cannot be used here");
    }
    if (secret_new(ret_key, sizeof(struct vault_key), err) < 0) {
        return -1;
    }
    struct vault_key *key = (struct vault_key *)(void *)ret_key->data;
    key->version = VAULT_KEY_VERSION;
    (void)crypto_box_keypair(key->box_public, key->box_secret);
    (void)crypto_sign_keypair(key->sign_public, key->sign_secret);
    return 0;
}

static int derive(struct secret *ret_key, struct str passphrase, const struct sealed *sealed,
                  struct err *err)
{
    uint64_t opslimit = get_u64(sealed->opslimit);
    uint64_t memlimit = get_u64(sealed->memlimit);

    if (opslimit < 1 || opslimit > OPSLIMIT_MAX || memlimit > MEMLIMIT_MAX) {
        return err_set(err, "the key file asks for too much work: it is damaged");
    }
    if (secret_new(ret_key, crypto_secretbox_KEYBYTES, err) < 0) {
        return -1;
    }
    if (crypto_pwhash(ret_key->data, ret_key->size, passphrase.data, passphrase.len, sealed->salt,
                      opslimit, (size_t)memlimit, crypto_pwhash_ALG_ARGON2ID13) < 0) {
        secret_clear(ret_key);
        return err_set(err, "there is not enough memory to open the vault key (%llu MiB)",
                       (unsigned long long)memlimit >> 20);
    }
    return 0;
}

static int seal(struct secret *file, const struct secret *key, struct str passphrase,
                struct err *err)
{
    struct sealed sealed = {0};
    struct secret box_key = {0};

    put_u64(sealed.opslimit, crypto_pwhash_OPSLIMIT_MODERATE);
    put_u64(sealed.memlimit, crypto_pwhash_MEMLIMIT_MODERATE);
    randombytes_buf(sealed.salt, sizeof(sealed.salt));
    randombytes_buf(sealed.nonce, sizeof(sealed.nonce));
    if (derive(&box_key, passphrase, &sealed, err) < 0) {
        return -1;
    }
    assert(box_key.data != NULL);
    (void)crypto_secretbox_easy(sealed.box, key->data, key->size, sealed.nonce, box_key.data);
    secret_clear(&box_key);
    memcpy(file->data, SEALED_LINE, sizeof(SEALED_LINE) - 1);
    memcpy(file->data + sizeof(SEALED_LINE) - 1, &sealed, sizeof(sealed));
    return 0;
}

void key_file_change(struct secret *secret)
{
    struct vault_key *key = (struct vault_key *)(void *)secret->data;

    assert(key->changing == 0);
    memcpy(key->previous_public, key->box_public, sizeof(key->box_public));
    memcpy(key->previous_secret, key->box_secret, sizeof(key->box_secret));
    key->changing = 1;
    (void)crypto_box_keypair(key->box_public, key->box_secret);
}

void key_file_changed(struct secret *secret)
{
    struct vault_key *key = (struct vault_key *)(void *)secret->data;

    key->changing = 0;
    mem_wipe(key->previous_public, sizeof(key->previous_public));
    mem_wipe(key->previous_secret, sizeof(key->previous_secret));
}

/* What the file of `key` holds. */
static int encode(const struct secret *key, struct str passphrase, struct secret *ret_file,
                  struct err *err)
{
    size_t size = passphrase.len == 0 ? PLAIN_SIZE : SEALED_SIZE;

    assert(key->size == sizeof(struct vault_key));
    if (passphrase.len > 0 &&
        (passphrase.len < PASSPHRASE_BYTES_MIN || passphrase.len > PASSPHRASE_BYTES_MAX)) {
        return err_set(err, "a passphrase has %d to %d bytes", PASSPHRASE_BYTES_MIN,
                       PASSPHRASE_BYTES_MAX);
    }
    if (secret_new(ret_file, size, err) < 0) {
        return -1;
    }
    if (passphrase.len > 0) {
        return seal(ret_file, key, passphrase, err);
    }
    memcpy(ret_file->data, PLAIN_LINE, sizeof(PLAIN_LINE) - 1);
    memcpy(ret_file->data + sizeof(PLAIN_LINE) - 1, key->data, key->size);
    return 0;
}

int key_file_write(const char *path, const struct secret *key, struct str passphrase,
                   struct err *err)
{
    struct secret file = {0};
    int rc = encode(key, passphrase, &file, err);

    if (rc == 0) {
        rc = file_write_new(path, 0600, str_of(file.data, file.size), err);
    }
    secret_clear(&file);
    return rc;
}

static void overwrite(int fd)
{
    static const unsigned char zeros[FILE_SIZE_MAX];
    struct stat about;

    if (fstat(fd, &about) == 0 && about.st_size <= (off_t)sizeof(zeros) &&
        pwrite(fd, zeros, (size_t)about.st_size, 0) > 0) {
        (void)fsync(fd);
    }
}

int key_file_replace(const char *path, const struct secret *key, struct str passphrase,
                     struct err *err)
{
    struct secret file = {0};
    int older = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    int rc =
        older < 0 ? err_errno(err, "cannot open '%s'", path) : encode(key, passphrase, &file, err);

    if (rc == 0) {
        rc = file_replace(path, 0600, str_of(file.data, file.size), err);
    }
    if (rc == 0) {
        overwrite(older);
    }
    secret_clear(&file);
    if (older >= 0) {
        (void)close(older);
    }
    return rc;
}

static int check_owner(int fd, const char *path, struct err *err)
{
    struct stat about;

    if (fstat(fd, &about) < 0) {
        return err_errno(err, "cannot look at '%s'", path);
    }
    if (!S_ISREG(about.st_mode)) {
        return err_set(err, "'%s' is not a file", path);
    }
    if (about.st_uid != geteuid() && about.st_uid != 0) {
        return err_set(err, "'%s' belongs to somebody else", path);
    }
    if ((about.st_mode & 077) != 0) {
        return err_set(err, "'%s' can be read by others; run: chmod 600 '%s'", path, path);
    }
    return 0;
}

static bool is_form(const struct key_file *file, size_t size, const char *line)
{
    return file->size == size && memcmp(file->bytes.data, line, strlen(line)) == 0;
}

/* Which of the four forms it has; false: none. */
static bool find_form(struct key_file *file)
{
    file->older = is_form(file, PLAIN_SIZE - LESS_IN_1, PLAIN_LINE_1) ||
                  is_form(file, SEALED_SIZE - LESS_IN_1, SEALED_LINE_1);
    file->sealed = is_form(file, SEALED_SIZE, SEALED_LINE) ||
                   is_form(file, SEALED_SIZE - LESS_IN_1, SEALED_LINE_1);
    return file->older || file->sealed || is_form(file, PLAIN_SIZE, PLAIN_LINE);
}

int key_file_read(struct key_file *file, int fd, const char *path, struct err *err)
{
    *file = (struct key_file){0};
    if (check_owner(fd, path, err) < 0 || secret_new(&file->bytes, FILE_SIZE_MAX + 1, err) < 0) {
        return -1;
    }
    while (file->size < file->bytes.size) {
        ssize_t got = read(fd, file->bytes.data + file->size, file->bytes.size - file->size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            int rc = err_errno(err, "cannot read '%s'", path);
            key_file_clear(file);
            return rc;
        }
        if (got == 0) {
            break;
        }
        file->size += (size_t)got;
    }
    if (!find_form(file)) {
        key_file_clear(file);
        return err_set(err, "'%s' is no vault key that this program knows", path);
    }
    return 0;
}

static int unseal(const struct key_file *file, struct str passphrase, struct secret *key,
                  struct err *err)
{
    size_t less = file->older ? LESS_IN_1 : 0;
    struct sealed sealed;
    struct secret box_key = {0};

    memcpy(&sealed, file->bytes.data + sizeof(SEALED_LINE) - 1, sizeof(sealed) - less);
    if (derive(&box_key, passphrase, &sealed, err) < 0) {
        return -1;
    }
    assert(box_key.data != NULL);
    int rc = crypto_secretbox_open_easy(key->data, sealed.box, sizeof(sealed.box) - less,
                                        sealed.nonce, box_key.data);
    secret_clear(&box_key);
    return rc < 0 ? err_set(err, "the passphrase is wrong, or the key file is damaged") : 0;
}

static bool is_pair(const unsigned char *public, const unsigned char *secret)
{
    unsigned char right[crypto_box_PUBLICKEYBYTES];

    return crypto_scalarmult_base(right, secret) == 0 && memcmp(right, public, sizeof(right)) == 0;
}

static bool previous_fits(const struct vault_key *key)
{
    return key->changing == 0
               ? sodium_is_zero(key->previous_public, sizeof(key->previous_public)) == 1 &&
                     sodium_is_zero(key->previous_secret, sizeof(key->previous_secret)) == 1
               : key->changing == 1 && is_pair(key->previous_public, key->previous_secret);
}

/* A key that is not itself would lose every credential sealed to it, at the next rotation. */
static int check_key(const struct secret *secret, struct err *err)
{
    struct vault_key key;
    unsigned char sign_public[sizeof(key.sign_public)];
    unsigned char sign_secret[sizeof(key.sign_secret)];

    memcpy(&key, secret->data, sizeof(key));
    bool right = key.version == VAULT_KEY_VERSION && is_pair(key.box_public, key.box_secret) &&
                 previous_fits(&key) &&
                 crypto_sign_seed_keypair(sign_public, sign_secret, key.sign_secret) == 0 &&
                 memcmp(sign_secret, key.sign_secret, sizeof(sign_secret)) == 0 &&
                 memcmp(sign_public, key.sign_public, sizeof(sign_public)) == 0;
    mem_wipe(&key, sizeof(key));
    mem_wipe(sign_secret, sizeof(sign_secret));
    return right ? 0 : err_set(err, "the vault key is damaged");
}

/* From the older layout, which lies at the start, to today's.  What is not of that version stays as
 * it is, for check_key() to find. */
static void lift(struct secret *secret)
{
    struct vault_key *key = (struct vault_key *)(void *)secret->data;
    struct vault_key_1 older;

    memcpy(&older, key, sizeof(older));
    if (older.version == 1 && older.reserved == 0) {
        mem_wipe(key, sizeof(*key));
        key->version = VAULT_KEY_VERSION;
        memcpy(key->box_public, older.box_public, sizeof(key->box_public));
        memcpy(key->box_secret, older.box_secret, sizeof(key->box_secret));
        memcpy(key->sign_public, older.sign_public, sizeof(key->sign_public));
        memcpy(key->sign_secret, older.sign_secret, sizeof(key->sign_secret));
    }
    mem_wipe(&older, sizeof(older));
}

int key_file_open(const struct key_file *file, struct str passphrase, struct secret *key,
                  struct err *err)
{
    assert(key->size == sizeof(struct vault_key));
    if (sodium_init() < 0) {
        return err_set(err, "libsodium cannot be used here");
    }
    if (!file->sealed) {
        memcpy(key->data, file->bytes.data + sizeof(PLAIN_LINE) - 1,
               key->size - (file->older ? LESS_IN_1 : 0));
    } else if (unseal(file, passphrase, key, err) < 0) {
        return -1;
    }
    if (file->older) {
        lift(key);
    }
    return check_key(key, err);
}

void key_file_clear(struct key_file *file)
{
    secret_clear(&file->bytes);
    file->size = 0;
}
