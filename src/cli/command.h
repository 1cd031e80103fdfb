/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command: the command line as a table, from which help and the manual page are made too.
 *
 * A command is one or two words ("serve", "key issue").  Every command takes --data DIR, --help,
 * and what its row names, anywhere after its words; "--" ends the options.  A row of options:
 *
 *     {"cap", "USD|none", "dollars a day", .required = true}     one value
 *     {"allow", "ENTRY", "what it may call", .repeats = true}    any number of values
 *     {"json", NULL, "print JSON"}                               a flag
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct option {
    const char *name;
    const char *argument; /* what its value is called; NULL: a flag */
    const char *help;
    bool repeats, required;
};

struct invocation; /* one parsed command line */

/* Returns what the program exits with: 0 done, 1 refused or failed, 2 usage. */
typedef int command_run(const struct invocation *invocation);

struct command {
    const char *name;
    const char *arguments; /* "ID METHOD PATH"; "" when it takes none; "[...]" are optional */
    const char *summary;   /* one line */
    command_run *run;
    const struct option *options;
    const size_t *option_count;
};

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

/* What every command takes. */
extern const struct option common_options[];
extern const size_t common_option_count;

/* The whole table, in the order of the help. */
extern const struct command commands[];
extern const size_t command_count;

/* Finds the command, parses, runs it.  What main() returns. */
int command_main(int argc, char **argv);

bool option_given(const struct invocation *invocation, const char *name);
const char *option_value(const struct invocation *invocation, const char *name); /* or NULL */
size_t option_count(const struct invocation *invocation, const char *name);
const char *option_nth(const struct invocation *invocation, const char *name, size_t nth);

/* --limit, at least 1, into *limit, which stays where it is not given.  False: it is no such
 * number, to be refused with LIMIT_REFUSAL. */
bool option_limit(const struct invocation *invocation, uint64_t *limit);
#define LIMIT_REFUSAL "--limit is a whole number of rows, at least 1"

/* Options in groups, each begun by the option `first`: the nth of them, without those named in
 * `except` (NULL at its end).  Where there is one group at most, it has all options, whatever their
 * order.  free() it. */
struct invocation *option_group(const struct invocation *invocation, const char *first, size_t nth,
                                const char *const *except);

size_t argument_count(const struct invocation *invocation);
const char *argument_nth(const struct invocation *invocation, size_t nth); /* or NULL */

/* --data, else $KEYBRAKE_DATA, else /var/lib/keybrake as root and ~/.local/state/keybrake. */
const char *data_directory(const struct invocation *invocation);

/* One sentence on stderr, "keybrake: ...".  Returns EXIT_REFUSED and EXIT_USAGE. */
int say_refused(const char *format, ...) __attribute__((format(printf, 1, 2)));
int say_usage(const struct invocation *invocation, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
