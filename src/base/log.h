/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: one line an event on stderr, as key=value, ready for journald.
 *
 *     log_info("listening", "address=%s tls=%s", "127.0.0.1:8787", "no");
 *     keybrake gate.0 info listening address=127.0.0.1:8787 tls=no
 *
 * Only a process's own loop logs; library code returns an err.  Values from outside go through
 * log_text() first.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/str.h"

void log_open(const char *process); /* copied; "keybrake" until then */

void log_info(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warn(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_error(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));

enum { LOG_TEXT_SIZE = 160 };
struct log_text {
    char text[LOG_TEXT_SIZE];
};
/* `s` in quotes, with everything but plain ASCII as \xNN, cut to fit. */
struct log_text log_text(struct str s);

#endif
