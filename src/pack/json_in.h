/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_in: reads a JSON document of ours by tables of members, and tells where it is wrong.
 *
 *     static const struct json_member members[] = {
 *         {"vendor", JSON_REQUIRED, load_vendor},
 *         {"hosts", JSON_OPTIONAL, load_hosts}};
 *     return json_in_object(in, at, value, members, 2, target);
 *
 * Members are loaded in the order of the table, whatever their order in the file.  Unknown members
 * are refused; "note" (a text or a list of texts) may stand in every object.  A problem is told as
 * "FILE: JSON-POINTER: reason".
 */
#ifndef PACK_JSON_IN_H
#define PACK_JSON_IN_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct json_in {
    const char *file;
    struct arena *arena; /* what is kept goes here */
    struct err *err;
    void *context; /* of the caller */
};

/* Where we are: a list from the innermost member to the document (NULL). */
struct json_place {
    const struct json_place *up;
    const char *name; /* NULL: an element */
    size_t index;
};

int json_in_fail(const struct json_in *in, const struct json_place *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

enum json_need { JSON_OPTIONAL, JSON_REQUIRED };

typedef int json_loader(struct json_in *in, const struct json_place *at, json_t *value,
                        void *target);
struct json_member {
    const char *name;
    enum json_need need;
    json_loader *load;
};

/* Parses strictly (duplicates refused); NULL with the reason in in->err.  json_decref() it. */
json_t *json_in_parse(struct json_in *in, struct str text);

int json_in_object(struct json_in *in, const struct json_place *at, json_t *value,
                   const struct json_member *members, size_t count, void *target);

/* Calls `load` for each element of an array or, where `map` is set, of an object with names of the
 * writer's choice; at->name is the name then.  At most `max`, "note" left out; elements of
 * `size` bytes are made in the arena. */
int json_in_array(struct json_in *in, const struct json_place *at, json_t *value, size_t max,
                  size_t size, json_loader *load, void *ret_elements, size_t *ret_count);
int json_in_map(struct json_in *in, const struct json_place *at, json_t *value, size_t max,
                size_t size, json_loader *load, void *ret_elements, size_t *ret_count);

/* A text of 1 to `max` bytes without control characters; kept in the arena. */
int json_in_text(struct json_in *in, const struct json_place *at, json_t *value, size_t max,
                 struct str *ret);
int json_in_texts(struct json_in *in, const struct json_place *at, json_t *value, size_t max_count,
                  size_t max, struct str **ret, size_t *ret_count);
int json_in_bool(struct json_in *in, const struct json_place *at, json_t *value, bool *ret);
int json_in_integer(struct json_in *in, const struct json_place *at, json_t *value, uint64_t min,
                    uint64_t max, uint64_t *ret);
/* One of `words`; *ret is its index. */
int json_in_word(struct json_in *in, const struct json_place *at, json_t *value,
                 const char *const *words, size_t count, size_t *ret);
/* "2026-11-23", as its first millisecond. */
int json_in_date(struct json_in *in, const struct json_place *at, json_t *value, int64_t *ret_ms);

#endif
