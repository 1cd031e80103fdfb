/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/number.h"

#include <inttypes.h>

#include "judge/record.h"

enum { STEP = 100000 };

static const char *const names[NUMBER_COUNT] = {
    [NUMBER_KEY] = "ceiling_key",
    [NUMBER_HOLD] = "ceiling_hold",
    [NUMBER_GRANT] = "ceiling_grant",
};

void number_init(struct judge *judge)
{
    for (size_t i = 0; i < NUMBER_COUNT; i++) {
        judge->numbers[i].next = 1;
    }
}

uint64_t number_take(struct judge *judge, enum number kind)
{
    uint64_t number = judge->numbers[kind].next++;
    char text[24];

    if (number >= judge->numbers[kind].ceiling) {
        judge->numbers[kind].ceiling = number + STEP;
        (void)snprintf(text, sizeof(text), "%" PRIu64, judge->numbers[kind].ceiling);
        struct message_row_meta row = {.name = str_from(names[kind]), .value = str_from(text)};
        record_row(judge, MESSAGE_ROW_META, &row);
    }
    return number;
}

void number_seen(struct judge *judge, enum number kind, uint64_t number)
{
    if (number >= judge->numbers[kind].next) {
        judge->numbers[kind].next = number + 1;
    }
}

bool number_load(struct judge *judge, const struct message_row_meta *row)
{
    for (size_t i = 0; i < NUMBER_COUNT; i++) {
        uint64_t ceiling;
        if (str_equal(row->name, str_from(names[i])) && str_to_u64(row->value, &ceiling)) {
            judge->numbers[i].next = ceiling;
            return true;
        }
    }
    return false;
}
