/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_SIZE = 1024 };

static char process_name[32];

void log_open(const char *process)
{
    (void)snprintf(process_name, sizeof(process_name), " %s", process);
}

__attribute__((format(printf, 3, 0))) static void write_line(const char *level, const char *event,
                                                             const char *format, va_list args)
{
    char line[LINE_SIZE];
    int used = snprintf(line, sizeof(line) - 1, "keybrake%s %s %s ", process_name, level, event);

    if (used < 0) {
        return;
    }
    size_t len = (size_t)used < sizeof(line) - 2 ? (size_t)used : sizeof(line) - 2;
    int more = vsnprintf(line + len, sizeof(line) - 1 - len, format, args);
    if (more > 0) {
        len += (size_t)more < sizeof(line) - 2 - len ? (size_t)more : sizeof(line) - 2 - len;
    }
    line[len++] = '\n';
    /* One write, so that lines of several processes do not mix.  A log nobody reads is no fault. */
    if (write(STDERR_FILENO, line, len) < 0) {
        return;
    }
}

void log_info(const char *event, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line("info", event, format, args);
    va_end(args);
}

void log_warn(const char *event, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line("warn", event, format, args);
    va_end(args);
}

void log_error(const char *event, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line("error", event, format, args);
    va_end(args);
}

struct log_text log_text(struct str s)
{
    struct log_text out = {"\""};
    size_t at = 1;

    for (size_t i = 0; i < s.len && at + 6 < sizeof(out.text); i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            out.text[at++] = (char)c;
        } else {
            at += (size_t)snprintf(out.text + at, sizeof(out.text) - at, "\\x%02x", c);
        }
    }
    out.text[at++] = '"';
    out.text[at] = '\0';
    return out;
}
