/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/json_in.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"

enum { PLACE_SIZE = 256, REASON_SIZE = 300 };

/* "/a~1b/0" (RFC 6901), cut to fit. */
static size_t write_place(const struct json_place *at, char *out, size_t used)
{
    char number[24];

    if (at == NULL) {
        return used;
    }
    used = write_place(at->up, out, used);
    (void)snprintf(number, sizeof(number), "%zu", at->index);
    const char *name = at->name == NULL ? number : at->name;
    if (used < PLACE_SIZE - 1) {
        out[used++] = '/';
    }
    for (; *name != '\0' && used < PLACE_SIZE - 2; name++) {
        if (*name == '/' || *name == '~') {
            out[used++] = '~';
            out[used++] = *(*name == '~' ? "0" : "1");
        } else {
            bool control = (unsigned char)*name < 0x20 || *name == 0x7f;
            out[used++] = *(control ? "?" : name);
        }
    }
    return used;
}

int json_in_fail(const struct json_in *in, const struct json_place *at, const char *format, ...)
{
    char place[PLACE_SIZE + 1];
    char reason[REASON_SIZE];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    place[write_place(at, place, 0)] = '\0';
    return err_set(in->err, "%s: %s: %s", in->file, at == NULL ? "/" : place, reason);
}

json_t *json_in_parse(struct json_in *in, struct str text)
{
    json_error_t error;
    json_t *root = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &error);

    if (root == NULL) {
        (void)err_set(in->err, "%s: line %d, column %d: %s", in->file, error.line, error.column,
                      error.text);
    }
    return root;
}

static int check_note(struct json_in *in, const struct json_place *at, json_t *value)
{
    size_t i;
    json_t *line;

    if (json_is_string(value)) {
        return 0;
    }
    if (!json_is_array(value)) {
        return json_in_fail(in, at, "a note is a text or a list of texts");
    }
    json_array_foreach(value, i, line)
    {
        if (!json_is_string(line)) {
            return json_in_fail(in, at, "a note is a text or a list of texts");
        }
    }
    return 0;
}

