/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a vendor says no: the statuses, headers and body of a denial.
 */
#include <string.h>

#include "pack/load_parts.h"

static int load_denial_status(struct json_in *in, const struct json_place *at, json_t *value,
                              void *element)
{
    struct pack_status *status = element;
    uint64_t number;

    if (load_place_name(in, at, &status->code) != 0 ||
        json_in_integer(in, at, value, 200, 599, &number) != 0) {
        return -1;
    }
    status->status = (uint32_t)number;
    return 0;
}

static int load_statuses(struct json_in *in, const struct json_place *at, json_t *value,
                         void *target)
{
    struct pack_deny *deny = target;

    return json_in_map(in, at, value, PACK_LIST_MAX, sizeof(struct pack_status), load_denial_status,
                       &deny->statuses, &deny->status_count);
}

static int check_placeholders(struct json_in *in, const struct json_place *at, struct str text)
{
    static const char *const known[] = {"code", "message", "status", "request_id", "type", "urn"};

    for (size_t i = str_index(text, '$', 0); i < text.len; i = str_index(text, '$', i + 1)) {
        struct str rest = str_slice(text, i, text.len);
        size_t end = str_index(rest, '}', 0);
        bool found = !str_starts(rest, STR("${"));
        for (size_t k = 0; !found && k < COUNT(known); k++) {
            found = str_equal(str_slice(rest, 2, end), str_from(known[k])) && end < rest.len;
        }
        if (!found) {
            return json_in_fail(in, at,
                                "a placeholder is ${code}, ${message}, ${status}, "
                                "${request_id}, ${type} or ${urn}");
        }
    }
    return 0;
}

static int load_denial_header(struct json_in *in, const struct json_place *at, json_t *value,
                              void *element)
{
    struct message_header *header = element;

    if (load_header_name(in, at, str_from(at->name), &header->name) != 0 ||
        json_in_text(in, at, value, PACK_TEXT_MAX, &header->value) != 0) {
        return -1;
    }
    return check_placeholders(in, at, header->value);
}

static int load_denial_headers(struct json_in *in, const struct json_place *at, json_t *value,
                               void *target)
{
    struct pack_deny *deny = target;

    return json_in_map(in, at, value, PACK_LIST_MAX / 4, sizeof(struct message_header),
                       load_denial_header, &deny->headers, &deny->header_count);
}

static int load_content_type(struct json_in *in, const struct json_place *at, json_t *value,
                             void *target)
{
    return json_in_text(in, at, value, PACK_NAME_MAX, &((struct pack_deny *)target)->content_type);
}

/* A value that is "${status}" and nothing else is a number in the answer. */
static struct str unquote_status(struct arena *arena, struct str body)
{
    struct str quoted = STR("\"${status}\"");
    char *out = arena_zeroed(arena, body.len, 1);
    size_t used = 0;

    while (body.len > 0) {
        bool here = str_starts(body, quoted);
        size_t take = here ? quoted.len : 1;
        size_t skip = here ? 1 : 0;
        memcpy(out + used, body.data + skip, take - 2 * skip);
        used += take - 2 * skip;
        body = str_slice(body, take, body.len);
    }
    return str_of(out, used);
}

static int load_body(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack_deny *deny = target;
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    struct str body = str_from(text);
    int result = 0;

    if (body.len == 0 || body.len > PACK_BODY_MAX) {
        result = json_in_fail(in, at, "is longer than %d bytes", PACK_BODY_MAX);
    } else if (check_placeholders(in, at, body) != 0) {
        result = -1;
    } else {
        deny->body = unquote_status(in->arena, body);
    }
    free(text);
    return result;
}

static int load_type(struct json_in *in, const struct json_place *at, json_t *value, void *element)
{
    struct pack_type *type = element;

    return load_place_name(in, at, &type->code) != 0
               ? -1
               : json_in_text(in, at, value, PACK_NAME_MAX, &type->type);
}

static int load_types(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack_deny *deny = target;

    return json_in_map(in, at, value, PACK_LIST_MAX, sizeof(struct pack_type), load_type,
                       &deny->types, &deny->type_count);
}

int load_deny(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    static const struct json_member members[] = {{"statuses", JSON_OPTIONAL, load_statuses},
                                                 {"headers", JSON_OPTIONAL, load_denial_headers},
                                                 {"content_type", JSON_OPTIONAL, load_content_type},
                                                 {"body", JSON_OPTIONAL, load_body},
                                                 {"types", JSON_OPTIONAL, load_types}};

    return json_in_object(in, at, value, members, COUNT(members), &((struct pack *)target)->deny);
}
