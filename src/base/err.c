/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    return -1;
}

int err_prefix(struct err *err, const char *format, ...)
{
    char before[ERR_TEXT_SIZE / 2];
    struct err old = *err;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(before, sizeof(before), format, args);
    va_end(args);
    (void)snprintf(err->text, sizeof(err->text), "%s: %.*s", before,
                   (int)(sizeof(err->text) - sizeof(before) - 3), old.text);
    return -1;
}

int err_errno(struct err *err, const char *format, ...)
{
    int number = errno;
    char before[ERR_TEXT_SIZE / 2];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(before, sizeof(before), format, args);
    va_end(args);
    (void)snprintf(err->text, sizeof(err->text), "%s: %s", before, strerror(number));
    return -1;
}
