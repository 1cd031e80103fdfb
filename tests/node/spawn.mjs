/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sandbox on one platform, by the platform's own SDK, unmodified: reads {platform, url, key or
 * keys, lifetime, ...} as the first line of stdin, prints what happened as JSON lines, and does
 * what the next lines say: teardown, extend TIME, exit.
 */
import readline from "node:readline";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [clientFolder, modules] = process.argv.slice(2);
const require = createRequire(path.join(modules, "x.js"));
const keybrake = (name) => import(pathToFileURL(path.join(clientFolder, "src", name)));
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const SPAWN = {
    async e2b({ url, options, sdk }) {
        const { Sandbox } = require("e2b");
        const { spawn } = await keybrake("sandboxes/e2b.js");
        const connection = { apiUrl: url, sandboxUrl: url, apiKey: `e2b_${"0".repeat(40)}`, requestTimeoutMs: 30000 };
        return spawn(Sandbox, { ...options, create: { ...connection, ...sdk } });
    },
    async modal({ url, options, sdk, method }) {
        const { ModalClient } = require("modal");
        process.env.MODAL_SERVER_URL = url;
        const modal = new ModalClient({ tokenId: "ak-FAKE", tokenSecret: "as-FAKE", timeoutMs: 3000, maxRetries: 0 });
        const app = await modal.apps.fromName("agents", { createIfMissing: true });
        const image = modal.images.fromRegistry("python:3.13");
        const { spawn } = await keybrake("sandboxes/modal.js");
        return spawn(modal, app, image, { ...options, create: { command: ["sleep", "60"], ...sdk }, method });
    },
    async fly({ url, options, sdk }) {
        const { spawn } = await keybrake("sandboxes/fly.js");
        return spawn({ ...options, apiUrl: url, app: "agents", token: "fo1_FAKE", config: { image: "agent:1", ...sdk }, region: "fra" });
    },
    async docker({ url, options, sdk, way }) {
        const Docker = require("dockerode");
        const { hostname, port, protocol, pathname } = new URL(url);
        const docker = protocol === "unix:" ? new Docker({ socketPath: pathname }) : new Docker({ host: hostname, port, protocol: "http" });
        const { spawn } = await keybrake("sandboxes/docker.js");
        return spawn(docker, { ...options, ...way, create: { Image: "agent:1", ...sdk } });
    },
    async kubernetes({ url, options, sdk, brokerPods }) {
        const k8s = await import(pathToFileURL(require.resolve("@kubernetes/client-node")));
        const config = new k8s.KubeConfig();
        config.loadFromClusterAndUser({ name: "c", server: url, skipTLSVerify: true }, { name: "u", token: "FAKE" });
        const { spawn } = await keybrake("sandboxes/kubernetes.js");
        return spawn(
            { core: config.makeApiClient(k8s.CoreV1Api), networking: config.makeApiClient(k8s.NetworkingV1Api) },
            { ...options, brokerPods, namespace: "agents", pod: { spec: { containers: [{ name: "agent", image: "agent:1" }], ...sdk } } },
        );
    },
};

function shown(error) {
    return { name: error.name, message: error.message, suppressed: error.suppressed?.name };
}

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const asked = JSON.parse((await lines.next()).value);
let spawned;
try {
    spawned = await SPAWN[asked.platform](asked);
    say({ spawned: spawned.keys.map((key) => key.id), env: Object.keys(spawned.env()) });
    spawned.died?.then(() => asked.over || say({ died: true }));
} catch (error) {
    say({ failed: shown(error) });
}
for (;;) {
    const { value: line = "exit" } = await lines.next();
    const [word, argument] = line.split(" ");
    if (word === "exit") {
        process.exit(0);
    }
    asked.over = word === "teardown";
    try {
        await (word === "extend" ? spawned.extend(argument) : spawned.teardown());
        say({ did: word });
    } catch (error) {
        say({ failed: shown(error) });
    }
}
