/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

static int secret_memfd(void)
{
    return (int)syscall(SYS_memfd_secret, O_CLOEXEC);
}

bool secret_has_memfd(void)
{
    static int known = -1;

    if (known < 0) {
        int fd = secret_memfd();
        known = fd >= 0;
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    return known == 1;
}

static size_t whole_pages(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

/* What can be asked of any mapping.  memfd_secret pages are locked and undumpable by themselves,
 * and refuse some of these; what counts is checked by the caller. */
static int harden(void *at, size_t size, bool of_memfd, struct err *err)
{
    (void)madvise(at, size, MADV_WIPEONFORK);
    if (of_memfd) {
        return 0;
    }
    if (madvise(at, size, MADV_DONTDUMP) < 0) {
        return err_errno(err, "cannot keep secret memory out of core files");
    }
    if (mlock(at, size) < 0) {
        return err_errno(err, "cannot lock %zu bytes of secret memory (see ulimit -l)", size);
    }
    return 0;
}

static int map_between_guards(struct secret *secret, int fd, size_t size, struct err *err)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t inner = whole_pages(size);
    size_t outer = inner + 2 * page;
    unsigned char *base =
        mmap(NULL, outer, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (base == MAP_FAILED) {
        return err_errno(err, "cannot map secret memory");
    }
    int flags = MAP_FIXED | (fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS);
    void *at = mmap(base + page, inner, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (at == MAP_FAILED) {
        int rc = err_errno(err, "cannot map secret memory");
        (void)munmap(base, outer);
        return rc;
    }
    if (harden(at, inner, fd >= 0, err) < 0) {
        (void)munmap(base, outer);
        return -1;
    }
    *secret =
        (struct secret){.data = base + page, .size = size, .mapping = base, .mapping_size = outer};
    return 0;
}

int secret_new(struct secret *secret, size_t size, struct err *err)
{
    int fd = -1;

    if (size == 0 || size > SECRET_SIZE_MAX) {
        return err_set(err, "%zu bytes of secret memory are out of range", size);
    }
    if (secret_has_memfd()) {
        fd = secret_fd_new(size, err);
        if (fd < 0) {
            return -1;
        }
    }
    int rc = map_between_guards(secret, fd, size, err);
    if (fd >= 0) {
        (void)close(fd);
    }
    return rc;
}

void secret_clear(struct secret *secret)
{
    if (secret->mapping == NULL) {
        return;
    }
    mem_wipe(secret->data, secret->size);
    (void)munmap(secret->mapping, secret->mapping_size);
    *secret = (struct secret){0};
}

int secret_fd_new(size_t size, struct err *err)
{
    int fd = secret_has_memfd() ? secret_memfd() : memfd_create("secret", MFD_CLOEXEC);

    if (fd < 0) {
        return err_errno(err, "cannot make secret memory");
    }
    if (ftruncate(fd, (off_t)whole_pages(size)) < 0) {
        int rc = err_errno(err, "cannot size secret memory");
        (void)close(fd);
        return rc;
    }
    return fd;
}

int secret_map_fd(struct secret *secret, int fd, size_t size, struct err *err)
{
    if (map_between_guards(secret, fd, size, err) < 0) {
        return -1;
    }
    if (!secret_has_memfd()) {
        return harden(secret->data, whole_pages(size), false, err);
    }
    return 0;
}
