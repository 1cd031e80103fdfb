/* SPDX-License-Identifier: Apache-2.0 */
/*
 * help: the table of commands as text for people, on standard output.
 */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/command.h"

void help_print(void); /* all commands, a line each */
void help_print_command(const struct command *command);

/* The commands whose first word this is. */
bool help_has_group(const char *word);
void help_print_group(const char *word);

void help_print_manual(void); /* the manual page, in groff's man macros */

#endif
