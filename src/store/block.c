/* SPDX-License-Identifier: Apache-2.0 */
#include "store/block.h"

#include <endian.h>
#include <string.h>

#include "base/wire.h"

enum { LENGTH_SIZE = 4, SEQUENCE_SIZE = 8 };

static bool add_row(struct buf *block, const struct message_row_audit *row, struct str written)
{
    return written.len > 0 ? buf_add_str(block, written)
                           : wire_encode(message_schema(MESSAGE_ROW_AUDIT), row, block);
}

bool block_add(struct buf *block, const struct message_row_audit *row, struct str written)
{
    size_t before = buf_len(block);
    uint32_t length = 0;

    if (!buf_add(block, &length, LENGTH_SIZE) || !add_row(block, row, written)) {
        buf_cut(block, before);
        block->overflow = false;
        return false;
    }
    length = htole32((uint32_t)(buf_len(block) - before - LENGTH_SIZE));
    memcpy(block->data + block->start + before, &length, LENGTH_SIZE);
    return true;
}

/* The next row of *bytes; empty when there is no whole one. */
static struct str take_row(struct str *bytes)
{
    uint32_t length;

    if (bytes->len < LENGTH_SIZE) {
        return STR_NONE;
    }
    memcpy(&length, bytes->data, LENGTH_SIZE);
    length = le32toh(length);
    if (length < SEQUENCE_SIZE || length > bytes->len - LENGTH_SIZE) {
        return STR_NONE;
    }
    struct str row = str_slice(*bytes, LENGTH_SIZE, LENGTH_SIZE + length);
    *bytes = str_slice(*bytes, LENGTH_SIZE + length, bytes->len);
    return row;
}

/* The number is the first field. */
static uint64_t sequence_of(struct str row)
{
    uint64_t sequence;

    memcpy(&sequence, row.data, SEQUENCE_SIZE);
    return le64toh(sequence);
}

void block_open(struct block *block, uint64_t first, struct str bytes)
{
    uint64_t next = first;

    block->first = first;
    block->count = 0;
    while (bytes.len > 0 && block->count < BLOCK_ROWS_MAX) {
        struct str row = take_row(&bytes);
        if (row.len == 0) {
            /* And whatever is behind it is lost. */
            block->rows[block->count++] = (struct block_row){.sequence = next};
            return;
        }
        uint64_t sequence = sequence_of(row);
        if (sequence >= next && sequence <= INT64_MAX) {
            block->rows[block->count++] = (struct block_row){sequence, row};
            next = sequence + 1;
        }
    }
}

bool block_read(const struct block *block, size_t i, struct message_row_audit *ret_row)
{
    return block->rows[i].bytes.len > 0 &&
           wire_decode(message_schema(MESSAGE_ROW_AUDIT), block->rows[i].bytes, NULL, ret_row);
}

size_t block_below(const struct block *block, uint64_t sequence)
{
    size_t low = 0, high = block->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (block->rows[middle].sequence < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}
