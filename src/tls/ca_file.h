/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ca_file: DIR/vault/ca, the exported CA at rest: its certificate in PEM, then its private key,
 * sealed to the vault's key pair, in base64 under a line that says so.  One file, so that the two
 * always belong together.
 */
#ifndef TLS_CA_FILE_H
#define TLS_CA_FILE_H

#include "base/buf.h"
#include "base/str.h"

bool ca_file_write(struct str pem, struct str sealed, struct buf *out);
/* *ret_pem points into `file`.  False when it is no such file. */
bool ca_file_read(struct str file, struct str *ret_pem, struct buf *ret_sealed);

#endif
