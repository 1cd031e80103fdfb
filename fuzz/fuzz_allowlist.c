/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An entry, a second entry, and a request, one a line: method and path.  No guarded operation may
 * be granted but by its full name, what an entry covers may grant no more than it, and HEAD is
 * judged as GET.
 */
#include <assert.h>

#include "policy/allowlist.h"
#include "policy/testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config config;
static struct arena *kept; /* its texts; for the whole run */

static enum allow_result judge(const struct pack *pack, const struct entry *entry,
                               struct str method, struct str path, bool capped,
                               const struct pack_operation **ret_operation)
{
    struct match match = {0};
    const struct entry *hit = NULL;

    (void)match_find(pack, PACK_NONE, method, path, &match);
    struct request_facts request = {
        .method = method, .path = path, .pack = pack, .match = &match, .capped = capped};
    enum allow_result result = allowlist_check(entry, 1, &request, &hit);
    assert((hit == entry) == (result != ALLOW_DENIED));
    *ret_operation = match.operation;
    return result;
}

static void check(const struct pack *pack, struct str first, struct str second, struct str method,
                  struct str path)
{
    struct entry wide;
    struct entry narrow;
    struct err err;
    const struct pack_operation *operation;

    if (entry_parse(first, pack, &wide, &err) < 0) {
        assert(err.text[0] != '\0');
        return;
    }
    enum allow_result result = judge(pack, &wide, method, path, false, &operation);
    if (result != ALLOW_DENIED && operation != NULL &&
        operation_class_is_guarded(operation->class)) {
        assert(wide.kind == ENTRY_OPERATION && str_equal(wide.name, operation->name));
    }
    if (str_equal(method, STR("HEAD"))) {
        const struct pack_operation *as_get;
        assert(judge(pack, &wide, STR("GET"), path, false, &as_get) == result);
    }
    if (entry_parse(second, pack, &narrow, &err) == 0 && entry_covers(pack, &wide, &narrow)) {
        assert(judge(pack, &narrow, method, path, false, &operation) == ALLOW_DENIED ||
               result != ALLOW_DENIED);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_of(data, size);

    if (config.pack_count == 0) {
        kept = arena_new();
        testing_config(&config, kept);
    }
    struct str first = str_take_until(&text, '\n');
    struct str second = str_take_until(&text, '\n');
    struct str method = str_take_until(&text, ' ');
    if (text.len == 0 || text.data[0] != '/') {
        return 0; /* the gate gives no such path */
    }
    for (size_t i = 0; i < config.pack_count; i++) {
        check(&config.packs[i], first, second, method, text);
    }
    return 0;
}
