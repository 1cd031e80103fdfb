/* SPDX-License-Identifier: Apache-2.0 */
#include "control/env.h"

#include "control/host.h"

enum { VALUE_MAX = 4096 };

struct values {
    struct str base, token;
    const json_t *fields;
};

static bool find_value(const struct values *values, struct str name, struct str *ret)
{
    if (str_equal(name, STR("base"))) {
        *ret = values->base;
        return values->base.len > 0;
    }
    if (str_equal(name, STR("token"))) {
        *ret = values->token;
        return true;
    }
    const json_t *field =
        values->fields == NULL ? NULL : json_object_getn(values->fields, name.data, name.len);
    if (!json_is_string(field)) {
        return false;
    }
    *ret = str_of(json_string_value(field), json_string_length(field));
    return true;
}

static bool expand(struct buf *out, struct str text, const struct values *values)
{
    while (text.len > 0) {
        struct str value;
        if (!str_starts(text, STR("${"))) {
            (void)buf_add_char(out, text.data[0]);
            text = str_slice(text, 1, text.len);
            continue;
        }
        size_t end = str_index(text, '}', 0);
        if (end == text.len || !find_value(values, str_slice(text, 2, end), &value)) {
            return false;
        }
        (void)buf_add_str(out, value);
        text = str_slice(text, end + 1, text.len);
    }
    return !out->overflow;
}

void env_write(struct json_out *out, const struct config *config, const struct pack *pack,
               struct str token, const json_t *public_fields, struct arena *arena)
{
    env_write_at(out, host_public_url(config, arena), pack, token, public_fields);
}

void env_write_at(struct json_out *out, struct str url, const struct pack *pack, struct str token,
                  const json_t *public_fields)
{
    struct values values = {.token = token, .fields = public_fields};
    struct buf base;

    buf_init(&base, VALUE_MAX);
    if (url.len > 0) {
        (void)buf_add_str(&base, url);
        (void)buf_add_char(&base, '/');
        (void)buf_add_str(&base, pack->vendor);
        values.base = buf_str(&base);
    }
    json_open(out, '{');
    for (size_t i = 0; i < pack->env_count; i++) {
        struct buf value;
        buf_init_wiped(&value, VALUE_MAX);
        if (expand(&value, pack->env[i].value, &values)) {
            json_name_str(out, pack->env[i].name);
            json_text(out, buf_str(&value));
        }
        buf_clear(&value);
    }
    json_close(out, '}');
    buf_clear(&base);
}

bool env_needs_fields(const struct pack *pack)
{
    for (size_t i = 0; i < pack->env_count; i++) {
        struct str text = pack->env[i].value;
        size_t at = 0;
        while ((at = str_index(text, '$', at)) < text.len) {
            struct str rest = str_slice(text, at, text.len);
            if (str_starts(rest, STR("${")) && !str_starts(rest, STR("${base}")) &&
                !str_starts(rest, STR("${token}"))) {
                return true;
            }
            at++;
        }
    }
    return false;
}
