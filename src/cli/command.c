/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include <assert.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/help.h"

enum { VALUES_MAX = 512, ARGUMENTS_MAX = 512, PATH_SIZE = 4096 };

struct given {
    const char *name;
    const char *value; /* NULL of a flag */
};

struct invocation {
    const struct command *command;
    struct given given[VALUES_MAX];
    size_t given_count;
    const char *arguments[ARGUMENTS_MAX];
    size_t argument_count;
};

const struct option common_options[] = {
    {"data", "DIR", "the data directory", false, false},
    {"help", NULL, "this text", false, false},
};
const size_t common_option_count = sizeof(common_options) / sizeof(common_options[0]);

int say_refused(const char *format, ...)
{
    va_list args;

    (void)fputs("keybrake: ", stderr);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    return EXIT_REFUSED;
}

int say_usage(const struct invocation *invocation, const char *format, ...)
{
    va_list args;

    (void)fputs("keybrake: ", stderr);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fprintf(stderr, "\nTry: keybrake %s --help\n",
                  invocation == NULL ? "" : invocation->command->name);
    return EXIT_USAGE;
}

/* ---- parsing ---- */

static const struct option *find_option(const struct command *command, struct str name)
{
    for (size_t i = 0; i < *command->option_count; i++) {
        if (str_equal(str_from(command->options[i].name), name)) {
            return &command->options[i];
        }
    }
    for (size_t i = 0; i < common_option_count; i++) {
        if (str_equal(str_from(common_options[i].name), name)) {
            return &common_options[i];
        }
    }
    return NULL;
}

/* What stands behind its "--" is another program's line. */
static bool runs_a_command(const struct command *command)
{
    return str_starts(str_from(command->arguments), STR("-- "));
}

/* Takes the option at argv[*at], and its value.  0, or what to exit with. */
static int take_option(struct invocation *invocation, int argc, char **argv, int *at)
{
    struct str rest = str_from(argv[*at] + 2);
    struct str name = str_take_until(&rest, '=');
    bool has_value = strchr(argv[*at], '=') != NULL;
    const struct option *option = find_option(invocation->command, name);

    if (option == NULL) {
        bool of_command = invocation->argument_count > 0 && runs_a_command(invocation->command);
        return say_usage(invocation, "there is no option --%.*s%s", STR_FMT(name),
                         of_command ? "; if it is the command's own, write -- before the command"
                                    : "");
    }
    assert(option->name != NULL);
    struct given given = {.name = option->name};
    if (option->argument == NULL && has_value) {
        return say_usage(invocation, "--%s takes no value", option->name);
    }
    if (option->argument != NULL) {
        if (!has_value && *at + 1 >= argc) {
            return say_usage(invocation, "--%s needs a value: %s", option->name, option->argument);
        }
        given.value = has_value ? strchr(argv[*at], '=') + 1 : argv[++*at];
    }
    if (!option->repeats && option_given(invocation, option->name)) {
        return say_usage(invocation, "--%s is given twice", option->name);
    }
    if (invocation->given_count == VALUES_MAX) {
        return say_usage(invocation, "more than %d options", VALUES_MAX);
    }
    invocation->given[invocation->given_count++] = given;
    return 0;
}

static int parse(struct invocation *invocation, int argc, char **argv)
{
    bool options_ended = false;

    for (int at = 0; at < argc; at++) {
        if (!options_ended && strcmp(argv[at], "--") == 0) {
            options_ended = true;
        } else if (!options_ended && strcmp(argv[at], "-h") == 0) {
            invocation->given[invocation->given_count++] = (struct given){.name = "help"};
            return 0;
        } else if (!options_ended && strncmp(argv[at], "--", 2) == 0) {
            int rc = take_option(invocation, argc, argv, &at);
            if (rc != 0) {
                return rc;
            }
        } else if (invocation->argument_count == ARGUMENTS_MAX) {
            return say_usage(invocation, "more than %d arguments", ARGUMENTS_MAX);
        } else {
            invocation->arguments[invocation->argument_count++] = argv[at];
        }
    }
    return 0;
}

/* How many arguments the row allows: words, those in brackets being optional, "..." many.  "--"
 * says only where the options end. */
static void argument_range(const char *arguments, size_t *ret_min, size_t *ret_max)
{
    struct str rest = str_from(arguments);

    *ret_min = *ret_max = 0;
    while (rest.len > 0) {
        struct str word = str_take_until(&rest, ' ');
        if (str_equal(word, STR("--"))) {
            continue;
        }
        if (str_ends(word, STR("...")) || str_ends(word, STR("...]"))) {
            *ret_max = ARGUMENTS_MAX;
        } else {
            *ret_max += 1;
        }
        if (!str_starts(word, STR("["))) {
            *ret_min += 1;
        }
    }
}

