/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err: why something failed, as one sentence for a person.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum { ERR_TEXT_SIZE = 512 };

struct err {
    char text[ERR_TEXT_SIZE]; /* NUL-terminated; cut when longer */
};

/* Writes the sentence and returns -1, so that a caller can `return err_set(...)`. */
int err_set(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " before what is there.  Returns -1. */
int err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* err_set with ": <the meaning of errno>" behind it. */
int err_errno(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
