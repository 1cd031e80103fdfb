/* SPDX-License-Identifier: Apache-2.0 */
/*
 * certificate: whether a door's certificate and private key can be used together.  Only the
 * check process asks; gates get the same bytes.
 */
#ifndef PARENT_CERTIFICATE_H
#define PARENT_CERTIFICATE_H

#include "base/err.h"
#include "base/str.h"

enum { CERTIFICATE_FILE_MAX = 256 * 1024 };

void certificate_setup(void); /* before confinement */
int certificate_check(struct str chain_pem, struct str key_pem, struct err *err);

#endif
