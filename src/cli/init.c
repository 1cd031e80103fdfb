/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/encode.h"
#include "base/mem.h"
#include "cli/ca.h"
#include "cli/commands.h"
#include "cli/directory.h"
#include "os/file.h"
#include "parent/key_file.h"
#include "parent/passphrase.h"
#include "policy/token.h"
#include "store/store.h"

enum { PATH_SIZE = 4096, HEX_SIZE = 2 * 32 };

const struct option init_options[] = {
    {"passphrase", NULL, "put the vault key under a passphrase, asked on the terminal", false,
     false},
};
const size_t init_options_count = sizeof(init_options) / sizeof(init_options[0]);

/* ---- the vault key ---- */

static int write_key(const char *directory, const struct secret *key, bool with_passphrase,
                     struct err *err)
{
    char path[PATH_SIZE];
    struct secret passphrase = {0};
    int rc = 0;

    if (with_passphrase) {
        rc = passphrase_ask_twice(&passphrase, err);
    }
    if (rc == 0) {
        (void)snprintf(path, sizeof(path), "%s/vault/key", directory);
        rc = key_file_write(path, key, str_of(passphrase.data, passphrase.size), err);
    }
    secret_clear(&passphrase);
    if (rc == 0) {
        (void)snprintf(path, sizeof(path), "%s/vault", directory);
        rc = file_sync_directory(path, err);
    }
    return rc;
}

/* ---- the database ---- */

static struct str hex(struct buf *out, const void *bytes, size_t size)
{
    size_t before = buf_len(out);

    (void)hex_encode(out, str_of(bytes, size));
    return str_slice(buf_str(out), before, buf_len(out));
}

static int make_database(const char *directory, const struct vault_key *key,
                         const struct token *token, struct err *err)
{
    unsigned char random[2][32];
    struct buf text;

    random_bytes(random, sizeof(random));
    buf_init_wiped(&text, 4 * HEX_SIZE);
    (void)buf_room(&text, 4 * HEX_SIZE); /* now, so that what is in it does not move */
    const struct message_row_meta metas[] = {
        {STR("vault_public_key"), hex(&text, key->box_public, sizeof(key->box_public))},
        {STR("signing_public_key"), hex(&text, key->sign_public, sizeof(key->sign_public))},
        {STR("idempotency_secret"), hex(&text, random[0], sizeof(random[0]))},
        {STR("salt"), hex(&text, random[1], sizeof(random[1]))},
    };
    const struct message_row_operator admin = {.token = 1,
                                               .name = STR("admin"),
                                               .token_digest = digest_of(str_from(token->text)),
                                               .role = OPERATOR_ADMIN,
                                               .created_at_ms = clock_wall_ms()};
    const struct store_seed seed = {.metas = metas,
                                    .meta_count = sizeof(metas) / sizeof(metas[0]),
                                    .operators = &admin,
                                    .operator_count = 1};
    int rc = store_create(directory, &seed, err);
    buf_clear(&text);
    mem_wipe(random, sizeof(random));
    return rc;
}

/* ---- the whole ---- */

static int fill(const char *directory, bool with_passphrase, const struct token *token,
                struct err *err)
{
    struct secret key = {0};
    int rc = key_file_make(&key, err);

    if (rc == 0) {
        rc = directory_make_below(directory, "vault", err);
    }
    if (rc == 0) {
        rc = directory_make_below(directory, "run", err);
    }
    if (rc == 0) {
        rc = write_key(directory, &key, with_passphrase, err);
    }
    if (rc == 0) {
        rc = ca_init(directory, ((const struct vault_key *)(void *)key.data)->box_public, err);
    }
    if (rc == 0) {
        rc = make_database(directory, (const struct vault_key *)(void *)key.data, token, err);
    }
    if (rc == 0) {
        rc = file_sync_directory(directory, err);
    }
    secret_clear(&key);
    return rc;
}

int run_init(const struct invocation *invocation)
{
    const char *directory = data_directory(invocation);
    struct err err;

    digest_setup();
    (void)umask(022); /* the directories above are not ours alone */
    if (directory_make(directory, &err) < 0) {
        return say_refused("%s", err.text);
    }
    (void)umask(077);
    struct token token = token_make_operator();
    int status = EXIT_DONE;
    if (fill(directory, option_given(invocation, "passphrase"), &token, &err) < 0) {
        directory_unmake(directory);
        status = say_refused("%s", err.text);
    } else {
        (void)printf("KEYBRAKE_TOKEN=%s\n", token.text);
        (void)fflush(stdout); /* before the sentence about it, also into one pipe */
        (void)fprintf(stderr,
                      "keybrake: made %s.  The line above is the administrator's token; it is not "
                      "shown again.  Next: keybrake serve\n",
                      directory);
    }
    mem_wipe(&token, sizeof(token));
    return status;
}
