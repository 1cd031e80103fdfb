/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/ca.h"
#include "cli/commands.h"
#include "parent/parent.h"
#include "parent/settings.h"

enum { GIVEN_MAX = 64, TEXT_SIZE = 4096 };

/* All but "config" and "check" are settings by the same name: parent/settings.c judges them. */
const struct option serve_options[] = {
    {"listen", "ADDR:PORT|unix:PATH", "a door for sandboxes (127.0.0.1:8787)", true, false},
    {"control", "ADDR:PORT", "the operators' API (127.0.0.1:8788)", false, false},
    {"gates", "N", "how many gates, each with a reader and a vault (half the cores)", false, false},
    {"config", "FILE", "settings from a JSON object; the command line wins", false, false},
    {"check", NULL, "judge settings and packs, say so, and end", false, false},
    {"proxy-from", "NETWORK", "load balancers that must say, by the PROXY protocol, whose it is",
     true, false},
    {"public-url", "URL", "how sandboxes reach the first door", false, false},
    {"tls-cert", "FILE", "the doors' certificate chain (PEM)", false, false},
    {"tls-key", "FILE", "its private key (PEM)", false, false},
    {"insecure-listen", NULL, "listen beyond loopback without TLS: keys travel in the clear", false,
     false},
    {"ttl-max", "DURATION", "the longest life of a vault key (24h)", false, false},
    {"packs", "DIR", "more vendor packs, *.json", false, false},
    {"memory", "SIZE", "what all processes may use together (a quarter of the machine's)", false,
     false},
    {"forward", "yes|no", "whether doors are a forward proxy too: CONNECT, SOCKS5 (yes)", false,
     false},
    {"dial-private", "yes|no", "whether allowed hosts may be at private addresses (no)", false,
     false},
    {"self-revoke", "yes|no", "whether a vault key may end itself (yes)", false, false},
    {"user", "NAME", "started as root: who the processes run as (keybrake)", false, false},
};
const size_t serve_options_count = sizeof(serve_options) / sizeof(serve_options[0]);

/* The check process reads relative names from another process's view: make them absolute. */
static bool names_a_file(const char *option)
{
    return strcmp(option, "config") == 0 || strcmp(option, "tls-cert") == 0 ||
           strcmp(option, "tls-key") == 0 || strcmp(option, "packs") == 0;
}

static char *setting(const char *name, const char *value)
{
    char text[TEXT_SIZE];
    char here[TEXT_SIZE / 2];
    bool relative = names_a_file(name) && value[0] != '/' && getcwd(here, sizeof(here)) != NULL;

    (void)snprintf(text, sizeof(text), "%s=%s%s%s", name, relative ? here : "", relative ? "/" : "",
                   value);
    return mem_copy_str(str_from(text));
}

static size_t collect(const struct invocation *invocation, char **given)
{
    size_t count = 0;

    for (size_t i = 0; i < serve_options_count; i++) {
        const struct option *option = &serve_options[i];
        if (strcmp(option->name, "check") == 0) {
            continue;
        }
        for (size_t n = 0; n < option_count(invocation, option->name); n++) {
            const char *value = option_nth(invocation, option->name, n);
            if (count + 1 < GIVEN_MAX) {
                given[count++] = setting(option->name, value == NULL ? "yes" : value);
            }
        }
    }
    return count;
}

int run_serve(const struct invocation *invocation)
{
    char *given[GIVEN_MAX] = {NULL};
    char data_dir[TEXT_SIZE];
    size_t count = collect(invocation, given);

    if (realpath(data_directory(invocation), data_dir) == NULL) {
        (void)snprintf(data_dir, sizeof(data_dir), "%s", data_directory(invocation));
    }
    struct parent_options options = {.data_dir = data_dir,
                                     .settings = (const char *const *)given,
                                     .check_only = option_given(invocation, "check")};
    log_open("parent");
    if (!options.check_only) {
        ca_ensure(data_dir);
    }
    int status = parent_serve(&options);
    for (size_t i = 0; i < count; i++) {
        free(given[i]);
    }
    return status;
}
