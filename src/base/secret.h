/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret: memory for credentials.
 *
 * A mapping of its own: from memfd_secret(2) where the kernel has it (then not even root reads it
 * through /proc), else between guard pages, locked, left out of core files, and empty in a forked
 * child.  Overwritten when freed.  There is no way to print one.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/err.h"
#include "base/str.h"

struct secret {
    unsigned char *data; /* writable; `size` bytes */
    size_t size;
    void *mapping; /* private to the module */
    size_t mapping_size;
};

enum { SECRET_SIZE_MAX = 64 * 1024 * 1024 };

int secret_new(struct secret *secret, size_t size, struct err *err);
void secret_clear(struct secret *secret); /* wipes and unmaps; takes a zeroed one too */

bool secret_has_memfd(void); /* memfd_secret works here; asked once, before confinement */

/* A descriptor of secret memory to be handed to another process; -1 with the reason. */
int secret_fd_new(size_t size, struct err *err);
int secret_map_fd(struct secret *secret, int fd, size_t size, struct err *err);

#endif
