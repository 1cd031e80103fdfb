/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names: header names that mean something to whoever reads messages.
 */
#ifndef HTTP_NAMES_H
#define HTTP_NAMES_H

#include "base/str.h"

enum { NAMES_SINGLE_MAX = 32 };

/* "content_length", "-transfer--encoding": a CGI-like server behind us would read them as framing.
 * `name` is in lower case. */
bool name_is_disguised_framing(struct str name);

/* Of a field that a request has at most once, a number below NAMES_SINGLE_MAX; -1 of all others.
 * `name` is in lower case. */
int name_single(struct str name);

/* Equal as to letters and digits, in any case: of what else may stand in a name ('-', '_', '.',
 * ...) some server behind us makes one and the same. */
bool name_is_like(struct str name, struct str other);
bool name_begins_like(struct str name, struct str start);

/* Another spelling of a field that a request has at most once: a server might take it for that one.
 * `name` is in lower case. */
bool name_mimics_single(struct str name);

/* May Connection say that this field is of one hop (RFC 9110 7.6.1)?  Not of what is meant for all
 * who read the message, nor of what keybrake judges.  In any spelling. */
bool name_may_be_nominated(struct str name);

/* May it stand behind a body (RFC 9110 6.5.1)?  In any spelling. */
bool name_may_trail(struct str name);

#endif
