/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every request that a real SDK was seen to send must go to the operation that a person would
 * name.  The file has one request a line: as it was sent, and what a person says it is.
 */
#include <jansson.h>
#include <string.h>

#include "base/encode.h"
#include "base/test.h"
#include "http/url.h"
#include "pack/cost.h"
#include "pack/facts.h"
#include "pack/load.h"

static const char recordings[] = "tests/data/sdk-requests.json"; /* from the root of the tree */

struct recorded {
    const char *id;
    const char *vendor;
    const char *operation; /* NULL: not in the catalogue, or refused */
    const char *refused;
    const char *upstream;
    struct str method, path, query;
};

static struct recorded recorded_of(json_t *entry)
{
    struct str rest = str_from(json_string_value(json_object_get(entry, "request")));
    struct recorded r = {
        .id = json_string_value(json_object_get(entry, "id")),
        .vendor = json_string_value(json_object_get(entry, "vendor")),
        .operation = json_string_value(json_object_get(entry, "operation")),
        .refused = json_string_value(json_object_get(entry, "refused")),
        .upstream = json_string_value(json_object_get(entry, "upstream")),
    };

    r.method = str_take_until(&rest, ' ');
    r.query = str_take_until(&rest, ' ');
    r.path = str_take_until(&r.query, '?');
    return r;
}

/* A first segment that names a vendor is its door; else the vendor is the key's. */
static void take_vendor(const struct config *config, struct recorded *r)
{
    struct str rest = str_slice(r->path, 1, r->path.len);
    struct str first = str_take_until(&rest, '/');

    if (config_find_pack(config, first) != PACK_NONE) {
        CHECK_CASE(str_equal(first, str_from(r->vendor)), r->id);
        r->path = str_slice(r->path, 1 + first.len, r->path.len);
    }
}

/* ---- the credential ---- */

static bool accepts(const struct pack *pack, enum credential_form form, struct str name)
{
    for (size_t i = 0; i < pack->accept_count; i++) {
        if (pack->accepts[i].form == form && str_equal_nocase(pack->accepts[i].name, name)) {
            return true;
        }
    }
    return false;
}

static bool header_fits(const struct pack *pack, struct str name, struct str value)
{
    if (!str_equal_nocase(name, STR("authorization"))) {
        return accepts(pack, FORM_HEADER, name);
    }
    struct str scheme = str_take_until(&value, ' ');
    if (str_equal_nocase(scheme, STR("basic"))) {
        return accepts(pack, FORM_BASIC_PASS, STR_NONE) || accepts(pack, FORM_BASIC_USER, STR_NONE);
    }
    return (str_equal_nocase(scheme, STR("bearer")) && accepts(pack, FORM_BEARER, STR_NONE)) ||
           (str_equal_nocase(scheme, STR("token")) && accepts(pack, FORM_TOKEN, STR_NONE));
}

static void check_credential(const struct config *config, const struct pack *pack, json_t *entry,
                             const char *id)
{
    json_t *header;
    size_t i;
    bool presented = false;
    bool fits = false;

    json_array_foreach(json_object_get(entry, "headers"), i, header)
    {
        struct str name = str_from(json_string_value(json_array_get(header, 0)));
        struct str value = str_from(json_string_value(json_array_get(header, 1)));
        if (header_is_credential(config, name)) {
            presented = true;
            fits = fits || header_fits(pack, name, value);
        }
    }
    CHECK_CASE(fits || !presented, id);
}

/* ---- the money ---- */

static void check_amount(const struct config *config, const struct pack *pack,
                         const struct match *match, json_t *entry, const char *id)
{
    json_t *minor = json_object_get(entry, "minor");
    uint32_t read = cost_request_read(pack, match);
    struct arena *arena = arena_new();
    struct message_facts facts = {.facts = NULL};

    if (minor != NULL) {
        CHECK_CASE(read != PACK_NONE, id);
        facts_read(&config->reads[read],
                   str_from(json_string_value(json_object_get(entry, "body"))), arena, &facts);
        const struct pack_amount *amount = &pack->costs[match->operation->cost].reserve;
        CHECK_CASE(facts.state == FACTS_OK, id);
        CHECK_CASE(facts.state == FACTS_OK &&
                       facts.facts[amount->minor].number == json_integer_value(minor),
                   id);
        CHECK_CASE(facts.state == FACTS_OK &&
                       str_equal(facts.facts[amount->currency].text,
                                 str_from(json_string_value(json_object_get(entry, "currency")))),
                   id);
    }
    arena_free(arena);
}

/* ---- one request ---- */

static void check_route(const struct config *config, const struct pack *pack,
                        const struct recorded *r, json_t *entry)
{
    struct match match;
    struct str path = r->path;
    uint32_t asked = pack_take_host(pack, &path);
    bool found = match_find(pack, asked, r->method, path, &match);

    CHECK_CASE(found == (r->operation != NULL), r->id);
    if (!found || r->operation == NULL) {
        return;
    }
    CHECK_CASE(str_equal(match.operation->name, str_from(r->operation)), r->id);
    const char *upstream = r->upstream != NULL ? r->upstream : "api";
    CHECK_CASE(str_equal(pack->upstreams[match.upstream].alias, str_from(upstream)), r->id);
    check_amount(config, pack, &match, entry, r->id);
}

static void check_recorded(const struct config *config, json_t *entry)
{
    struct recorded r = recorded_of(entry);
    uint32_t index = config_find_pack(config, str_from(r.vendor));
    const char *why = NULL;

    CHECK_CASE(index != PACK_NONE, r.id);
    if (index == PACK_NONE) {
        return;
    }
    take_vendor(config, &r);
    CHECK_CASE(url_path_is_plain(r.path, &why) == (r.refused == NULL), r.id);
    CHECK_CASE(r.query.len == 0 || url_query_is_plain(r.query, &why), r.id);
    if (r.refused == NULL) {
        check_route(config, &config->packs[index], &r, entry);
        check_credential(config, &config->packs[index], entry, r.id);
    }
}

int main(void)
{
    struct arena *arena = arena_new();
    struct config config = {.packs = NULL};
    struct err err = {.text = ""};
    json_t *entries = json_load_file(recordings, JSON_REJECT_DUPLICATES, NULL);
    json_t *entry;
    size_t i;

    bool loaded =
        load_builtin_packs(&config, arena, &err) == 0 && config_finish(&config, arena, &err) == 0;
    CHECK_CASE(loaded, err.text);
    CHECK_CASE(json_array_size(entries) > 90, recordings);
    json_array_foreach(entries, i, entry)
    {
        if (loaded) {
            check_recorded(&config, entry);
        }
    }
    json_decref(entries);
    arena_free(arena);
    return test_done();
}
