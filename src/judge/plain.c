/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/plain.h"

#include "http/names.h"
#include "judge/decide.h"
#include "pack/form.h"

/* ---- the method ---- */

/* "x-http-method-override" in whatever spelling a server may take it. */
static bool is_override(struct str name)
{
    static const char *const folded[] = {"xhttpmethodoverride", "xhttpmethod", "xmethodoverride"};

    for (size_t i = 0; i < sizeof(folded) / sizeof(folded[0]); i++) {
        if (name_is_like(name, str_from(folded[i]))) {
            return true;
        }
    }
    return false;
}

static bool query_overrides(struct str query, struct arena *arena)
{
    struct form_scan scan;
    struct form_pair pair;

    if (!str_has(query, STR("ethod")) && !str_has(query, STR("ETHOD")) &&
        !str_has(query, STR("%"))) {
        return false;
    }
    form_begin(&scan, query, arena);
    while (form_next(&scan, &pair)) {
        if (str_equal_nocase(pair.name, STR("_method"))) {
            return true;
        }
    }
    return false;
}

bool plain_method(const struct message_admit *admit, struct arena *arena, struct decision *decision)
{
    for (size_t i = 0; i < admit->header_count; i++) {
        struct str name = admit->headers[i].name;
        if (name.len > 0 && name.data[0] == 'x' && is_override(name)) {
            (void)refuse(decision, VERDICT_BAD_REQUEST,
                         "%.*s asks for another method than the request has; send the method that "
                         "is meant",
                         STR_FMT(str_slice(name, 0, 64)));
            return false;
        }
    }
    if (admit->query.len > 0 && query_overrides(admit->query, arena)) {
        (void)refuse(decision, VERDICT_BAD_REQUEST,
                     "_method in the query asks for another method than the request has; send the "
                     "method that is meant");
        return false;
    }
    return true;
}

/* ---- the body's type ---- */

static struct str unquoted(struct str value)
{
    bool quoted = value.len >= 2 && str_starts(value, STR("\"")) && str_ends(value, STR("\""));

    return quoted ? str_slice(value, 1, value.len - 1) : value;
}

/* Nothing, or charset=utf-8: in any other a server would read other names and numbers. */
static bool parameters_are_plain(struct str rest)
{
    struct str value = str_trim(rest);
    struct str name = str_take_until(&value, '=');

    if (name.len == 0 && value.len == 0) {
        return true;
    }
    return str_equal_nocase(str_trim(name), STR("charset")) &&
           str_equal_nocase(unquoted(value), STR("utf-8"));
}

static bool type_is(const struct message_admit *admit, const char *wanted,
                    struct decision *decision)
{
    size_t count = 0;
    struct str value = admit_header(admit, STR("content-type"), &count);
    struct str type = str_trim(str_take_until(&value, ';'));

    if (count > 1 || (count == 0 && wanted != NULL) ||
        (wanted != NULL && !str_equal_nocase(type, str_from(wanted)))) {
        (void)refuse(decision, VERDICT_BAD_REQUEST,
                     "the body of this request must be of one Content-Type, %s",
                     wanted == NULL ? "whichever" : wanted);
        return false;
    }
    if (wanted != NULL && !parameters_are_plain(value)) {
        (void)refuse(decision, VERDICT_BAD_REQUEST,
                     "the Content-Type of this request may have no parameter but charset=utf-8");
        return false;
    }
    return true;
}

bool plain_body_type(const struct message_admit *admit, struct decision *decision)
{
    static const char *const types[ENCODING_COUNT] = {
        [ENCODING_FORM] = "application/x-www-form-urlencoded",
        [ENCODING_JSON] = "application/json",
        [ENCODING_MULTIPART] = "multipart/form-data",
    };
    const struct config *config = decision->generation->config;
    size_t count = 0, codings = 0;
    bool empty =
        admit->body == BODY_NONE || (admit->body == BODY_LENGTH && admit->content_length == 0);

    (void)admit_header(admit, STR("content-type"), &count);
    if (count == 0 && empty) {
        return true;
    }
    /* A vendor that decodes it would read another body than we do. */
    struct str coding = admit_header(admit, STR("content-encoding"), &codings);
    if (codings > 1 || (codings == 1 && !str_equal_nocase(coding, STR("identity")))) {
        (void)refuse(decision, VERDICT_BAD_REQUEST,
                     "the body of this request must be sent as it is, without Content-Encoding");
        return false;
    }
    return type_is(admit, types[config->reads[decision->read_rule].encoding], decision);
}
