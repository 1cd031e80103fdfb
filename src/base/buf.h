/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf: bytes to write, with a hard maximum.
 *
 *     data [ consumed | bytes that count | free ]
 *          0          start              end     size
 *
 * Adding beyond the maximum adds nothing, returns false, and is remembered in `overflow`, so that
 * a writer of many pieces may check once at its end.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct buf {
    unsigned char *data;
    size_t start, end, size;
    size_t max;    /* of end - start */
    bool overflow; /* something was not added */
    bool wipe;     /* overwrite memory before it is freed or moved */
};

void buf_init(struct buf *buf, size_t max);       /* allocates nothing yet */
void buf_init_wiped(struct buf *buf, size_t max); /* for bytes that may be secret */
void buf_clear(struct buf *buf);                  /* frees; may be used again, same maximum */

static inline size_t buf_len(const struct buf *buf)
{
    return buf->end - buf->start;
}

/* Valid until the next change. */
static inline struct str buf_str(const struct buf *buf)
{
    return buf_len(buf) == 0 ? STR_NONE : str_of(buf->data + buf->start, buf_len(buf));
}

/* Room for `len` more bytes: a place to write to, or NULL above the maximum (then `overflow` is
 * set).  buf_added() says how many were written. */
unsigned char *buf_room(struct buf *buf, size_t len);
void buf_added(struct buf *buf, size_t len);

bool buf_add(struct buf *buf, const void *data, size_t len);
bool buf_add_str(struct buf *buf, struct str s);
bool buf_add_char(struct buf *buf, char c);
bool buf_add_u64(struct buf *buf, uint64_t value); /* decimal */
bool buf_addf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

void buf_consume(struct buf *buf, size_t len); /* from the front; at most what is there */
void buf_cut(struct buf *buf, size_t len);     /* keeps the first `len` bytes */

#endif
