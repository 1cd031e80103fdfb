/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/topology.h"

static const struct {
    enum process_role a, b;
} edges[] = {
    {ROLE_GATE, ROLE_JUDGE},   {ROLE_GATE, ROLE_VAULT},   {ROLE_GATE, ROLE_READER},
    {ROLE_VAULT, ROLE_JUDGE},  {ROLE_VAULT, ROLE_READER}, {ROLE_VAULT, ROLE_SCRIBE},
    {ROLE_READER, ROLE_JUDGE}, {ROLE_JUDGE, ROLE_SCRIBE}, {ROLE_CONTROL, ROLE_JUDGE},
    {ROLE_JUDGE, ROLE_DIALER}, {ROLE_DIALER, ROLE_GATE},
};

bool role_is_many(enum process_role role)
{
    return role == ROLE_GATE || role == ROLE_READER || role == ROLE_VAULT;
}

bool topology_connects(enum process_role a, uint32_t a_index, enum process_role b, uint32_t b_index)
{
    if (role_is_many(a) && role_is_many(b) && a_index != b_index) {
        return false;
    }
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        if ((edges[i].a == a && edges[i].b == b) || (edges[i].a == b && edges[i].b == a)) {
            return true;
        }
    }
    return false;
}

unsigned role_exposure(enum process_role role)
{
    static const unsigned exposure[ROLE_COUNT] = {
        [ROLE_SCRIBE] = 1,  [ROLE_JUDGE] = 2,  [ROLE_VAULT] = 3, [ROLE_DIALER] = 4,
        [ROLE_CONTROL] = 5, [ROLE_READER] = 6, [ROLE_GATE] = 7,
    };
    return role < ROLE_COUNT ? exposure[role] : 0;
}
