/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files: what the parent reads for its children and does not look into: a certificate with its
 * key, and how names are resolved.
 */
#ifndef PARENT_FILES_H
#define PARENT_FILES_H

#include <sys/stat.h>

#include "base/err.h"
#include "base/secret.h"
#include "ipc/message.h"

struct files {
    struct str chain_pem; /* owned */
    struct secret key_pem;
    struct message_resolver resolver; /* owned texts */
    struct str ca;                    /* owned; empty: there is none */
    struct timespec resolv_time, hosts_time;
};

int files_read_certificate(struct files *files, const char *chain, const char *key,
                           struct err *err);
void files_read_ca(struct files *files, const char *data_dir);
void files_read_resolver(struct files *files); /* a missing file is empty */
bool files_resolver_changed(const struct files *files);
void files_clear(struct files *files);

#endif
