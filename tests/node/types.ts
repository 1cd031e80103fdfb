/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled by tests/test_client_node.py: what the package's types allow, and what they do not. */
import * as keybrake from "keybrake";
import * as docker from "keybrake/docker";
import * as e2b from "keybrake/e2b";
import * as fly from "keybrake/fly";
import * as kubernetes from "keybrake/kubernetes";
import * as modal from "keybrake/modal";
import type { Sandbox as E2bSandbox } from "e2b";
import type { App, Image, ModalClient } from "modal";

const policy: keybrake.Policy = {
    vendor: "stripe", daily_usd_cap: 50, allowed_endpoints: ["/v1/charges", "/v1/balance"],
};

async function story(client: keybrake.Client): Promise<string> {
    await using key = await keybrake.vaultKey({ ...policy, lifetime: "10m", client });
    const env: Record<string, string> = key.env("stripe");
    const shown: keybrake.Key = await key.show();
    for await (const row of client.audit({ key: key.id, limit: 1 })) {
        const reason: string | null = row.reason;
        console.error(reason);
    }
    console.log(JSON.stringify({ id: key.id, status: shown.status, base: env["STRIPE_API_BASE"] }));
    return key.id;
}

async function refused(client: keybrake.Client): Promise<string> {
    try {
        await client.show("key_0000000000000000");
        return "there";
    } catch (error) {
        return error instanceof keybrake.NotFound ? error.code : "another";
    }
}

/* @ts-expect-error a cap must be said, if only as null */
const uncapped: keybrake.Policy = { vendor: "stripe", allowed_endpoints: [] };
/* @ts-expect-error a key for a sandbox needs its lifetime */
const endless: keybrake.VaultKeyOptions = policy;

/* The SDKs' own types fit; never called. */
export async function platforms(Sandbox: typeof E2bSandbox, m: ModalClient, app: App, image: Image): Promise<void> {
    const options = { key: policy, lifetime: "10m" };
    await using box = await e2b.spawn(Sandbox, { ...options, template: "base" });
    await box.sandbox.commands.run("true");
    const there = await modal.spawn(m, app, image, options);
    await there.sandbox.terminate();
    const machine = await fly.spawn({ ...options, app: "a", token: "t", config: { image: "i" } });
    console.log(machine.sandbox.id, docker.SOCKET_INSIDE);
    const [, pod] = kubernetes.manifests({
        name: "a", pod: { spec: {} }, key: policy, lifetime: "10m", image: "i", controlUrl: "http://10.0.0.1:8788",
        tokenSecret: "t", broker: "http://10.0.0.1:8787",
    });
    console.log(pod["kind"]);
}

const client = new keybrake.Client();
const id = await story(client);
const after = await client.show(id);
console.log(JSON.stringify({ id, status: after.status, refused: await refused(client), uncapped, endless }));
