/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a vendor's credential travels: its fields, the forms in which clients may present a vault
 * key, the headers and parameters that it is put into.
 */
#include <string.h>

#include "pack/load_parts.h"

enum { FIELDS_MAX = 16 };

static int load_secret(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    return json_in_bool(in, at, value, &((struct pack_field *)target)->secret);
}

static int load_required(struct json_in *in, const struct json_place *at, json_t *value,
                         void *target)
{
    return json_in_bool(in, at, value, &((struct pack_field *)target)->required);
}

static int load_prefixes(struct json_in *in, const struct json_place *at, json_t *value,
                         void *target)
{
    struct pack_field *field = target;

    return json_in_texts(in, at, value, PACK_LIST_MAX, PACK_NAME_MAX, &field->prefixes,
                         &field->prefix_count);
}

static int load_field(struct json_in *in, const struct json_place *at, json_t *value, void *element)
{
    static const struct json_member members[] = {{"secret", JSON_REQUIRED, load_secret},
                                                 {"required", JSON_OPTIONAL, load_required},
                                                 {"prefixes", JSON_OPTIONAL, load_prefixes}};
    struct pack_field *field = element;

    return load_place_name(in, at, &field->name) != 0
               ? -1
               : json_in_object(in, at, value, members, COUNT(members), field);
}

static const struct pack_field *find_field(const struct pack *pack, struct str name)
{
    for (size_t i = 0; i < pack->field_count; i++) {
        if (str_equal(pack->fields[i].name, name)) {
            return &pack->fields[i];
        }
    }
    return NULL;
}

/* The name of a field of the credential; `public_only`: it may be shown. */
static int load_field_name(struct json_in *in, const struct json_place *at, json_t *value,
                           bool public_only, struct str *ret)
{
    const struct pack *pack = load_context_of(in)->pack;

    if (json_in_text(in, at, value, PACK_NAME_MAX, ret) != 0) {
        return -1;
    }
    const struct pack_field *field = find_field(pack, *ret);
    if (field == NULL) {
        return json_in_fail(in, at, "the credential has no field \"%.*s\"", STR_FMT(*ret));
    }
    if (public_only && field->secret) {
        return json_in_fail(in, at, "the field \"%.*s\" is secret", STR_FMT(*ret));
    }
    return 0;
}

static int load_fields(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack *pack = target;

    if (json_in_map(in, at, value, FIELDS_MAX, sizeof(struct pack_field), load_field, &pack->fields,
                    &pack->field_count) != 0) {
        return -1;
    }
    for (size_t i = 0; i < pack->field_count; i++) {
        if (pack->fields[i].secret && pack->fields[i].required) {
            pack->inject.secret_field = pack->fields[i].name;
            return 0;
        }
    }
    return json_in_fail(in, at, "needs a field that is both secret and required");
}

static int load_live(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    return json_in_text(in, at, value, PACK_NAME_MAX, &((struct pack *)target)->live_mark);
}

static int load_test(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    return json_in_text(in, at, value, PACK_NAME_MAX, &((struct pack *)target)->test_mark);
}

static int load_check(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack *pack = target;

    if (json_in_text(in, at, value, PACK_TEXT_MAX, &pack->check) != 0) {
        return -1;
    }
    return str_starts(pack->check, STR("/")) ? 0 : json_in_fail(in, at, "a path begins with \"/\"");
}

static int load_accept(struct json_in *in, const struct json_place *at, json_t *value,
                       void *element)
{
    static const struct {
        const char *word;
        enum credential_form form;
    } forms[] = {{"bearer", FORM_BEARER},
                 {"token", FORM_TOKEN},
                 {"basic-user", FORM_BASIC_USER},
                 {"basic-pass", FORM_BASIC_PASS}};
    struct pack_accept *accept = element;
    struct str text;

    if (json_in_text(in, at, value, PACK_NAME_MAX, &text) != 0) {
        return -1;
    }
    if (str_starts(text, STR("header:"))) {
        accept->form = FORM_HEADER;
        return load_header_name(in, at, str_slice(text, 7, text.len), &accept->name);
    }
    for (size_t i = 0; i < COUNT(forms); i++) {
        if (str_equal(text, str_from(forms[i].word))) {
            accept->form = forms[i].form;
            return 0;
        }
    }
    return json_in_fail(in, at, "must be bearer, token, basic-user, basic-pass or header:NAME");
}

