/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passphrase: asks on the terminal, without echo.
 */
#ifndef PARENT_PASSPHRASE_H
#define PARENT_PASSPHRASE_H

#include "base/err.h"
#include "base/secret.h"

/* `tty` is an open /dev/tty.  Fills a new secret, whose size is the passphrase's. */
int passphrase_ask(int tty, const char *question, struct secret *ret_passphrase, struct err *err);

/* A new one, asked twice on the process's terminal. */
int passphrase_ask_twice(struct secret *ret_passphrase, struct err *err);

#endif
