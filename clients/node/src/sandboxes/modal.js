/* SPDX-License-Identifier: Apache-2.0 */
/* Modal: spawn(modalClient, app, image, {key, lifetime, create}), with the SDK's own objects. */

import { spawn as spawnWith, refuseGiven } from "./common.js";

export function spawn(modal, app, image, { create = {}, method = "create", ...options }) {
    refuseGiven(create, ["timeoutMs"], "the sandbox's lifetime says it");
    refuseGiven(create, ["blockNetwork", "experimentalOutboundPolicy"], "the sandbox reaches keybrake and nothing else");
    return spawnWith(options, {
        async create({ env, keys, broker, lifetimeS }) {
            const secret = await modal.secrets.fromObject(env);
            const cidrs = [...(create.outboundCidrAllowlist ?? []), ...(broker.cidr ? [broker.cidr] : [])];
            const domains = [...(create.outboundDomainAllowlist ?? []), ...(broker.domain ? [broker.domain] : [])];
            return modal.sandboxes[method](app, image, {
                ...create,
                timeoutMs: lifetimeS * 1000,
                secrets: [...(create.secrets ?? []), secret],
                tags: { ...create.tags, keybrake_key: keys[0].id },
                outboundCidrAllowlist: cidrs,
                outboundDomainAllowlist: domains,
            });
        },
        kill: (sandbox) => sandbox.terminate(),
        async sweep(keys) {
            const list = method === "create" ? "list" : "experimentalList";
            for await (const sandbox of modal.sandboxes[list]({ appId: app.appId, tags: { keybrake_key: keys[0].id } })) {
                await sandbox.terminate();
            }
        },
    });
}
