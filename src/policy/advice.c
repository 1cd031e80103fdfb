/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/advice.h"

#include "policy/allowlist.h"

/* A segment of an entry or of a template: "*" and "{x}" stand for any one. */
static bool stands_for_any(struct str segment)
{
    return str_equal(segment, STR("*")) || str_starts(segment, STR("{"));
}

static bool goes_on(struct str segment, bool last)
{
    return last && (str_equal(segment, STR("*")) || str_ends(segment, STR("...}")));
}

/* Whether there is a path that fits both.  Both begin with '/'. */
static bool paths_meet(struct str entry, struct str template)
{
    entry = str_slice(entry, 1, entry.len);
    template = str_slice(template, 1, template.len);
    for (;;) {
        bool entry_last = str_index(entry, '/', 0) == entry.len;
        bool template_last = str_index(template, '/', 0) == template.len;
        struct str e = str_take_until(&entry, '/');
        struct str t = str_take_until(&template, '/');

        if (!stands_for_any(e) && !stands_for_any(t) && !str_equal(e, t)) {
            return false;
        }
        if (goes_on(e, entry_last) || goes_on(t, template_last)) {
            return true;
        }
        if (entry_last || template_last) {
            return entry_last && template_last;
        }
    }
}

static bool method_fits(const struct entry *entry, const struct pack_match *match)
{
    return entry->method.len == 0 || str_equal(match->method, STR("*")) ||
           str_equal(entry->method, match->method);
}

static bool is_catalogued(const struct entry *entry, const struct pack *pack)
{
    for (size_t i = 0; i < pack->match_count; i++) {
        if (method_fits(entry, &pack->matches[i]) &&
            paths_meet(entry->name, pack->matches[i].path)) {
            return true;
        }
    }
    return false;
}

bool advice_on_entry(struct str text, const struct pack *pack, struct err *ret)
{
    struct entry entry;
    struct err ignored;

    if (pack->generic || entry_parse(text, pack, &entry, &ignored) < 0 ||
        entry.kind != ENTRY_PATH || is_catalogued(&entry, pack)) {
        return false;
    }
    struct str near = pack_nearest_path(pack, entry.name);
    (void)err_set(ret, "'%.*s' fits no operation of %.*s that is known here%s%.*s%s", STR_FMT(text),
                  STR_FMT(pack->vendor), near.len > 0 ? "; the nearest path is '" : "",
                  STR_FMT(near), near.len > 0 ? "'" : "");
    return true;
}
