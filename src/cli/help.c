/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/help.h"

#include <stdio.h>

#include "base/str.h"

static void print_option(const struct option *option)
{
    char left[64];

    (void)snprintf(left, sizeof(left), "--%s%s%s", option->name,
                   option->argument == NULL ? "" : " ",
                   option->argument == NULL ? "" : option->argument);
    (void)printf("  %-28s %s%s\n", left, option->help,
                 option->required  ? " (required)"
                 : option->repeats ? " (may be repeated)"
                                   : "");
}

void help_print_command(const struct command *command)
{
    bool options_first = str_starts(str_from(command->arguments), STR("-- "));

    (void)printf("keybrake %s%s%s%s%s\n\n%s\n\n", command->name, options_first ? " [options]" : "",
                 command->arguments[0] == '\0' ? "" : " ", command->arguments,
                 options_first ? "" : " [options]", command->summary);
    for (size_t i = 0; i < *command->option_count; i++) {
        print_option(&command->options[i]);
    }
    for (size_t i = 0; i < common_option_count; i++) {
        print_option(&common_options[i]);
    }
}

void help_print(void)
{
    (void)printf("keybrake keeps real API keys out of the places where agents run code.\n\n");
    for (size_t i = 0; i < command_count; i++) {
        (void)printf("  %-20s %s\n", commands[i].name, commands[i].summary);
    }
    (void)printf("\nkeybrake COMMAND --help tells more.  A first run:\n\n"
                 "  keybrake init                              make the data directory\n"
                 "  keybrake serve &                           start the broker\n"
                 "  keybrake credential put stripe --vendor stripe   store the real key\n"
                 "  keybrake key issue --vendor stripe --cap 50 --allow '/v1/payment_intents'\n");
}

static bool is_of_group(const struct command *command, const char *word)
{
    struct str rest = str_from(command->name);
    struct str first = str_take_until(&rest, ' ');

    return rest.len > 0 && str_equal(first, str_from(word));
}

bool help_has_group(const char *word)
{
    for (size_t i = 0; i < command_count; i++) {
        if (is_of_group(&commands[i], word)) {
            return true;
        }
    }
    return false;
}

void help_print_group(const char *word)
{
    for (size_t i = 0; i < command_count; i++) {
        if (is_of_group(&commands[i], word)) {
            (void)printf("  keybrake %s%s%s\n      %s\n", commands[i].name,
                         commands[i].arguments[0] == '\0' ? "" : " ", commands[i].arguments,
                         commands[i].summary);
        }
    }
}

/* ---- the manual page ---- */

/* groff reads a leading dot or quote as a request, and a bare '-' as a hyphen. */
static void print_groff(const char *text)
{
    if (text[0] == '.' || text[0] == '\'') {
        (void)fputs("\\&", stdout);
    }
    for (; *text != '\0'; text++) {
        if (*text == '-' || *text == '\\') {
            (void)putchar('\\');
        }
        (void)putchar(*text);
    }
}

static void print_manual_option(const struct option *option)
{
    (void)fputs(".TP\n.B ", stdout);
    print_groff("--");
    print_groff(option->name);
    if (option->argument != NULL) {
        (void)fputs(" \\fI", stdout);
        print_groff(option->argument);
        (void)fputs("\\fR", stdout);
    }
    (void)putchar('\n');
    print_groff(option->help);
    (void)printf("%s%s.\n", option->required ? " (required)" : "",
                 option->repeats ? " (may be repeated)" : "");
}

void help_print_manual(void)
{
    (void)puts(
        ".TH KEYBRAKE 1\n.SH NAME\nkeybrake \\- keeps real API keys out of the places where "
        "agents run code\n.SH SYNOPSIS\n.B keybrake\n.I command\n.RI [ options ]\n"
        ".SH DESCRIPTION\nThe operator stores the real key of a vendor once; a sandbox gets a "
        "vault key: for one vendor, named endpoints, so many dollars a day, a short life. "
        "keybrake checks each request, swaps the real key in, forwards, counts the money and "
        "keeps the record.\n.PP\nEvery command takes\n.B \\-\\-data\n.I DIR\nand\n"
        ".BR \\-\\-help .\nIt talks to the server of that data directory, or to "
        "$KEYBRAKE_URL with the token in $KEYBRAKE_TOKEN.\n.SH COMMANDS");
    for (size_t i = 0; i < command_count; i++) {
        (void)fputs(".SS ", stdout);
        print_groff(commands[i].name);
        (void)putchar(' ');
        print_groff(commands[i].arguments);
        (void)putchar('\n');
        print_groff(commands[i].summary);
        (void)puts(".");
        for (size_t k = 0; k < *commands[i].option_count; k++) {
            print_manual_option(&commands[i].options[k]);
        }
    }
    (void)puts(
        ".SH ENVIRONMENT\n.TP\n.B KEYBRAKE_DATA\nthe data directory, where \\-\\-data does not say "
        "it.\n"
        ".TP\n.B KEYBRAKE_URL\na server elsewhere: https://HOST:PORT, or a tunnel's loopback end.\n"
        ".TP\n.B KEYBRAKE_TOKEN\nan operator's token.\n"
        ".TP\n.B KEYBRAKE_CA\na file of CAs to trust instead of the system's.\n"
        ".SH EXIT STATUS\n0 done, 1 refused or failed (one sentence on standard error), 2 usage.\n"
        ".SH FILES\n.TP\n.I ~/.local/state/keybrake\nthe data directory; as root "
        "/var/lib/keybrake.");
}
