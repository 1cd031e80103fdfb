/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A double of Modal's control plane: gRPC by the SDK's own message definitions, taken from it at
 * run time.  Prints {"port"} first, then each call that it is sent; reads faults, a JSON object of
 * call name -> gRPC status code or "silence", line by line.
 */
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import readline from "node:readline";
import { pathToFileURL } from "node:url";

const modules = process.argv[2];
const require = createRequire(path.join(modules, "x.js"));
const { createServer, ServerError, Status } = require("nice-grpc");

/* The definitions are not exported: a copy of the file that does export them. */
async function definitions() {
    const place = mkdtempSync(path.join(tmpdir(), "keybrake-modal-"));
    process.on("exit", () => rmSync(place, { recursive: true }));
    symlinkSync(modules, path.join(place, "node_modules"));
    const copy = path.join(place, "modal.mjs");
    const text = readFileSync(path.join(modules, "modal", "dist", "index.js"), "utf8");
    writeFileSync(copy, `${text}\nexport { ModalClientDefinition };\n`);
    return (await import(pathToFileURL(copy))).ModalClientDefinition;
}

let faults = {};
const alive = new Map();
const say = (what) => process.stdout.write(`${JSON.stringify(what, (_, v) => (typeof v === "bigint" ? String(v) : v))}\n`);

function token() {
    const part = (o) => Buffer.from(JSON.stringify(o)).toString("base64url");
    return `${part({ alg: "none" })}.${part({ exp: Math.floor(Date.now() / 1000) + 3600 })}.x`;
}

const SERVES = {
    authTokenGet: () => ({ token: token() }),
    appGetOrCreate: () => ({ appId: "ap-1" }),
    environmentGetOrCreate: () => ({ environmentId: "en-1", metadata: { name: "main", settings: { imageBuilderVersion: "2024.10" } } }),
    imageGetOrCreate: () => ({ imageId: "im-1", result: { status: 1 }, metadata: {} }),
    secretGetOrCreate: () => ({ secretId: "st-1" }),
    sandboxCreate: (request) => create(request, "sb"),
    sandboxCreateV2: (request) => create(request, "sb-01k"),
    sandboxList: (request) => ({
        sandboxes: request.beforeTimestamp ? [] : [...alive].filter(([, tags]) =>
            request.tags.every((t) => tags.some((has) => has.tagName === t.tagName && has.tagValue === t.tagValue)),
        ).map(([id]) => ({ id, createdAt: 1, taskInfo: {}, tags: [] })),
    }),
    sandboxTerminate: (request) => { alive.delete(request.sandboxId); return {}; },
    sandboxTerminateV2: (request) => { alive.delete(request.sandboxId); return {}; },
};

function create(request, prefix) {
    const id = `${prefix}-${alive.size + 1}`;
    alive.set(id, request.tags ?? []);
    return { sandboxId: id };
}

const implementation = new Proxy({}, {
    get: (_, name) => async (request) => {
        say({ call: name, request });
        const fault = faults[name];
        if (fault === "silence") {
            await new Promise((resolve) => setTimeout(resolve, 8000));
        }
        if (typeof fault === "number") {
            throw new ServerError(fault, "as the test wishes");
        }
        if (!SERVES[name]) {
            throw new ServerError(Status.UNIMPLEMENTED, `no ${String(name)} here`);
        }
        const answer = SERVES[name](request);
        say({ alive: [...alive.keys()] });
        return answer;
    },
});

const server = createServer();
server.add(await definitions(), implementation);
say({ port: await server.listen("127.0.0.1:0") });
readline.createInterface({ input: process.stdin }).on("line", (line) => { faults = JSON.parse(line); say({ faults }); }).on("close", () => process.exit(0));
