/* SPDX-License-Identifier: Apache-2.0 */
/*
 * builtin: the files of packs/, as bytes in the program.  Made by tools/embed while building.
 */
#ifndef PACK_BUILTIN_H
#define PACK_BUILTIN_H

#include <stddef.h>

struct builtin {
    const char *name; /* "stripe.json" */
    const unsigned char *data;
    size_t size;
};

extern const struct builtin builtins[];
extern const size_t builtin_count;

#endif
