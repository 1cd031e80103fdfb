/* SPDX-License-Identifier: Apache-2.0 */
/* E2B: spawn(Sandbox, {key, lifetime, create}), with the SDK's own Sandbox class. */

import { spawn as spawnWith, refuseGiven } from "./common.js";

const EVERYWHERE = "0.0.0.0/0";

/* Out to keybrake only, and to what the caller names besides. */
function network(given = {}, broker) {
    if (given.allowOut !== undefined && !Array.isArray(given.allowOut)) {
        throw new TypeError("network.allowOut is a list here");
    }
    return { ...given, allowOut: [broker.host, ...(given.allowOut ?? [])], denyOut: [EVERYWHERE] };
}

export function spawn(Sandbox, { create = {}, template, ...options }) {
    refuseGiven(create, ["timeoutMs"], "the sandbox's lifetime says it");
    return spawnWith(options, {
        create({ env, keys, broker, lifetimeS }) {
            const params = {
                ...create,
                timeoutMs: lifetimeS * 1000,
                envs: { ...create.envs, ...env },
                metadata: { ...create.metadata, keybrake_key: keys[0].id },
                network: network(create.network, broker),
            };
            return template === undefined ? Sandbox.create(params) : Sandbox.create(template, params);
        },
        kill: (sandbox) => sandbox.kill(),
        extend: (sandbox, s) => sandbox.setTimeout(s * 1000),
        async sweep(keys) {
            const { apiKey, domain, requestTimeoutMs } = create;
            const found = Sandbox.list({ apiKey, domain, requestTimeoutMs, query: { metadata: { keybrake_key: keys[0].id } } });
            while (found.hasNext) {
                for (const { sandboxId } of await found.nextItems()) {
                    await Sandbox.kill(sandboxId, { apiKey, domain, requestTimeoutMs });
                }
            }
        },
    });
}
