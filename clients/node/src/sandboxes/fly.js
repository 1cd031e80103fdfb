/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fly Machines: spawn({app, token, key, lifetime, config}), over their REST API.  A machine has no
 * lifetime of its own: a timer here ends it, and the key's TTL ends the key whatever becomes of us.
 */

import { seconds } from "../duration.js";
import { KeybrakeError } from "../errors.js";
import { spawn as spawnWith, refuseGiven } from "./common.js";
import { Timer } from "./timer.js";

const API = "https://api.machines.dev";

export class FlyError extends KeybrakeError {
    constructor(what, status, text) {
        super(`Fly: ${what}: ${status} ${text.slice(0, 200)}`);
        this.status = status;
    }
}

function api({ app, token, apiUrl = process.env.FLY_API_HOSTNAME ?? API, timeoutMs }) {
    const base = `${apiUrl.replace(/\/+$/, "")}/v1/apps/${encodeURIComponent(app)}`;
    return async (method, path, body) => {
        const answer = await fetch(base + path, {
            method, redirect: "error", signal: AbortSignal.timeout(timeoutMs ?? 30000),
            headers: { authorization: `Bearer ${token}`, ...(body ? { "content-type": "application/json" } : {}) },
            ...(body ? { body: JSON.stringify(body) } : {}),
        });
        const text = await answer.text();
        if (!answer.ok && !(method === "DELETE" && answer.status === 404)) {
            throw new FlyError(`${method} ${path}`, answer.status, text);
        }
        return text && answer.ok ? JSON.parse(text) : undefined;
    };
}

function destroy(call, id) {
    return call("DELETE", `/machines/${encodeURIComponent(id)}?force=true`);
}

/* Allows by port only: give keybrake one that nothing else has. */
function onlyTo(port, keyId) {
    return {
        name: `keybrake-${keyId.replace(/[^0-9A-Za-z]/g, "-")}`.toLowerCase(),
        selector: { metadata: { keybrake_key: keyId } },
        rules: [{ action: "allow", direction: "egress", ports: [{ protocol: "tcp", port }] }],
    };
}

export async function spawn({ app, token, apiUrl, config = {}, name, region, networkPolicy = false, ...options }) {
    refuseGiven(config, ["auto_destroy", "restart"], "a machine that ends is gone");
    const call = api({ app, token, apiUrl, timeoutMs: options.timeoutMs });
    const timer = new Timer();
    const spawned = await spawnWith(options, {
        async create({ env, keys, broker }) {
            if (networkPolicy) {
                await call("POST", "/network_policies", onlyTo(broker.port, keys[0].id));
            }
            return call("POST", "/machines", {
                name, region,
                config: {
                    ...config,
                    env: { ...config.env, ...env },
                    metadata: { ...config.metadata, keybrake_key: keys[0].id },
                    auto_destroy: true,
                    restart: { policy: "no" },
                },
            });
        },
        kill: (machine) => {
            timer.stop();
            return destroy(call, machine.id);
        },
        extend: async (machine, s) => timer.set(s),
        async sweep(keys) {
            const left = await call("GET", `/machines?metadata.keybrake_key=${encodeURIComponent(keys[0].id)}`);
            for (const { id, config: has } of left ?? []) {
                if (has?.metadata?.keybrake_key === keys[0].id) {
                    await destroy(call, id);
                }
            }
        },
    });
    return timer.start(spawned, seconds(options.lifetime));
}
