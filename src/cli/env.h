/* SPDX-License-Identifier: Apache-2.0 */
/*
 * env: a sandbox's variables in the form that its platform takes: sh, docker, e2b, modal, fly, k8s.
 */
#ifndef CLI_ENV_H
#define CLI_ENV_H

#include <jansson.h>
#include <stdbool.h>

#include "base/str.h"

bool env_has_platform(const char *name);

/* Prints answer.env for a platform that is known, with `token` where ${token} stands. */
void env_print(const json_t *answer, const char *where, struct str token);

#endif
