/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema: the tables, and the statements that write and load their rows.  All text, none of it
 * made at run time.  Inside the store only.
 */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "ipc/message.h"

enum {
    SCHEMA_APPLICATION_ID = 0x6b62726b, /* "kbrk": file(1) and we know our own files by it */
    SCHEMA_VERSION = 3,                 /* user_version */
};

/* Make every table and index in an empty database; the last is NULL. */
extern const char *const schema_create[];

struct schema_row {
    enum message_type type;
    const char *table;
    const char *put;  /* parameters: the fields of the message in order, then the checksum */
    const char *load; /* columns: the same; ?1: the first day whose windows are wanted.  NULL: not
                         loaded */
    bool checksum;
};

/* In the order of loading: whatever a row refers to comes before it.  All but the audit's. */
extern const struct schema_row schema_rows[];
extern const size_t schema_row_count;

#endif
