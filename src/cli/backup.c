/* SPDX-License-Identifier: Apache-2.0 */
/* backup: a data directory beside the one in use, as that is at this moment; no server need stop */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "cli/commands.h"
#include "cli/directory.h"
#include "ledger/chain.h"
#include "os/file.h"
#include "store/copy.h"
#include "store/query.h"

enum { PATH_SIZE = 4096, FILE_BYTES_MAX = 256 * 1024 };

const struct option backup_options[] = {
    {"without-key", NULL, "leave the vault key out; what is stored does not open without it", false,
     false},
};
const size_t backup_options_count = sizeof(backup_options) / sizeof(backup_options[0]);

static int read_all(const char *path, struct buf *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t got = -1;

    while (fd >= 0) {
        unsigned char *room = buf_room(out, FILE_BYTES_MAX / 4);
        got = room == NULL ? -1 : read(fd, room, FILE_BYTES_MAX / 4);
        if (got <= 0) {
            break;
        }
        buf_added(out, (size_t)got);
    }
    int problem = fd < 0 || got < 0 ? errno : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    errno = problem;
    return problem == 0 ? 0 : err_errno(err, "%s", path);
}

/* DIR/vault/NAME, as it is: a key under a passphrase stays under it. */
static int copy_vault_file(const char *from, const char *to, const char *name, struct err *err)
{
    char path[PATH_SIZE];
    struct buf bytes;

    buf_init_wiped(&bytes, FILE_BYTES_MAX);
    (void)snprintf(path, sizeof(path), "%s/vault/%s", from, name);
    int rc = read_all(path, &bytes, err);
    if (rc == 0) {
        (void)snprintf(path, sizeof(path), "%s/vault/%s", to, name);
        rc = file_write_new(path, 0600, buf_str(&bytes), err);
    }
    buf_clear(&bytes);
    return rc;
}

static bool is_there(const char *directory, const char *name)
{
    char path[PATH_SIZE];

    (void)snprintf(path, sizeof(path), "%s/vault/%s", directory, name);
    return access(path, F_OK) == 0;
}

/* Whether the copied key is still the one in use: a rekey in between has sealed the database anew.
 */
static int check_key(const char *from, const char *to, struct err *err)
{
    char path[PATH_SIZE];
    struct buf now;
    struct buf copied;

    buf_init_wiped(&now, FILE_BYTES_MAX);
    buf_init_wiped(&copied, FILE_BYTES_MAX);
    (void)snprintf(path, sizeof(path), "%s/vault/key", from);
    int rc = read_all(path, &now, err);
    if (rc == 0) {
        (void)snprintf(path, sizeof(path), "%s/vault/key", to);
        rc = read_all(path, &copied, err);
    }
    if (rc == 0 && !str_equal(buf_str(&now), buf_str(&copied))) {
        rc = err_set(err, "the vault key has changed meanwhile; run it again");
    }
    buf_clear(&now);
    buf_clear(&copied);
    return rc;
}

static int copy_all(const char *from, const char *to, bool with_key, struct err *err)
{
    char path[PATH_SIZE];

    (void)snprintf(path, sizeof(path), "%s/vault", to);
    if (directory_make_below(to, "vault", err) < 0 || directory_make_below(to, "run", err) < 0 ||
        (with_key && copy_vault_file(from, to, "key", err) < 0) ||
        (is_there(from, "ca") && copy_vault_file(from, to, "ca", err) < 0) ||
        file_sync_directory(path, err) < 0 || store_copy(from, to, err) < 0 ||
        (with_key && check_key(from, to, err) < 0)) {
        return -1;
    }
    return file_sync_directory(to, err);
}

static int say_head(const char *directory)
{
    struct err err = {""};
    uint64_t sequence = 0;
    struct digest head = {0};
    struct query *query = query_open(directory, &err);
    int rc = query == NULL || query_head(query, &sequence, &head, &err) < 0
                 ? say_refused("the copy does not open: %s", err.text)
                 : EXIT_DONE;

    if (rc == EXIT_DONE) {
        (void)printf("%s up to %s\n", directory, chain_head_text(sequence, &head).text);
    }
    query_close(query);
    return rc;
}

int run_backup(const struct invocation *invocation)
{
    static const struct rlimit no_core = {0, 0};
    const char *from = data_directory(invocation);
    const char *to = argument_nth(invocation, 0);
    bool with_key = !option_given(invocation, "without-key") && is_there(from, "key");
    struct err err = {""};

    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)umask(022);
    if (directory_make(to, &err) < 0) {
        return say_refused("%s", err.text);
    }
    (void)umask(077);
    if (copy_all(from, to, with_key, &err) < 0) {
        directory_unmake(to);
        return say_refused("%s", err.text);
    }
    if (!with_key) {
        (void)fprintf(stderr, "keybrake: the vault key is not in it; keep that too\n");
    }
    return say_head(to);
}
