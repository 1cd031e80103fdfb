/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy: the database as it is at one moment, into another data directory, beside a running server.
 */
#ifndef STORE_COPY_H
#define STORE_COPY_H

#include "base/err.h"

/* Makes TO_DIR/db/keybrake.db, whole or not at all, and durable.  Refuses when there is one.  Who
 * calls must be able to write into DATA_DIR/db: SQLite's readers leave their marks there. */
int store_copy(const char *data_dir, const char *to_dir, struct err *err);

#endif
