/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a credential good, and may it be asked what keybrake asks the vendor by itself?  Each path of
 * the pack's objects and fetches is asked for with an id that nothing has: what is not found is
 * permitted.
 */
#include "judge/audit.h"
#include "judge/book.h"
#include "judge/calls.h"
#include "judge/fetch.h"
#include "judge/request.h"

enum { PROBES_MAX = 16, NEEDED_MAX = 12 };

static const char no_such_id[] = "keybrake_check";

struct testing;

struct probe {
    struct testing *testing;
    struct str path;
    struct str needed_for[NEEDED_MAX]; /* operations; of the configuration */
    size_t needed_count;
    struct fetch *fetch;
    uint32_t status;
    struct str problem;
};

struct testing {
    struct judge *judge;
    struct pending *pending; /* owns our arena */
    struct arena *arena;
    struct generation *generation;
    struct str name, vendor, actor;
    struct probe probes[PROBES_MAX];
    size_t count, open;
};

/* ---- what is asked ---- */

/* "/v1/charges/{id}", "/Accounts/{field:account_sid}/..."; empty when a field is not there. */
static struct str filled(const struct credential *credential, struct str text, struct arena *arena)
{
    struct str rest = text, path = STR_NONE;
    struct buf out;
    bool whole = true;

    buf_init(&out, LIMIT_TARGET_BYTES);
    while (rest.len > 0) {
        size_t open = str_index(rest, '{', 0);
        (void)buf_add_str(&out, str_slice(rest, 0, open));
        rest = str_slice(rest, open + 1, rest.len);
        if (open == text.len || rest.len == 0) {
            continue;
        }
        struct str name = str_take_until(&rest, '}');
        struct str kind = str_take_until(&name, ':');
        struct str value = str_from(no_such_id);
        if (str_equal(kind, STR("field"))) {
            value = credential_field(credential, name);
            whole = whole && value.len > 0;
        }
        (void)buf_add_str(&out, value);
    }
    if (whole && !out.overflow) {
        path = arena_copy(arena, buf_str(&out));
    }
    buf_clear(&out);
    return path;
}

static struct probe *probe_of(struct testing *testing, struct str path)
{
    for (size_t i = 0; i < testing->count; i++) {
        if (str_equal(testing->probes[i].path, path)) {
            return &testing->probes[i];
        }
    }
    if (path.len == 0 || testing->count == PROBES_MAX) {
        return NULL;
    }
    struct probe *probe = &testing->probes[testing->count++];
    *probe = (struct probe){.testing = testing, .path = path};
    return probe;
}

static void needs(struct testing *testing, struct str path, struct str operation)
{
    struct probe *probe = probe_of(testing, path);

    if (probe != NULL && probe->needed_count < NEEDED_MAX) {
        probe->needed_for[probe->needed_count++] = operation;
    }
}

static void find_probes(struct testing *testing, const struct pack *pack,
                        const struct credential *credential)
{
    (void)probe_of(testing, filled(credential, pack->check, testing->arena));
    for (size_t i = 0; i < pack->operation_count; i++) {
        const struct pack_operation *operation = &pack->operations[i];
        if (operation->cost >= pack->cost_count) {
            continue;
        }
        const struct pack_cost *cost = &pack->costs[operation->cost];
        for (size_t k = 0; k < cost->fetch_count; k++) {
            needs(testing, filled(credential, cost->fetches[k].path, testing->arena),
                  operation->name);
        }
        if (cost->kind < pack->object_count) {
            needs(testing, filled(credential, pack->objects[cost->kind].path, testing->arena),
                  operation->name);
        }
    }
}

/* ---- what came of it ---- */

static const char *result_of(const struct probe *probe)
{
    if (probe->status == 0) {
        return "unreachable";
    }
    if (probe->status == 401) {
        return "rejected";
    }
    if (probe->status == 403) {
        return "not_permitted";
    }
    /* Not found, or not understood: but asked it may be. */
    return probe->status < 500 && probe->status != 429 ? "ok" : "vendor_error";
}

static void write_probe(struct json_out *out, const struct probe *probe)
{
    json_open(out, '{');
    json_member(out, "path", probe->path);
    json_member(out, "result", str_from(result_of(probe)));
    json_member_i64(out, "status", probe->status);
    json_name(out, "needed_for");
    json_open(out, '[');
    for (size_t i = 0; i < probe->needed_count; i++) {
        json_text(out, probe->needed_for[i]);
    }
    json_close(out, ']');
    json_member(out, "detail", probe->problem);
    json_close(out, '}');
}

