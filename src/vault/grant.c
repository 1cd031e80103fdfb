/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/grant.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/table.h"

struct grants {
    struct table table;
    struct list list; /* by due time */
    size_t parked;
};

/* ---- copies, each in one piece of memory ---- */

static size_t headers_size(const struct message_header *headers, size_t count)
{
    size_t size = count * sizeof(*headers);

    for (size_t i = 0; i < count; i++) {
        size += headers[i].name.len + headers[i].value.len;
    }
    return size;
}

static struct str put(char **at, struct str s)
{
    if (s.len == 0) {
        return STR_NONE;
    }
    memcpy(*at, s.data, s.len);
    struct str copy = {*at, s.len};
    *at += s.len;
    return copy;
}

static void copy_headers(struct message_header *to, char **at, const struct message_header *from,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        to[i].name = put(at, from[i].name);
        to[i].value = put(at, from[i].value);
    }
}

static size_t splices_size(const struct message_grant *grant)
{
    size_t size = grant->splice_count * sizeof(grant->splices[0]);

    for (size_t i = 0; i < grant->splice_count; i++) {
        size += grant->splices[i].bytes.len;
    }
    return size;
}

static struct message_grant *copy_grant(const struct message_grant *from)
{
    size_t size = sizeof(*from) + headers_size(from->headers, from->header_count) +
                  splices_size(from) + from->credential_name.len + from->inject_name.len +
                  from->method.len + from->path.len + from->query.len + from->door_base.len +
                  from->request_id.len + from->redact_count * sizeof(*from->redact);

    for (size_t i = 0; i < from->redact_count; i++) {
        size += from->redact[i].len;
    }
    struct message_grant *copy = mem_grow(NULL, 1, size); /* and all of it is written */

    *copy = *from;
    copy->headers = (struct message_header *)(copy + 1);
    copy->splices = (struct message_splice *)(copy->headers + from->header_count);
    copy->redact = (struct str *)(copy->splices + from->splice_count);
    char *at = (char *)(copy->redact + from->redact_count);
    copy_headers(copy->headers, &at, from->headers, from->header_count);
    for (size_t i = 0; i < from->splice_count; i++) {
        copy->splices[i] = from->splices[i];
        copy->splices[i].bytes = put(&at, from->splices[i].bytes);
    }
    for (size_t i = 0; i < from->redact_count; i++) {
        copy->redact[i] = put(&at, from->redact[i]);
    }
    copy->credential_name = put(&at, from->credential_name);
    copy->inject_name = put(&at, from->inject_name);
    copy->method = put(&at, from->method);
    copy->path = put(&at, from->path);
    copy->query = put(&at, from->query);
    copy->door_base = put(&at, from->door_base);
    copy->request_id = put(&at, from->request_id);
    return copy;
}

static void keep_forward(struct meeting *meeting, void *gate, uint64_t gate_incarnation,
                         const struct message_forward *forward)
{
    meeting->gate = gate;
    meeting->gate_incarnation = gate_incarnation;
    meeting->header_count = forward->header_count;
    meeting->headers = mem_grow(NULL, 1, headers_size(forward->headers, forward->header_count));
    char *at = (char *)(meeting->headers + forward->header_count);
    copy_headers(meeting->headers, &at, forward->headers, forward->header_count);
}

struct meeting *meeting_of_fetch(const struct message_grant *fetch)
{
    struct meeting *meeting = mem_zeroed(sizeof(*meeting));

    meeting->grant = fetch->grant;
    meeting->granted = copy_grant(fetch);
    list_init(&meeting->link);
    buf_init_wiped(&meeting->early, 0);
    return meeting;
}

void meeting_free(struct meeting *meeting)
{
    if (meeting == NULL) {
        return;
    }
    free(meeting->granted);
    free(meeting->headers);
    buf_clear(&meeting->early);
    free(meeting);
}

/* ---- the waiting room ---- */

struct grants *grants_new(void)
{
    struct grants *grants = mem_zeroed(sizeof(*grants));

    grants->table = TABLE_OF(struct meeting, grant);
    list_init(&grants->list);
    return grants;
}

static bool any(const struct meeting *meeting, const void *ctx)
{
    (void)meeting;
    (void)ctx;
    return true;
}

void grants_free(struct grants *grants)
{
    if (grants == NULL) {
        return;
    }
    for (struct meeting *m = grants_take_fit(grants, any, NULL); m != NULL;
         m = grants_take_fit(grants, any, NULL)) {
        meeting_free(m);
    }
    table_clear(&grants->table);
    free(grants);
}

