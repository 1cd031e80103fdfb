/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members: the members of a request's JSON object.
 */
#ifndef CONTROL_MEMBERS_H
#define CONTROL_MEMBERS_H

#include <jansson.h>

#include "base/err.h"

/* 0, or -1 with the name of a member that is not in `known`, which ends with NULL.  What is no
 * object has no members. */
int members_known(json_t *json, const char *const *known, struct err *err);

#endif
