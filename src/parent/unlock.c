/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/unlock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "ipc/child.h"
#include "parent/key_file.h"
#include "parent/passphrase.h"

static const int calls[] = {SYS_openat};

struct unlock {
    struct child child;
    int tty;       /* -1: none */
    int key_fd;    /* DIR/vault/key, or the credential of that name */
    int phrase_fd; /* the passphrase as a credential, or -1 */
    int key_errno;
    char path[PATH_MAX];
};

static int open_below(char *path, size_t size, const char *directory, const char *name)
{
    (void)snprintf(path, size, "%s/%s", directory, name);
    return open(path, O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
}

/* Opens now what is read after confinement, so that no file needs to be opened then. */
static void open_files(struct unlock *unlock, const char *credentials)
{
    char path[PATH_MAX];

    unlock->key_fd = unlock->phrase_fd = -1;
    if (credentials[0] != '\0') {
        unlock->key_fd =
            open_below(unlock->path, sizeof(unlock->path), credentials, "keybrake-vault-key");
        unlock->phrase_fd = open_below(path, sizeof(path), credentials, "keybrake-passphrase");
    }
    if (unlock->key_fd < 0) {
        unlock->key_fd =
            open_below(unlock->path, sizeof(unlock->path), unlock->child.data_dir, "vault/key");
        unlock->key_errno = errno;
    }
    unlock->tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
}

static int read_credential(int fd, struct secret *ret_passphrase, struct err *err)
{
    if (secret_new(ret_passphrase, PASSPHRASE_BYTES_MAX + 1, err) < 0) {
        return -1;
    }
    ssize_t got = read(fd, ret_passphrase->data, ret_passphrase->size);
    if (got > 0 && ret_passphrase->data[got - 1] == '\n') {
        got--;
    }
    if (got <= 0 || got > PASSPHRASE_BYTES_MAX) {
        secret_clear(ret_passphrase);
        return err_set(err, "the credential keybrake-passphrase is empty or too long");
    }
    ret_passphrase->size = (size_t)got;
    return 0;
}

static int get_passphrase(const struct unlock *unlock, struct secret *ret_passphrase,
                          struct err *err)
{
    if (unlock->phrase_fd >= 0) {
        return read_credential(unlock->phrase_fd, ret_passphrase, err);
    }
    if (unlock->tty < 0) {
        return err_set(err, "the vault key is under a passphrase, and there is no terminal to ask "
                            "on; hand it in as the systemd credential keybrake-passphrase");
    }
    return passphrase_ask(unlock->tty, "keybrake: passphrase of the vault key: ", ret_passphrase,
                          err);
}

static int open_key(const struct unlock *unlock, struct secret *key, struct err *err)
{
    struct key_file file = {0};
    struct secret passphrase = {0};
    int rc = key_file_read(&file, unlock->key_fd, unlock->path, err);

    if (rc == 0 && file.sealed) {
        rc = get_passphrase(unlock, &passphrase, err);
    }
    if (rc == 0) {
        rc = key_file_open(&file, str_of(passphrase.data, passphrase.size), key, err);
    }
    secret_clear(&passphrase);
    key_file_clear(&file);
    return rc;
}

static int no_key(const struct unlock *unlock, struct err *err)
{
    if (unlock->key_errno != ENOENT) {
        return err_set(err, "cannot open '%s': %s", unlock->path, strerror(unlock->key_errno));
    }
    return err_set(err,
                   "there is no vault key '%s': put it back from a backup, or have the service "
                   "manager hand it in (keybrake-vault-key); without it nobody opens what is "
                   "stored, and a new data directory is needed",
                   unlock->path);
}

/* The descriptor of the key in secret memory; -1 with the reason. */
static int unlock_key(const struct unlock *unlock, struct err *err)
{
    struct secret key = {0};

    if (unlock->key_fd < 0) {
        return no_key(unlock, err);
    }
    int fd = secret_fd_new(sizeof(struct vault_key), err);
    if (fd < 0) {
        return -1;
    }
    if (secret_map_fd(&key, fd, sizeof(struct vault_key), err) < 0 ||
        open_key(unlock, &key, err) < 0) {
        secret_clear(&key);
        (void)close(fd);
        return -1;
    }
    /* Not secret_clear: the pages are the ones we hand over. */
    return fd;
}

static void on_start(void *ctx)
{
    struct unlock *unlock = ctx;
    struct err err = {0};
    int fd = unlock_key(unlock, &err);
    struct message_compiled message = {.ok = fd >= 0, .problem = str_from(err.text)};
    bool sent = fd >= 0 ? channel_send_fd(unlock->child.parent, MESSAGE_UNSEALED, &message, fd)
                        : channel_send(unlock->child.parent, MESSAGE_UNSEALED, &message);

    if (!sent) {
        log_error("unlock", "the parent does not listen");
        exit(EXIT_FAILURE);
    }
}

int unlock_main(int argc, char **argv)
{
    static const struct confine confine = {.syscalls = calls,
                                           .syscall_count = sizeof(calls) / sizeof(calls[0]),
                                           .send = true,
                                           .terminal = true, /* no echo of the passphrase */
                                           .empty_network = true,
                                           .may_lock_memory = true};
    static const struct child_events events = {.start = on_start};
    struct unlock unlock = {0};

    child_init(&unlock.child, ROLE_UNLOCK, argc, argv);
    if (sodium_init() < 0) {
        log_error("unlock", "libsodium cannot be used here");
        return CHILD_EXIT_FATAL;
    }
    (void)secret_has_memfd();
    open_files(&unlock, argc > 5 ? argv[5] : "");
    child_confine(&unlock.child, &confine);
    return child_run(&unlock.child, &events, &unlock);
}
