/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_file: DIR/vault/key, the vault's secret keys at rest.
 *
 * One line of text that says what it is, then binary:
 *
 *     keybrake vault key 2 plain\n     struct vault_key
 *     keybrake vault key 2 sealed\n    u64 opslimit, u64 memlimit, salt, nonce, secretbox of it
 *
 * The sealing key is Argon2id of the passphrase.  Everything secret stays in struct secret.
 */
#ifndef PARENT_KEY_FILE_H
#define PARENT_KEY_FILE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/secret.h"
#include "base/vault_key.h"

enum { PASSPHRASE_BYTES_MIN = 8, PASSPHRASE_BYTES_MAX = 1024 };

/* Makes new key pairs in `key`, a secret of sizeof(struct vault_key). */
int key_file_make(struct secret *ret_key, struct err *err);

/* Writes `key` to a new file, 0600, durable.  `passphrase` of no size: plain. */
int key_file_write(const char *path, const struct secret *key, struct str passphrase,
                   struct err *err);

/* The same over an older one: after any crash there is the one or the other, whole.  The older
 * one's bytes are overwritten, as far as the file system lets us. */
int key_file_replace(const char *path, const struct secret *key, struct str passphrase,
                     struct err *err);

/* A new pair to seal to; what is sealed to the one before still opens, until key_file_changed(). */
void key_file_change(struct secret *key);
void key_file_changed(struct secret *key);

/* An opened key file: first whether a passphrase is needed, then the key. */
struct key_file {
    struct secret bytes;
    size_t size;
    bool sealed;
    bool older; /* of a layout before this one; opened as one of today's */
};
/* Refuses a file that others may read, or that is not ours. */
int key_file_read(struct key_file *file, int fd, const char *path, struct err *err);
int key_file_open(const struct key_file *file, struct str passphrase, struct secret *key,
                  struct err *err);
void key_file_clear(struct key_file *file);

#endif