static int check_whole(const struct invocation *invocation)
{
    const struct command *command = invocation->command;
    size_t least;
    size_t most;

    argument_range(command->arguments, &least, &most);
    if (invocation->argument_count < least) {
        return say_usage(invocation, "%s needs %s", command->name, command->arguments);
    }
    if (invocation->argument_count > most) {
        return say_usage(invocation, "'%s' is one argument too many", invocation->arguments[most]);
    }
    for (size_t i = 0; i < *command->option_count; i++) {
        const struct option *option = &command->options[i];
        if (option->required && !option_given(invocation, option->name)) {
            return say_usage(invocation, "%s needs --%s%s%s: %s", command->name, option->name,
                             option->argument == NULL ? "" : " ",
                             option->argument == NULL ? "" : option->argument, option->help);
        }
    }
    return 0;
}

/* The command whose words begin the line, the longer name first, so that "audit verify" is not
 * "audit" with an argument.  *ret_words says how many words. */
static const struct command *find_command(int argc, char **argv, int *ret_words)
{
    for (int words = 2; words >= 1; words--) {
        for (size_t i = 0; i < command_count; i++) {
            struct str second = str_from(commands[i].name);
            struct str first = str_take_until(&second, ' ');
            bool two = second.len > 0;
            if (argc >= words && two == (words == 2) && str_equal(first, str_from(argv[0])) &&
                (!two || str_equal(second, str_from(argv[1])))) {
                *ret_words = words;
                return &commands[i];
            }
        }
    }
    return NULL;
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* "key", "key --help", "key isue": the commands that begin so, or that there are none. */
static int explain_unknown(int argc, char **argv)
{
    bool group = help_has_group(argv[1]);

    if (group && (argc == 2 || asks_for_help(argv[2]))) {
        help_print_group(argv[1]);
        return argc > 2 ? EXIT_DONE : EXIT_USAGE;
    }
    (void)fprintf(stderr, "keybrake: there is no command '%s%s%s'\nTry: keybrake %s\n", argv[1],
                  group ? " " : "", group ? argv[2] : "", group ? argv[1] : "help");
    return EXIT_USAGE;
}

int command_main(int argc, char **argv)
{
    struct invocation invocation = {0};
    int words = 0;

    if (argc < 2) {
        help_print();
        return EXIT_USAGE;
    }
    if (asks_for_help(argv[1])) {
        help_print();
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        static char version[] = "version";
        argv[1] = version;
    }
    invocation.command = find_command(argc - 1, argv + 1, &words);
    if (invocation.command == NULL) {
        return explain_unknown(argc, argv);
    }
    int rc = parse(&invocation, argc - 1 - words, argv + 1 + words);
    if (rc != 0) {
        return rc;
    }
    if (option_given(&invocation, "help")) {
        help_print_command(invocation.command);
        return EXIT_DONE;
    }
    rc = check_whole(&invocation);
    return rc != 0 ? rc : invocation.command->run(&invocation);
}

/* ---- what a command asks ---- */

size_t option_count(const struct invocation *invocation, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < invocation->given_count; i++) {
        count += strcmp(invocation->given[i].name, name) == 0;
    }
    return count;
}

bool option_given(const struct invocation *invocation, const char *name)
{
    return option_count(invocation, name) > 0;
}

const char *option_nth(const struct invocation *invocation, const char *name, size_t nth)
{
    for (size_t i = 0; i < invocation->given_count; i++) {
        if (strcmp(invocation->given[i].name, name) == 0 && nth-- == 0) {
            return invocation->given[i].value;
        }
    }
    return NULL;
}

const char *option_value(const struct invocation *invocation, const char *name)
{
    return option_nth(invocation, name, 0);
}

bool option_limit(const struct invocation *invocation, uint64_t *limit)
{
    const char *value = option_value(invocation, "limit");

    return value == NULL || (str_to_u64(str_from(value), limit) && *limit > 0);
}

static bool is_among(const char *name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (strcmp(name, *names) == 0) {
            return true;
        }
    }
    return false;
}

struct invocation *option_group(const struct invocation *invocation, const char *first, size_t nth,
                                const char *const *except)
{
    struct invocation *group = mem_zeroed(sizeof(*group));
    bool single = option_count(invocation, first) <= 1;
    size_t begun = 0;

    group->command = invocation->command;
    for (size_t i = 0; i < invocation->given_count; i++) {
        begun += strcmp(invocation->given[i].name, first) == 0;
        if ((single || begun == nth + 1) && !is_among(invocation->given[i].name, except)) {
            group->given[group->given_count++] = invocation->given[i];
        }
    }
    return group;
}

size_t argument_count(const struct invocation *invocation)
{
    return invocation->argument_count;
}

const char *argument_nth(const struct invocation *invocation, size_t nth)
{
    return nth < invocation->argument_count ? invocation->arguments[nth] : NULL;
}

const char *data_directory(const struct invocation *invocation)
{
    static char path[PATH_SIZE];
    const char *given = option_value(invocation, "data");

    if (given == NULL) {
        given = getenv("KEYBRAKE_DATA");
    }
    if (given != NULL && given[0] != '\0') {
        return given;
    }
    if (geteuid() == 0) {
        return "/var/lib/keybrake";
    }
    const char *home = getenv("HOME");
    if (home == NULL || home[0] == '\0') {
        const struct passwd *user = getpwuid(getuid());
        home = user == NULL ? "/" : user->pw_dir;
    }
    (void)snprintf(path, sizeof(path), "%s/.local/state/keybrake", home);
    return path;
}
