/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekey: a new vault key under everything that is sealed to the one before.
 *
 * The key file holds both pairs while it lasts, and what opens a box tries both: a server can begin
 * at any moment of it, and the same command finishes what was cut short.
 *
 *     key file: new + old  ->  database: all boxes and the public key, at once  ->  the CA's key
 *     ->  key file: new
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/encode.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "os/file.h"
#include "parent/data_dir.h"
#include "parent/key_file.h"
#include "parent/passphrase.h"
#include "store/store.h"
#include "tls/ca_file.h"

enum { CREDENTIALS_MAX = 10000, BOX_BYTES_MAX = 256 * 1024, CA_FILE_BYTES_MAX = 256 * 1024 };

const struct option rekey_options[] = {
    {"passphrase", NULL, "put the vault key under another passphrase, asked on the terminal", false,
     false},
    {"no-passphrase", NULL, "put it under none: then the file's mode alone protects it", false,
     false},
};
const size_t rekey_options_count = sizeof(rekey_options) / sizeof(rekey_options[0]);

struct rekey {
    const char *directory;
    char key_path[PATH_MAX], ca_path[PATH_MAX];
    struct secret key; /* struct vault_key */
    struct secret passphrase;
    size_t count;
};

static const struct vault_key *pairs(const struct rekey *rekey)
{
    return (const struct vault_key *)(const void *)rekey->key.data;
}

/* ---- the key file ---- */

static int ask(const char *question, struct secret *ret_passphrase, struct err *err)
{
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (tty < 0) {
        return err_set(err, "the vault key is under a passphrase, and there is no terminal to ask "
                            "on");
    }
    int rc = passphrase_ask(tty, question, ret_passphrase, err);
    (void)close(tty);
    return rc;
}

static int open_key(struct rekey *rekey, struct err *err)
{
    struct key_file file = {0};
    int fd = open(rekey->key_path, O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);

    if (fd < 0) {
        return err_errno(err, "cannot open '%s'", rekey->key_path);
    }
    int rc = key_file_read(&file, fd, rekey->key_path, err);
    (void)close(fd);
    if (rc == 0 && file.sealed) {
        rc = ask("Passphrase of the vault key: ", &rekey->passphrase, err);
    }
    if (rc == 0) {
        rc = secret_new(&rekey->key, sizeof(struct vault_key), err);
    }
    if (rc == 0) {
        rc = key_file_open(&file,
                           str_of((const char *)rekey->passphrase.data, rekey->passphrase.size),
                           &rekey->key, err);
    }
    key_file_clear(&file);
    return rc;
}

static int write_key(const struct rekey *rekey, struct err *err)
{
    return key_file_replace(rekey->key_path, &rekey->key,
                            str_of(rekey->passphrase.data, rekey->passphrase.size), err);
}

static int choose_passphrase(struct rekey *rekey, const struct invocation *invocation,
                             struct err *err)
{
    if (option_given(invocation, "no-passphrase")) {
        secret_clear(&rekey->passphrase);
        rekey->passphrase = (struct secret){0};
    } else if (option_given(invocation, "passphrase")) {
        secret_clear(&rekey->passphrase);
        return passphrase_ask_twice(&rekey->passphrase, err);
    }
    return 0;
}

/* ---- what is sealed ---- */

static int seal_anew(const struct rekey *rekey, struct str sealed, const char *what,
                     struct buf *ret_box, struct err *err)
{
    struct secret clear = {0};

    if (vault_key_open(pairs(rekey), sealed, what, &clear, err) < 0) {
        return -1;
    }
    unsigned char *room = buf_room(ret_box, sealed.len);
    int rc =
        room != NULL && crypto_box_seal(room, clear.data, clear.size, pairs(rekey)->box_public) == 0
            ? 0
            : err_set(err, "%s cannot be sealed", what);
    if (rc == 0) {
        buf_added(ret_box, sealed.len);
    }
    secret_clear(&clear);
    return rc;
}

struct credentials {
    struct message_row_credential rows[CREDENTIALS_MAX];
    size_t count;
};

/* The rows, their strings in `arena`.  The store wants to be read to its end before it writes. */
static int load_credentials(struct store *store, struct arena *arena,
                            struct credentials *credentials, struct err *err)
{
    enum message_type type;
    const void *row;
    int rc;

    while ((rc = store_load(store, &type, &row, err)) == 1) {
        if (type != MESSAGE_ROW_CREDENTIAL) {
            continue;
        }
        if (credentials->count == CREDENTIALS_MAX) {
            return err_set(err, "there are more than %d credentials", CREDENTIALS_MAX);
        }
        struct message_row_credential *copy = &credentials->rows[credentials->count++];
        *copy = *(const struct message_row_credential *)row;
        struct str *strings[] = {&copy->name, &copy->vendor, &copy->upstream, &copy->public_fields,
                                 &copy->secret_hint};
        for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
            *strings[i] = arena_copy(arena, *strings[i]);
        }
    }
    return rc;
}

static int put_credential(const struct rekey *rekey, struct store *store,
                          struct message_row_credential *row, struct err *err)
{
    struct message_blob blob;
    struct buf box;
    char what[200];
    int rc = store_blob(store, row->credential, &blob, err);

    (void)snprintf(what, sizeof(what), "the credential '%.*s'",
                   STR_FMT(str_slice(row->name, 0, 128)));
    buf_init(&box, BOX_BYTES_MAX);
    if (rc == 0) {
        rc = seal_anew(rekey, blob.sealed, what, &box, err);
    }
    if (rc == 0) {
        row->sealed = buf_str(&box);
        rc = store_put(store, MESSAGE_ROW_CREDENTIAL, row, err) == STORE_DONE ? 0 : -1;
    }
    buf_clear(&box);
    return rc;
}