static int load_accepts(struct json_in *in, const struct json_place *at, json_t *value,
                        void *target)
{
    struct pack *pack = target;

    if (json_in_array(in, at, value, PACK_LIST_MAX, sizeof(struct pack_accept), load_accept,
                      &pack->accepts, &pack->accept_count) != 0) {
        return -1;
    }
    return pack->accept_count > 0 ? 0 : json_in_fail(in, at, "must name a form");
}

static int load_inject(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    static const struct {
        const char *word;
        enum inject_kind kind;
    } kinds[] = {{"bearer", INJECT_BEARER},
                 {"basic", INJECT_BASIC},
                 {"token", INJECT_TOKEN},
                 {"same", INJECT_SAME}};
    struct pack *pack = target;
    struct str text;

    if (json_in_text(in, at, value, PACK_NAME_MAX, &text) != 0) {
        return -1;
    }
    if (str_starts(text, STR("header:"))) {
        pack->inject.kind = INJECT_HEADER;
        return load_header_name(in, at, str_slice(text, 7, text.len), &pack->inject.header);
    }
    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (str_equal(text, str_from(kinds[i].word))) {
            pack->inject.kind = kinds[i].kind;
            return 0;
        }
    }
    return json_in_fail(in, at, "must be bearer, basic, token, same or header:NAME");
}

static int load_user(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack_inject *inject = &((struct pack *)target)->inject;
    size_t count = json_array_size(value);
    struct json_place here = {.up = at};

    if (!json_is_array(value)) {
        return json_in_text(in, at, value, PACK_NAME_MAX, &inject->user_literal);
    }
    if (count == 0 || count > FIELDS_MAX) {
        return json_in_fail(in, at, "must name 1 to %d fields", FIELDS_MAX);
    }
    inject->user_fields = arena_zeroed(in->arena, count, sizeof(struct str));
    inject->user_field_count = count;
    for (; here.index < count; here.index++) {
        if (load_field_name(in, &here, json_array_get(value, here.index), true,
                            &inject->user_fields[here.index]) != 0) {
            return -1;
        }
    }
    return 0;
}

static int load_set_header(struct json_in *in, const struct json_place *at, json_t *value,
                           void *element)
{
    struct pack_set_header *header = element;

    return load_header_name(in, at, str_from(at->name), &header->name) != 0
               ? -1
               : load_field_name(in, at, value, false, &header->field);
}

static int load_set_headers(struct json_in *in, const struct json_place *at, json_t *value,
                            void *target)
{
    struct pack *pack = target;

    return json_in_map(in, at, value, PACK_LIST_MAX, sizeof(struct pack_set_header),
                       load_set_header, &pack->set_headers, &pack->set_header_count);
}

static int load_bound_param(struct json_in *in, const struct json_place *at, json_t *value,
                            void *element)
{
    struct pack_bound_param *bound = element;

    return load_place_name(in, at, &bound->param) != 0
               ? -1
               : load_field_name(in, at, value, true, &bound->field);
}

static int load_bound_params(struct json_in *in, const struct json_place *at, json_t *value,
                             void *target)
{
    struct pack *pack = target;

    return json_in_map(in, at, value, PACK_LIST_MAX, sizeof(struct pack_bound_param),
                       load_bound_param, &pack->bound_params, &pack->bound_param_count);
}

int load_credential(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    static const struct json_member members[] = {
        {"check", JSON_OPTIONAL, load_check},      {"fields", JSON_REQUIRED, load_fields},
        {"live", JSON_OPTIONAL, load_live},        {"test", JSON_OPTIONAL, load_test},
        {"accept", JSON_REQUIRED, load_accepts},   {"inject", JSON_REQUIRED, load_inject},
        {"user", JSON_OPTIONAL, load_user},        {"headers", JSON_OPTIONAL, load_set_headers},
        {"path", JSON_OPTIONAL, load_bound_params}};
    struct pack *pack = target;

    if (json_in_object(in, at, value, members, COUNT(members), target) != 0) {
        return -1;
    }
    bool user = pack->inject.user_field_count > 0 || pack->inject.user_literal.len > 0;
    if (user && pack->inject.kind != INJECT_BASIC) {
        return json_in_fail(in, at, "\"user\" is for \"inject\": \"basic\" only");
    }
    return 0;
}
