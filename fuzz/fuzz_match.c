/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matching against the shipped packs.  Input: one byte for the pack, then "METHOD /path".  What is
 * found must really fit: the pattern, filled with the parameters found, is the path.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/limits.h"
#include "pack/match.h"
#include "shipped.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Some pattern of the operation, with the values in it, is the path. */
static bool rebuilds(const struct pack *pack, const struct match *match, struct str path)
{
    for (size_t i = 0; i < pack->match_count; i++) {
        struct str pattern = pack->matches[i].path;
        struct buf out;
        size_t used = 0;
        if (&pack->operations[pack->matches[i].operation] != match->operation) {
            continue;
        }
        buf_init(&out, 4 * LIMIT_TARGET_BYTES);
        while (pattern.len > 0) {
            size_t open = str_index(pattern, '{', 0);
            (void)buf_add_str(&out, str_slice(pattern, 0, open));
            pattern = str_slice(pattern, open, pattern.len);
            if (pattern.len > 0) {
                (void)buf_add_str(&out,
                                  used < match->param_count ? match->params[used].value : STR_NONE);
                used++;
                size_t close = str_index(pattern, '}', 0);
                pattern = str_slice(pattern, close + 1, pattern.len);
            }
        }
        bool same = str_equal(buf_str(&out), path) && used == match->param_count;
        buf_clear(&out);
        if (same) {
            return true;
        }
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct config *config = shipped();
    struct match match;

    if (size < 2 || size > LIMIT_TARGET_BYTES) {
        return 0;
    }
    const struct pack *pack = &config->packs[data[0] % config->pack_count];
    struct str path = str_of(data + 1, size - 1);
    struct str method = str_take_until(&path, ' ');
    struct str rest = path;
    if (match_find(pack, PACK_NONE, method, path, &match)) {
        assert(match.operation != NULL && match.upstream < pack->upstream_count);
        for (size_t i = 0; i < match.param_count; i++) {
            assert(match.params[i].value.len > 0);
        }
        assert(rebuilds(pack, &match, path));
        /* Whatever the case and the ending, a guarded path stays guarded. */
        assert(!operation_class_is_guarded(match.operation->class) ||
               match_guarded(pack, path) != NULL);
    } else {
        assert(match.operation == NULL);
    }
    (void)match_guarded(pack, path);
    (void)pack_take_host(pack, &rest);
    return 0;
}
