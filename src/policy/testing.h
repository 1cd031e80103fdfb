/* SPDX-License-Identifier: Apache-2.0 */
/*
 * testing: a small vendor for the tests of this folder and of control.
 */
#ifndef POLICY_TESTING_H
#define POLICY_TESTING_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "pack/load.h"

#define TESTING_SHOP                                                                               \
    "{\"pack\":1,\"vendor\":\"shop\",\"revision\":\"2026-11-23\","                                 \
    "\"upstreams\":{\"api\":{\"base\":\"https://api.shop.example\","                               \
    "\"hosts\":[\"api.shop.example\"],\"default\":true}},"                                         \
    "\"credential\":{\"fields\":{"                                                                 \
    "\"account\":{\"secret\":false,\"required\":false,\"prefixes\":[\"AC\"]},"                     \
    "\"secret\":{\"secret\":true,\"required\":true,\"prefixes\":[\"sk_live_\",\"sk_test_\"]}},"    \
    "\"live\":\"_live_\",\"test\":\"_test_\",\"accept\":[\"bearer\"],\"inject\":\"bearer\"},"      \
    "\"operations\":["                                                                             \
    "{\"op\":\"charges.create\",\"class\":\"write\",\"match\":[\"POST /v1/charges\"]},"            \
    "{\"op\":\"charges.list\",\"class\":\"read\",\"match\":[\"GET /v1/charges\"]},"                \
    "{\"op\":\"charges.retrieve\",\"class\":\"read\",\"match\":[\"GET /v1/charges/{id}\"]},"       \
    "{\"op\":\"charges.capture\",\"class\":\"write\","                                             \
    "\"match\":[\"POST /v1/charges/{id}/capture\"]},"                                              \
    "{\"op\":\"charges.export\",\"class\":\"unbounded\",\"match\":[\"POST /v1/charges/export\"]}," \
    "{\"op\":\"files.read\",\"class\":\"read\",\"match\":[\"GET /v1/files/{path...}\"]},"          \
    "{\"op\":\"api_keys.create\",\"class\":\"mint\",\"match\":[\"POST /v1/api_keys\"]},"           \
    "{\"op\":\"api_keys.delete\",\"class\":\"admin\",\"match\":[\"DELETE /v1/api_keys/{id}\"]}]"   \
    ",\"deny\":{},\"env\":{\"SHOP_KEY\":\"${token}\",\"SHOP_BASE\":\"${base}/v1\","                \
    "\"SHOP_ACCOUNT\":\"${account}\"}}"

#define TESTING_ANY                                                                                \
    "{\"pack\":1,\"vendor\":\"any\",\"revision\":\"2026-11-23\",\"generic\":true,"                 \
    "\"upstreams\":{\"api\":{\"default\":true}},"                                                  \
    "\"credential\":{\"fields\":{\"secret\":{\"secret\":true,\"required\":true}},"                 \
    "\"accept\":[\"bearer\"],\"inject\":\"same\"},\"operations\":["                                \
    "{\"op\":\"read\",\"class\":\"read\",\"match\":[\"GET /{path...}\"]},"                         \
    "{\"op\":\"write\",\"class\":\"write\",\"match\":[\"* /{path...}\"]}],\"deny\":{}}"

/* Its texts are in `arena`. */
static inline void testing_config(struct config *config, struct arena *arena)
{
    struct err err = {""};

    *config = (struct config){.generation = 7,
                              .ttl_default_ms = 3600 * 1000,
                              .ttl_max_ms = 24 * 3600 * 1000,
                              .public_url = STR("https://broker.example"),
                              .self_revoke = true};
    bool good = load_pack(config, arena, STR(TESTING_SHOP), "shop.json", &err) == 0 &&
                load_pack(config, arena, STR(TESTING_ANY), "any.json", &err) == 0 &&
                config_finish(config, arena, &err) == 0;
    if (!good) {
        (void)printf("the test's own packs do not load: %s\n", err.text);
        abort();
    }
}

#endif
