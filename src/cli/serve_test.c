/* SPDX-License-Identifier: Apache-2.0 */
/* The options of serve and the settings of parent/settings.c are the same things. */
#include <string.h>

#include "base/test.h"
#include "cli/commands.h"
#include "parent/settings.h"

int main(void)
{
    for (size_t i = 0; i < serve_options_count; i++) {
        const struct option *option = &serve_options[i];
        struct str name = str_from(option->name);
        if (strcmp(option->name, "config") == 0 || strcmp(option->name, "check") == 0) {
            CHECK_CASE(!settings_has(name), option->name);
            continue;
        }
        CHECK_CASE(settings_has(name), option->name);
        /* An option without a value says yes to a flag. */
        CHECK_CASE(option->argument != NULL || settings_is_flag(name), option->name);
        bool many = strcmp(option->name, "listen") == 0 || strcmp(option->name, "proxy-from") == 0;
        CHECK_CASE(option->repeats == many, option->name);
        CHECK_CASE(option->help[0] != '\0' && !option->required, option->name);
    }
    return test_done();
}