/* All of it in one transaction, with the public key that control seals to. */
static int reseal_credentials(struct rekey *rekey, struct store *store, struct err *err)
{
    struct credentials *credentials = mem_zeroed(sizeof(*credentials));
    struct arena *arena = arena_new();
    struct buf hex;
    int rc = load_credentials(store, arena, credentials, err);

    buf_init(&hex, 256);
    for (size_t i = 0; rc == 0 && i < credentials->count; i++) {
        rc = put_credential(rekey, store, &credentials->rows[i], err);
    }
    if (rc == 0) {
        (void)hex_encode(&hex, str_of(pairs(rekey)->box_public, sizeof(pairs(rekey)->box_public)));
        struct message_row_meta meta = {STR("vault_public_key"), buf_str(&hex)};
        rc = store_put(store, MESSAGE_ROW_META, &meta, err) == STORE_DONE &&
                     store_commit(store, err) == STORE_DONE
                 ? 0
                 : -1;
    }
    rekey->count = credentials->count;
    buf_clear(&hex);
    arena_free(arena);
    free(credentials);
    return rc;
}

static int reseal_database(struct rekey *rekey, struct err *err)
{
    struct store *store = store_open(rekey->directory, 0, err);

    if (store == NULL) {
        return -1;
    }
    int rc = reseal_credentials(rekey, store, err);
    if (rc == 0 && store_give_back(store, err) != STORE_DONE) {
        rc = -1; /* the older boxes would stay in the log */
    }
    store_close(store);
    return rc;
}

static int read_ca(const struct rekey *rekey, struct buf *out, bool *ret_found, struct err *err)
{
    int fd = open(rekey->ca_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t got = 1;

    *ret_found = fd >= 0;
    if (fd < 0) {
        return errno == ENOENT ? 0 : err_errno(err, "cannot open '%s'", rekey->ca_path);
    }
    while (got > 0) {
        unsigned char *room = buf_room(out, 4096);
        got = room == NULL ? -1 : read(fd, room, 4096);
        if (got > 0) {
            buf_added(out, (size_t)got);
        }
    }
    (void)close(fd);
    return got < 0 ? err_set(err, "cannot read '%s'", rekey->ca_path) : 0;
}

static int reseal_ca(const struct rekey *rekey, struct err *err)
{
    struct buf file, sealed, box, out;
    struct str pem;
    bool found;

    buf_init(&file, CA_FILE_BYTES_MAX);
    buf_init(&sealed, BOX_BYTES_MAX);
    buf_init(&box, BOX_BYTES_MAX);
    buf_init(&out, CA_FILE_BYTES_MAX);
    int rc = read_ca(rekey, &file, &found, err);
    if (rc == 0 && found) {
        if (!ca_file_read(buf_str(&file), &pem, &sealed)) {
            rc = err_set(err, "'%s' is damaged; make another: keybrake ca rotate", rekey->ca_path);
        } else {
            rc = seal_anew(rekey, buf_str(&sealed), "the CA's key", &box, err);
        }
        if (rc == 0) {
            rc = ca_file_write(pem, buf_str(&box), &out)
                     ? file_replace(rekey->ca_path, 0600, buf_str(&out), err)
                     : err_set(err, "the CA is too large");
        }
    }
    buf_clear(&file);
    buf_clear(&sealed);
    buf_clear(&box);
    buf_clear(&out);
    return rc;
}

/* ---- the whole ---- */

static int change(struct rekey *rekey, const struct invocation *invocation, bool *ret_finished,
                  struct err *err)
{
    if (open_key(rekey, err) < 0) {
        return -1;
    }
    *ret_finished = pairs(rekey)->changing != 0;
    if (choose_passphrase(rekey, invocation, err) < 0) {
        return -1;
    }
    if (!*ret_finished) {
        key_file_change(&rekey->key);
        if (write_key(rekey, err) < 0) {
            return -1;
        }
    }
    if (reseal_database(rekey, err) < 0 || reseal_ca(rekey, err) < 0) {
        return -1;
    }
    key_file_changed(&rekey->key);
    return write_key(rekey, err);
}

int run_rekey(const struct invocation *invocation)
{
    static const struct rlimit no_core = {0, 0};
    struct rekey rekey = {.directory = data_directory(invocation)};
    struct err err = {""};
    bool finished = false;

    if (option_given(invocation, "passphrase") && option_given(invocation, "no-passphrase")) {
        return say_usage(invocation, "--passphrase and --no-passphrase exclude each other");
    }
    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)umask(077);
    digest_setup();
    (void)snprintf(rekey.key_path, sizeof(rekey.key_path), "%s/vault/key", rekey.directory);
    (void)snprintf(rekey.ca_path, sizeof(rekey.ca_path), "%s/vault/ca", rekey.directory);
    int lock = data_dir_claim(rekey.directory, &err);
    int rc = lock < 0 ? -1 : change(&rekey, invocation, &finished, &err);

    secret_clear(&rekey.key);
    secret_clear(&rekey.passphrase);
    if (lock >= 0) {
        (void)close(lock);
    }
    if (rc < 0) {
        return say_refused("%s", err.text);
    }
    (void)printf("%s: %zu credential%s and the CA's key are sealed to the new vault key\n",
                 finished ? "finished a change that was cut short" : "done", rekey.count,
                 rekey.count == 1 ? "" : "s");
    return EXIT_DONE;
}
