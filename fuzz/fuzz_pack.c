/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pack from anybody is taken whole or refused with a reason; what is taken goes over the wire and
 * comes back the same, and can be asked and denied with.  The first byte chooses: a pack as JSON,
 * exchange rates as JSON, or the compiled form itself.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "pack/deny.h"
#include "pack/load.h"
#include "pack/match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct config *config)
{
    struct arena *arena = arena_new();
    struct denial denial = {.code = STR("bad_request"), .status = 400, .message = STR("\"\n")};
    struct message_answer answer;
    struct match match;

    for (size_t i = 0; i < config->pack_count; i++) {
        const struct pack *pack = &config->packs[i];
        deny_render(pack, &denial, arena, &answer);
        for (size_t k = 0; k < pack->match_count && k < 32; k++) {
            const struct pack_match *m = &pack->matches[k];
            bool found = match_find(pack, m->upstream, m->method, m->path, &match);
            /* A pattern without a star method reads itself as a path. */
            assert(found || m->method.len == 0);
            (void)match_guarded(pack, m->path);
        }
    }
    arena_free(arena);
}

static void there_and_back(const struct config *config)
{
    struct arena *arena = arena_new();
    struct config again = {.packs = NULL};
    struct buf first;
    struct buf second;
    struct err err;

    buf_init(&first, CONFIG_BYTES_MAX);
    buf_init(&second, CONFIG_BYTES_MAX);
    assert(wire_encode(&config_schema, config, &first));
    assert(wire_decode(&config_schema, buf_str(&first), arena, &again));
    assert(wire_encode(&config_schema, &again, &second));
    assert(str_equal(buf_str(&first), buf_str(&second)));
    assert(config_finish(&again, arena, &err) == 0);
    ask(&again);
    buf_clear(&first);
    buf_clear(&second);
    arena_free(arena);
}

static void compiled(struct str bytes)
{
    struct arena *arena = arena_new();
    struct config config = {.packs = NULL};
    struct err err;

    if (wire_decode(&config_schema, bytes, arena, &config) &&
        config_finish(&config, arena, &err) == 0) {
        struct arena *answers = arena_new();
        struct denial denial = {.code = STR("x"), .status = 403};
        struct message_answer answer;
        struct match match;
        for (size_t i = 0; i < config.pack_count; i++) {
            (void)match_find(&config.packs[i], PACK_NONE, STR("GET"), STR("/a/b"), &match);
            deny_render(&config.packs[i], &denial, answers, &answer);
        }
        (void)header_is_credential(&config, STR("x-api-key"));
        arena_free(answers);
    }
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();
    struct config config = {.packs = NULL};
    struct err err = {.text = ""};

    if (size > 1 && data[0] == 1) {
        compiled(str_of(data + 1, size - 1));
    } else if (size > 1 && data[0] == 2) {
        (void)load_fx(&config, arena, str_of(data + 1, size - 1), "fx.json", &err);
    } else if (load_pack(&config, arena, str_of(data, size), "fuzz.json", &err) == 0) {
        assert(config_finish(&config, arena, &err) == 0);
        there_and_back(&config);
    } else {
        assert(err.text[0] != '\0');
    }
    arena_free(arena);
    return 0;
}