static const char *sentence(const struct testing *testing, struct err *room)
{
    bool permitted = true;

    for (size_t i = 0; i < testing->count; i++) {
        const char *result = result_of(&testing->probes[i]);
        if (str_equal(str_from(result), STR("rejected"))) {
            return "the vendor refuses this credential: put a valid one (keybrake credential put)";
        }
        if (str_equal(str_from(result), STR("unreachable")) ||
            str_equal(str_from(result), STR("vendor_error"))) {
            struct str why = testing->probes[i].problem;
            (void)err_set(room, "the vendor could not be asked%s%.*s", why.len > 0 ? ": " : "",
                          STR_FMT(why));
            return room->text;
        }
        permitted = permitted && !str_equal(str_from(result), STR("not_permitted"));
    }
    return permitted
               ? "the credential is good"
               : "the credential is good, but may not read what some operations need: give it "
                 "these permissions, or those requests answer cost_unknown";
}

static void finish(struct testing *testing)
{
    struct pending *pending = testing->pending;
    struct judge *judge = testing->judge;
    struct json_out out = json_begin(&pending->json);
    struct err room;
    const char *detail = sentence(testing, &room);
    bool ok = str_equal(str_from(detail), STR("the credential is good"));

    json_open(&out, '{');
    json_member(&out, "name", testing->name);
    json_member(&out, "vendor", testing->vendor);
    json_member_bool(&out, "ok", ok);
    json_member(&out, "detail", str_from(detail));
    json_name(&out, "checks");
    json_open(&out, '[');
    for (size_t i = 0; i < testing->count; i++) {
        write_probe(&out, &testing->probes[i]);
    }
    json_close(&out, ']');
    json_close(&out, '}');
    audit_control(judge, testing->actor, "credential_test", NULL, testing->name,
                  ok ? STR("good") : STR("not good"));
    generation_leave(judge, testing->generation);
    call_wait(pending); /* frees the arena, and so us, in the end */
}

static void on_answer(void *ctx, const struct fetch_answer *answer)
{
    struct probe *probe = ctx;
    struct testing *testing = probe->testing;

    probe->fetch = NULL;
    probe->status = answer->status;
    probe->problem = arena_copy(testing->arena, answer->problem);
    if (--testing->open == 0) {
        finish(testing);
    }
}

static uint32_t default_upstream(const struct pack *pack)
{
    for (uint32_t i = 0; i < pack->upstream_count; i++) {
        if (pack->upstreams[i].is_default) {
            return i;
        }
    }
    return 0;
}

void call_credential_test(struct call *call)
{
    struct judge *judge = call->judge;
    const struct credential *credential = book_credential_by_name(judge, call->message->id);

    if (credential == NULL) {
        call_refuse(call, 404, "not_found", "there is no such credential");
        return;
    }
    const struct config *config = judge->generation->config;
    uint32_t pack = config_find_pack(config, credential->vendor);
    struct arena *arena = arena_new();
    struct testing *testing = arena_zeroed(arena, 1, sizeof(*testing));
    *testing = (struct testing){.judge = judge, .arena = arena};
    testing->name = arena_copy(arena, credential->name);
    testing->vendor = arena_copy(arena, credential->vendor);
    testing->actor = arena_copy(arena, call->caller.name);
    if (pack != PACK_NONE) {
        find_probes(testing, &config->packs[pack], credential);
    }
    if (testing->count == 0 || !call_has_room(call)) {
        if (testing->count == 0) {
            call_refuse(call, 422, "cannot_test",
                        "what vendor %.*s could be asked to test a credential is not known; send a "
                        "request with a vault key",
                        STR_FMT(credential->vendor));
        }
        arena_free(arena);
        return;
    }
    testing->pending = call_pending(call, 200, 0);
    testing->pending->arena = arena;
    testing->generation = judge->generation;
    testing->generation->users++;
    testing->open = testing->count + 1; /* ours, until all are asked */
    for (size_t i = 0; i < testing->count; i++) {
        struct probe *probe = &testing->probes[i];
        struct fetch_ask ask = {.generation = judge->generation,
                                .pack_index = pack,
                                .upstream = default_upstream(&config->packs[pack]),
                                .credential = credential,
                                .path = probe->path};
        if (!fetch_begin(judge, &ask, on_answer, probe, &probe->fetch)) {
            probe->problem = STR("no vault can ask at the moment");
            testing->open--;
        }
    }
    if (--testing->open == 0) {
        finish(testing);
    }
}