static bool is_member(const char *name, const struct json_member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(members[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static int check_names(struct json_in *in, const struct json_place *at, json_t *value,
                       const struct json_member *members, size_t count)
{
    const char *name;
    json_t *member;

    json_object_foreach(value, name, member)
    {
        struct json_place here = {.up = at, .name = name};
        if (strcmp(name, "note") == 0) {
            if (check_note(in, &here, member) != 0) {
                return -1;
            }
        } else if (!is_member(name, members, count)) {
            return json_in_fail(in, &here, "no such member is known here");
        }
    }
    return 0;
}

int json_in_object(struct json_in *in, const struct json_place *at, json_t *value,
                   const struct json_member *members, size_t count, void *target)
{
    if (!json_is_object(value)) {
        return json_in_fail(in, at, "must be an object");
    }
    if (check_names(in, at, value, members, count) != 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        struct json_place here = {.up = at, .name = members[i].name};
        json_t *member = json_object_get(value, members[i].name);
        if (member == NULL) {
            if (members[i].need == JSON_REQUIRED) {
                return json_in_fail(in, at, "needs a member \"%s\"", members[i].name);
            }
        } else if (members[i].load(in, &here, member, target) != 0) {
            return -1;
        }
    }
    return 0;
}

static int check_count(struct json_in *in, const struct json_place *at, size_t count, size_t max)
{
    return count <= max ? 0
                        : json_in_fail(in, at, "has %zu elements, at most %zu can be", count, max);
}

static void give(void *ret_elements, size_t *ret_count, void *elements, size_t count)
{
    memcpy(ret_elements, &elements, sizeof(elements));
    *ret_count = count;
}

int json_in_array(struct json_in *in, const struct json_place *at, json_t *value, size_t max,
                  size_t size, json_loader *load, void *ret_elements, size_t *ret_count)
{
    size_t count = json_array_size(value);
    struct json_place here = {.up = at};

    if (!json_is_array(value)) {
        return json_in_fail(in, at, "must be an array");
    }
    if (check_count(in, at, count, max) != 0) {
        return -1;
    }
    unsigned char *elements = arena_zeroed(in->arena, count, size);
    for (; here.index < count; here.index++) {
        if (load(in, &here, json_array_get(value, here.index), elements + here.index * size) != 0) {
            return -1;
        }
    }
    give(ret_elements, ret_count, elements, count);
    return 0;
}

int json_in_map(struct json_in *in, const struct json_place *at, json_t *value, size_t max,
                size_t size, json_loader *load, void *ret_elements, size_t *ret_count)
{
    const char *name;
    json_t *member;
    size_t used = 0;

    if (!json_is_object(value)) {
        return json_in_fail(in, at, "must be an object");
    }
    if (check_count(in, at, json_object_size(value), max) != 0) {
        return -1;
    }
    unsigned char *elements = arena_zeroed(in->arena, json_object_size(value), size);
    json_object_foreach(value, name, member)
    {
        struct json_place here = {.up = at, .name = name};
        bool note = strcmp(name, "note") == 0;
        int result =
            note ? check_note(in, &here, member) : load(in, &here, member, elements + used * size);
        if (result != 0) {
            return -1;
        }
        used += !note;
    }
    give(ret_elements, ret_count, elements, used);
    return 0;
}

static bool has_controls(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

int json_in_text(struct json_in *in, const struct json_place *at, json_t *value, size_t max,
                 struct str *ret)
{
    struct str text = str_of(json_string_value(value), json_string_length(value));

    if (!json_is_string(value)) {
        return json_in_fail(in, at, "must be a text");
    }
    if (text.len == 0) {
        return json_in_fail(in, at, "must not be empty");
    }
    if (text.len > max) {
        return json_in_fail(in, at, "is longer than %zu bytes", max);
    }
    if (has_controls(text)) {
        return json_in_fail(in, at, "has a control character");
    }
    *ret = arena_copy(in->arena, text);
    return 0;
}

int json_in_texts(struct json_in *in, const struct json_place *at, json_t *value, size_t max_count,
                  size_t max, struct str **ret, size_t *ret_count)
{
    size_t count = json_array_size(value);
    struct json_place here = {.up = at};

    if (!json_is_array(value)) {
        return json_in_fail(in, at, "must be an array of texts");
    }
    if (check_count(in, at, count, max_count) != 0) {
        return -1;
    }
    struct str *texts = arena_zeroed(in->arena, count, sizeof(struct str));
    for (; here.index < count; here.index++) {
        if (json_in_text(in, &here, json_array_get(value, here.index), max, &texts[here.index]) !=
            0) {
            return -1;
        }
    }
    *ret = texts;
    *ret_count = count;
    return 0;
}

int json_in_bool(struct json_in *in, const struct json_place *at, json_t *value, bool *ret)
{
    if (!json_is_boolean(value)) {
        return json_in_fail(in, at, "must be true or false");
    }
    *ret = json_is_true(value);
    return 0;
}

int json_in_integer(struct json_in *in, const struct json_place *at, json_t *value, uint64_t min,
                    uint64_t max, uint64_t *ret)
{
    json_int_t number = json_integer_value(value);

    if (!json_is_integer(value) || number < 0 || (uint64_t)number < min || (uint64_t)number > max) {
        return json_in_fail(in, at, "must be a whole number from %llu to %llu",
                            (unsigned long long)min, (unsigned long long)max);
    }
    *ret = (uint64_t)number;
    return 0;
}

int json_in_word(struct json_in *in, const struct json_place *at, json_t *value,
                 const char *const *words, size_t count, size_t *ret)
{
    char known[REASON_SIZE / 2];
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        if (json_is_string(value) && strcmp(json_string_value(value), words[i]) == 0) {
            *ret = i;
            return 0;
        }
        int written =
            snprintf(known + used, sizeof(known) - used, "%s%s", i == 0 ? "" : ", ", words[i]);
        assert(written > 0 && (size_t)written < sizeof(known) - used);
        used += (size_t)written;
    }
    return json_in_fail(in, at, "must be one of: %s", known);
}

int json_in_date(struct json_in *in, const struct json_place *at, json_t *value, int64_t *ret_ms)
{
    char text[CLOCK_TEXT_SIZE];
    const char *date = json_is_string(value) ? json_string_value(value) : "";

    (void)snprintf(text, sizeof(text), "%sT00:00:00Z", strlen(date) == 10 ? date : "");
    if (!clock_parse_rfc3339(str_from(text), ret_ms)) {
        return json_in_fail(in, at, "must be a date such as \"2026-11-23\"");
    }
    return 0;
}
