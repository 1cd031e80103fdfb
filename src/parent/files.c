/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

enum { FILE_MAX = 256 * 1024 };

static const char resolv_conf[] = "/etc/resolv.conf";
static const char hosts[] = "/etc/hosts";

/* Up to `size` bytes; -1 with errno. */
static ssize_t read_up_to(const char *path, unsigned char *out, size_t size)
{
    size_t used = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0) {
        return -1;
    }
    while (used < size) {
        ssize_t got = read(fd, out + used, size - used);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        used += (size_t)got;
    }
    (void)close(fd);
    return (ssize_t)used;
}

static struct str read_text(const char *path)
{
    unsigned char *text = mem_zeroed(FILE_MAX);
    ssize_t got = read_up_to(path, text, FILE_MAX);

    if (got <= 0) {
        free(text);
        return STR_NONE;
    }
    struct str copy = str_of(mem_copy(text, (size_t)got), (size_t)got);
    free(text);
    return copy;
}

static void free_text(struct str *text)
{
    free((void *)(uintptr_t)text->data);
    *text = STR_NONE;
}

int files_read_certificate(struct files *files, const char *chain, const char *key, struct err *err)
{
    if (secret_new(&files->key_pem, FILE_MAX, err) < 0) {
        return -1;
    }
    ssize_t got = read_up_to(key, files->key_pem.data, FILE_MAX);
    if (got <= 0) {
        int rc = err_errno(err, "cannot read '%s'", key);
        secret_clear(&files->key_pem);
        return rc;
    }
    files->key_pem.size = (size_t)got;
    files->chain_pem = read_text(chain);
    if (files->chain_pem.len == 0) {
        int rc = err_set(err, "cannot read '%s'", chain);
        secret_clear(&files->key_pem);
        return rc;
    }
    return 0;
}

void files_read_ca(struct files *files, const char *data_dir)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/vault/ca", data_dir);
    files->ca = read_text(path);
}

static struct timespec changed_at(const char *path)
{
    struct stat about = {0};
    return stat(path, &about) == 0 ? about.st_ctim : (struct timespec){0};
}

void files_read_resolver(struct files *files)
{
    free_text(&files->resolver.resolv_conf);
    free_text(&files->resolver.hosts);
    files->resolv_time = changed_at(resolv_conf);
    files->hosts_time = changed_at(hosts);
    files->resolver.resolv_conf = read_text(resolv_conf);
    files->resolver.hosts = read_text(hosts);
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool files_resolver_changed(const struct files *files)
{
    return !same_time(files->resolv_time, changed_at(resolv_conf)) ||
           !same_time(files->hosts_time, changed_at(hosts));
}

void files_clear(struct files *files)
{
    free_text(&files->chain_pem);
    free_text(&files->ca);
    secret_clear(&files->key_pem);
    free_text(&files->resolver.resolv_conf);
    free_text(&files->resolver.hosts);
}