static struct meeting *take(struct grants *grants, struct meeting *meeting)
{
    (void)table_remove(&grants->table, &meeting->grant);
    list_remove(&meeting->link);
    if (meeting->granted == NULL) {
        grants->parked--;
    }
    return meeting;
}

static struct meeting *wait_here(struct grants *grants, uint64_t grant, uint64_t due_ms)
{
    struct meeting *meeting = mem_grow(NULL, 1, sizeof(*meeting));
    struct list *behind = grants->list.prev;

    *meeting = (struct meeting){.grant = grant, .due_ms = due_ms};
    buf_init_wiped(&meeting->early, LIMIT_STREAM_WINDOW_BYTES_MAX);
    while (behind != &grants->list && LIST_THING(behind, struct meeting, link)->due_ms > due_ms) {
        behind = behind->prev;
    }
    list_add(behind->next, &meeting->link);
    table_add(&grants->table, meeting);
    return meeting;
}

struct meeting *grants_add_grant(struct grants *grants, const struct message_grant *grant,
                                 uint64_t now_ms, bool *ret_refused)
{
    struct meeting *meeting = table_find(&grants->table, &grant->grant);

    *ret_refused = false;
    if (meeting == NULL) {
        meeting = wait_here(grants, grant->grant, now_ms + grant->begin_by_ms);
        meeting->granted = copy_grant(grant);
        return NULL;
    }
    if (meeting->granted != NULL || meeting->gate_incarnation != grant->gate_incarnation) {
        *ret_refused = true;
        return NULL;
    }
    (void)take(grants, meeting);
    meeting->granted = copy_grant(grant);
    return meeting;
}

struct meeting *grants_add_forward(struct grants *grants, void *gate, uint64_t gate_incarnation,
                                   const struct message_forward *forward, uint64_t now_ms,
                                   bool *ret_refused)
{
    struct meeting *meeting = table_find(&grants->table, &forward->grant);

    *ret_refused = false;
    if (meeting == NULL && grants->parked < GRANTS_PARKED_MAX) {
        meeting = wait_here(grants, forward->grant, now_ms + LIMIT_PARK_MS);
        keep_forward(meeting, gate, gate_incarnation, forward);
        grants->parked++;
        return NULL;
    }
    if (meeting == NULL || meeting->granted == NULL ||
        meeting->granted->gate_incarnation != gate_incarnation) {
        *ret_refused = true;
        return NULL;
    }
    keep_forward(take(grants, meeting), gate, gate_incarnation, forward);
    return meeting;
}

static struct meeting *find_parked(struct grants *grants, const void *gate, uint64_t grant)
{
    struct meeting *meeting = table_find(&grants->table, &grant);

    return meeting != NULL && meeting->gate == gate ? meeting : NULL;
}

enum early grants_add_data(struct grants *grants, const void *gate, uint64_t grant,
                           struct str bytes, size_t window)
{
    struct meeting *meeting = find_parked(grants, gate, grant);

    if (meeting == NULL) {
        return EARLY_UNKNOWN;
    }
    if (meeting->ended || buf_len(&meeting->early) + bytes.len > window ||
        !buf_add_str(&meeting->early, bytes)) {
        return EARLY_TOO_MUCH;
    }
    return EARLY_KEPT;
}

enum early grants_add_end(struct grants *grants, const void *gate, uint64_t grant)
{
    struct meeting *meeting = find_parked(grants, gate, grant);

    if (meeting == NULL) {
        return EARLY_UNKNOWN;
    }
    if (meeting->ended) {
        return EARLY_TOO_MUCH;
    }
    meeting->ended = true;
    return EARLY_KEPT;
}

struct meeting *grants_take_due(struct grants *grants, uint64_t now_ms)
{
    if (list_empty(&grants->list)) {
        return NULL;
    }
    struct meeting *first = LIST_THING(grants->list.next, struct meeting, link);
    return first->due_ms <= now_ms ? take(grants, first) : NULL;
}

struct meeting *grants_take_fit(struct grants *grants,
                                bool (*fits)(const struct meeting *meeting, const void *ctx),
                                const void *ctx)
{
    for (struct list *link = grants->list.next; link != &grants->list; link = link->next) {
        struct meeting *meeting = LIST_THING(link, struct meeting, link);
        if (fits(meeting, ctx)) {
            return take(grants, meeting);
        }
    }
    return NULL;
}

bool grants_next_due(const struct grants *grants, uint64_t *ret_ms)
{
    if (list_empty(&grants->list)) {
        return false;
    }
    *ret_ms = LIST_THING(grants->list.next, const struct meeting, link)->due_ms;
    return true;
}
