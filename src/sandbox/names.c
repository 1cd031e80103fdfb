/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/names.h"

#include <stdbool.h>
#include <string.h>

#include "base/str.h"

enum {
    HEADER_BYTES = 12,
    NAME_BYTES_MAX = 255,
    LABEL_BYTES_MAX = 63,
    TYPE_A = 1,
    CLASS_IN = 1,
    FLAG_ANSWER = 0x80, /* in the third byte */
    FLAG_RECURSION_WANTED = 0x01,
    FLAG_RECURSION_DONE = 0x80, /* in the fourth */
    OPCODE_MASK = 0x78,
    POINTER_TO_QUESTION = 0xc00c,
};

enum code { CODE_OK = 0, CODE_FORMAT = 1, CODE_NOT_DONE = 4, CODE_REFUSED = 5 };

struct question {
    size_t end; /* of it, in the message */
    char name[NAME_BYTES_MAX + 1];
    size_t name_len; /* as text in lower case, without the last dot */
    unsigned type, class;
};

static unsigned u16_at(const unsigned char *bytes)
{
    return (unsigned)bytes[0] << 8 | bytes[1];
}

static void put_u16(unsigned char *bytes, unsigned value)
{
    bytes[0] = (unsigned char)(value >> 8);
    bytes[1] = (unsigned char)value;
}

/* Labels only: in a question there is nothing yet that a pointer could point to. */
static bool read_name(const unsigned char *message, size_t len, size_t *at, struct question *ret)
{
    ret->name_len = 0;
    for (;;) {
        if (*at >= len) {
            return false;
        }
        size_t label = message[(*at)++];
        if (label == 0) {
            return true;
        }
        size_t dot = ret->name_len == 0 ? 0 : 1;
        if (label > LABEL_BYTES_MAX || label > len - *at ||
            ret->name_len + dot + label > NAME_BYTES_MAX - 2) {
            return false;
        }
        if (dot > 0) {
            ret->name[ret->name_len++] = '.';
        }
        for (size_t i = 0; i < label; i++) {
            ret->name[ret->name_len++] = ascii_lower((char)message[(*at)++]);
        }
    }
}

static bool read_question(const unsigned char *message, size_t len, struct question *ret)
{
    size_t at = HEADER_BYTES;
    unsigned questions = u16_at(message + 4), answers = u16_at(message + 6),
             authorities = u16_at(message + 8), others = u16_at(message + 10);

    if (questions != 1 || answers != 0 || authorities != 0 || others > 1 ||
        !read_name(message, len, &at, ret) || len - at < 4) {
        return false;
    }
    ret->type = u16_at(message + at);
    ret->class = u16_at(message + at + 2);
    ret->end = at + 4;
    /* What follows can only be the one EDNS record, of which nothing is needed. */
    return others == 1 || ret->end == len;
}

/* FNV-1a: the same name has the same address in every sandbox and after every restart. */
static uint32_t address_of(struct str name)
{
    enum { HOSTS = 1 << 17, RESERVED = 16 };
    const uint32_t network = 0xc6120000; /* 198.18.0.0/15 */
    uint32_t hash = 2166136261u;

    if (str_equal(name, STR("localhost")) || str_ends(name, STR(".localhost"))) {
        return 0x7f000001;
    }
    if (str_equal(name, STR(NAMES_DOOR))) {
        return network + 1;
    }
    for (size_t i = 0; i < name.len; i++) {
        hash = (hash ^ (unsigned char)name.data[i]) * 16777619u;
    }
    return network + RESERVED + hash % (HOSTS - 2 * RESERVED);
}

static size_t add_address(unsigned char *out, struct str name)
{
    uint32_t address = address_of(name);

    put_u16(out, POINTER_TO_QUESTION);
    put_u16(out + 2, TYPE_A);
    put_u16(out + 4, CLASS_IN);
    put_u16(out + 6, 0);
    put_u16(out + 8, NAMES_TTL_S);
    put_u16(out + 10, 4);
    put_u16(out + 12, address >> 16);
    put_u16(out + 14, address & 0xffff);
    return 16;
}

size_t names_answer(const unsigned char *question, size_t len,
                    unsigned char answer[NAMES_ANSWER_MAX])
{
    struct question asked = {.end = HEADER_BYTES};
    enum code code = CODE_OK;

    if (len < HEADER_BYTES || len > NAMES_QUESTION_MAX || (question[2] & FLAG_ANSWER) != 0) {
        return 0;
    }
    if ((question[2] & OPCODE_MASK) != 0) {
        code = CODE_NOT_DONE;
    } else if (!read_question(question, len, &asked)) {
        code = CODE_FORMAT;
    } else if (asked.class != CLASS_IN) {
        code = CODE_REFUSED;
    }
    size_t end = code == CODE_OK || code == CODE_REFUSED ? asked.end : HEADER_BYTES;
    bool has_address = code == CODE_OK && asked.type == TYPE_A;
    memset(answer, 0, HEADER_BYTES);
    memcpy(answer, question, 2);
    memcpy(answer + HEADER_BYTES, question + HEADER_BYTES, end - HEADER_BYTES);
    answer[2] =
        (unsigned char)(FLAG_ANSWER | (question[2] & (OPCODE_MASK | FLAG_RECURSION_WANTED)));
    answer[3] = (unsigned char)(FLAG_RECURSION_DONE | code);
    put_u16(answer + 4, end > HEADER_BYTES ? 1 : 0);
    put_u16(answer + 6, has_address ? 1 : 0);
    if (has_address) {
        end += add_address(answer + end, str_of(asked.name, asked.name_len));
    }
    return end;
}
