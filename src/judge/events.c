/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/events.h"

#include <inttypes.h>

#include "ledger/look.h"
#include "pack/cost_object.h"

enum { QUERY_MAX = 512 };

struct str events_query(struct arena *arena, const struct pack_events *events, int64_t opened_at_ms,
                        unsigned looks, struct str after)
{
    struct str rest = events->query;
    int64_t from, to;
    struct buf out;

    look_events_span(opened_at_ms, looks, &from, &to);
    buf_init(&out, QUERY_MAX);
    while (rest.len > 0) {
        size_t open = str_index(rest, '{', 0);
        size_t close = str_index(rest, '}', open);
        (void)buf_add_str(&out, str_slice(rest, 0, open));
        if (open < rest.len) {
            bool since = str_equal(str_slice(rest, open + 1, close), STR("since"));
            (void)buf_addf(&out, "%" PRId64, since ? from : to);
        }
        rest = str_slice(rest, close < rest.len ? close + 1 : close, rest.len);
    }
    if (after.len > 0) {
        (void)buf_addf(&out, "&%.*s=%.*s", STR_FMT(events->after), STR_FMT(after));
    }
    struct str copy = arena_copy(arena, buf_str(&out));
    buf_clear(&out);
    return copy;
}

static struct str part_of(const struct message_facts *facts, uint32_t event, uint32_t part)
{
    uint32_t at = 1 + event * PACK_EVENT_PARTS + part;

    return at < facts->fact_count && facts->facts[at].kind == FACT_TEXT ? facts->facts[at].text
                                                                        : STR_NONE;
}

bool events_read(const struct pack_events *events, const struct message_facts *facts,
                 void (*visit)(void *ctx, const struct event *event), void *ctx,
                 struct str *ret_last)
{
    bool more =
        facts->fact_count > 0 && facts->facts[0].kind == FACT_BOOL && facts->facts[0].number == 1;

    *ret_last = STR_NONE;
    for (uint32_t i = 0; i < events->count; i++) {
        struct str id = part_of(facts, i, PACK_EVENT_ID);
        const struct event event = {.key = part_of(facts, i, PACK_EVENT_KEY),
                                    .object = part_of(facts, i, PACK_EVENT_OBJECT),
                                    .kind = part_of(facts, i, PACK_EVENT_KIND)};
        *ret_last = id.len > 0 ? id : *ret_last;
        if (event.key.len > 0 && cost_is_object_id(event.object)) {
            visit(ctx, &event);
        }
    }
    return more && cost_is_object_id(*ret_last);
}
