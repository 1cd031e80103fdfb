/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem: memory that is there, or the process ends.  None of these returns NULL: sizes from outside
 * are capped before they come here, so running out is our own fault, and the parent restarts the
 * process.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#include "base/str.h"

void *mem_zeroed(size_t size);                        /* free() it */
void *mem_array(size_t count, size_t size);           /* zeroed, overflow-checked; free() it */
void *mem_grow(void *old, size_t count, size_t size); /* as realloc; what is new is not zeroed */
void *mem_copy(const void *data, size_t size);        /* free() it */
char *mem_copy_str(struct str s);                     /* NUL-terminated; free() it */

/* Overwrites `size` bytes in a way that the compiler keeps. */
void mem_wipe(void *data, size_t size);

/* Equal, in time that depends on the size only. */
int mem_equal_consttime(const void *a, const void *b, size_t size);

#endif
