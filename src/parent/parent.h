/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parent: what `keybrake serve` is.  It starts, watches and restarts the others, binds sockets, and
 * hands out channels and configuration; it parses nothing from outside.
 *
 * SIGTERM and SIGINT drain and end it (a second one ends it at once); SIGHUP reloads certificates,
 * packs and settings.
 */
#ifndef PARENT_PARENT_H
#define PARENT_PARENT_H

#include <stdbool.h>
#include <stddef.h>

struct parent_options {
    const char *data_dir;
    const char *const *settings; /* "NAME=VALUE" as given; "config=FILE"; ended by NULL */
    bool check_only;             /* judge the settings, say so, and end */
};

/* Returns the exit status. */
int parent_serve(const struct parent_options *options);

#endif
