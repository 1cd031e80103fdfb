/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { BUF_SMALLEST = 256 };

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max};
}

void buf_init_wiped(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max, .wipe = true};
}

static void drop_memory(struct buf *buf)
{
    if (buf->wipe && buf->data != NULL) {
        mem_wipe(buf->data, buf->size);
    }
    free(buf->data);
}

void buf_clear(struct buf *buf)
{
    if (buf == NULL) {
        return;
    }
    drop_memory(buf);
    *buf = (struct buf){.max = buf->max, .wipe = buf->wipe};
}

static void move_to(struct buf *buf, size_t size)
{
    unsigned char *fresh = mem_grow(NULL, size, 1);
    size_t len = buf_len(buf);

    if (buf->data != NULL) {
        memcpy(fresh, buf->data + buf->start, len);
    }
    drop_memory(buf);
    buf->data = fresh;
    buf->size = size;
    buf->start = 0;
    buf->end = len;
}

unsigned char *buf_room(struct buf *buf, size_t len)
{
    size_t used = buf_len(buf);

    if (len > buf->max || used > buf->max - len) {
        buf->overflow = true;
        return NULL;
    }
    if (buf->data != NULL && buf->size - buf->end >= len) {
        return buf->data + buf->end;
    }
    if (buf->data != NULL && buf->size - used >= len && buf->start >= used) {
        memcpy(buf->data, buf->data + buf->start, used); /* no overlap: start >= used */
        if (buf->wipe) {
            mem_wipe(buf->data + buf->start, used);
        }
        buf->start = 0;
        buf->end = used;
        return buf->data + buf->end;
    }
    size_t size = buf->size < BUF_SMALLEST ? BUF_SMALLEST : buf->size * 2;
    while (size - used < len) {
        size *= 2;
    }
    move_to(buf, size);
    return buf->data + buf->end;
}

void buf_added(struct buf *buf, size_t len)
{
    assert(len <= buf->size - buf->end);
    buf->end += len;
}

bool buf_add(struct buf *buf, const void *data, size_t len)
{
    unsigned char *room = buf_room(buf, len);

    if (room == NULL) {
        return false;
    }
    if (len > 0) {
        memcpy(room, data, len);
    }
    buf_added(buf, len);
    return true;
}

bool buf_add_str(struct buf *buf, struct str s)
{
    return buf_add(buf, s.data, s.len);
}

bool buf_add_char(struct buf *buf, char c)
{
    return buf_add(buf, &c, 1);
}

bool buf_add_u64(struct buf *buf, uint64_t value)
{
    char text[20];
    size_t at = sizeof(text);

    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return buf_add(buf, text + at, sizeof(text) - at);
}

bool buf_addf(struct buf *buf, const char *format, ...)
{
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(len >= 0);
    unsigned char *room = buf_room(buf, (size_t)len + 1); /* vsnprintf writes a NUL */
    if (room == NULL) {
        return false;
    }
    va_start(args, format);
    (void)vsnprintf((char *)room, (size_t)len + 1, format, args);
    va_end(args);
    buf_added(buf, (size_t)len);
    return true;
}

void buf_consume(struct buf *buf, size_t len)
{
    assert(len <= buf_len(buf));
    if (buf->wipe && len > 0) {
        mem_wipe(buf->data + buf->start, len);
    }
    buf->start += len;
    if (buf->start == buf->end) {
        buf->start = buf->end = 0;
    }
}

void buf_cut(struct buf *buf, size_t len)
{
    assert(len <= buf_len(buf));
    if (buf->wipe && len < buf_len(buf)) {
        mem_wipe(buf->data + buf->start + len, buf_len(buf) - len);
    }
    buf->end = buf->start + len;
}
