/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trust: the session's CA in every list of CAs that a client inside may read.
 *
 * The lists are the machine's own, with the session's CA behind them, and lie over the machine's
 * files: the bundle of each distribution, the copies that Python's libraries bring along, Java's.
 * In two steps, since most of the work can be done before the CA is known.  Both are to be called
 * where the sandbox's new root is the working directory.
 */
#ifndef SANDBOX_TRUST_H
#define SANDBOX_TRUST_H

#include "base/err.h"
#include "base/str.h"

struct trust;

/* `directory`: the command's, which may have a virtual environment of Python. */
struct trust *trust_prepare(const char *directory, struct err *err);
int trust_finish(struct trust *trust, struct str ca_pem, struct err *err); /* and frees it */

/* Without a root of its own: the same lists as files, for variables to name. */
int trust_write(const char *bundle, const char *java_list, struct str ca_pem, struct err *err);

#endif
