/* SPDX-License-Identifier: Apache-2.0 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import * as keybrake from "../src/index.js";
import { double, issued, keyId, problem, shown } from "./double.js";

const POLICY = { vendor: "stripe", daily_usd_cap: 50, allowed_endpoints: ["/v1/charges"], lifetime: "10m" };
const INDEX = new URL("../src/index.js", import.meta.url).href;

function served(name, options, use) {
    test(name, async () => {
        const server = await double([], options);
        const client = new keybrake.Client({ url: server.url, token: "kbo_x", timeoutMs: 300 });
        try {
            await use(server, { ...POLICY, client });
        } finally {
            await server.close();
        }
    });
}

served("issue, use, revoke", {}, async (server, policy) => {
    const key = await keybrake.vaultKey({ ...policy, label: "run/1" });
    assert.equal(key.env("stripe").STRIPE_API_KEY, key.token);
    assert.deepEqual(server.revoked(), []);
    await key[Symbol.asyncDispose]();
    assert.deepEqual([server.revoked(), key.revoked], [[key.id], true]);
    await Promise.all([key.revoke(), key.revoke()]);
    assert.equal(server.revoked().length, 1, "twice");
    assert.equal(server.calls[0].body.expires_in, "720s");
    assert.ok(!("lifetime" in server.calls[0].body) && !("client" in server.calls[0].body));
});

served("a ttl beyond the rule asks for nothing", {}, async (server, policy) => {
    await assert.rejects(keybrake.vaultKey({ ...policy, ttl: "30m" }), RangeError);
    assert.equal(server.calls.length, 0);
});

served("withVaultKey gives what its function gives", {}, async (server, policy) => {
    assert.equal(await keybrake.withVaultKey(policy, (key) => key.id), keyId(1));
    assert.deepEqual(server.revoked(), [keyId(1)]);
});

served("an exception goes through", {}, async (server, policy) => {
    await assert.rejects(keybrake.withVaultKey(policy, () => { throw new TypeError("mine"); }), /mine/);
    assert.deepEqual(server.revoked(), [keyId(1)]);
});

served("a key that is gone already", {}, async (server, policy) => {
    const key = await keybrake.vaultKey(policy);
    server.answers = [problem(404, "not_found")];
    await key.revoke();
    assert.ok(key.revoked);
});

served("a revoke that fails is said, and may be tried again", {}, async (server, policy) => {
    const key = await keybrake.vaultKey(policy);
    server.answers = Array(3).fill({ fault: "reset" });
    await assert.rejects(key.revoke(), (error) => {
        assert.ok(error instanceof keybrake.RevokeFailed && error.cause instanceof keybrake.ConnectionFailed);
        assert.deepEqual([error.key_id, error.expires_at, key.revoked], [key.id, key.expires_at, false]);
        return true;
    });
    await key.revoke();
    assert.ok(key.revoked);
});

served("a revoke that fails hides no exception", {}, async (server, policy) => {
    let held;
    await assert.rejects(keybrake.withVaultKey(policy, (key) => {
        held = key;
        server.answers = Array(3).fill({ fault: "reset" });
        throw new TypeError("mine");
    }), (error) => error.message === "mine" && error.suppressed instanceof keybrake.RevokeFailed);
    await held.revoke();
});

served("listeners are as before", {}, async (server, policy) => {
    const count = () => ["SIGINT", "SIGTERM", "SIGHUP", "exit"].map((n) => process.listenerCount(n));
    const before = count();
    const keys = [await keybrake.vaultKey(policy), await keybrake.vaultKey(policy)];
    assert.deepEqual(count(), before.map((n) => n + 1));
    await keys[0].revoke();
    assert.deepEqual(count(), before.map((n) => n + 1));
    await keys[1].revoke();
    assert.deepEqual(count(), before);
    server.answers = [problem(400, "bad_request")];
    await assert.rejects(keybrake.vaultKey(policy), keybrake.BadRequest);
    assert.deepEqual(count(), before);
});

served("extend", {}, async (server, policy) => {
    const key = await keybrake.vaultKey(policy);
    server.answers = [[200, shown(1, { expires_at: "later" })]];
    await key.extend("1h");
    assert.equal(key.expires_at, "later");
    assert.deepEqual(server.calls[1].body, { expires_in: "4320s" });
    await assert.rejects(key.extend("1h", "3h"), RangeError);
    await key.revoke();
});

/* ---- whole programs, and how they end ---- */

function start(server, body) {
    const program = spawn(process.execPath, ["--input-type=module", "-e", `
        import * as keybrake from ${JSON.stringify(INDEX)};
        const client = new keybrake.Client({ url: ${JSON.stringify(server.url)}, token: "kbo_x", timeoutMs: 1000 });
        const policy = { ...${JSON.stringify(POLICY)}, client };
        const wait = () => { console.log("ready"); return new Promise((r) => setTimeout(r, 20000)); };
        ${body}
    `], { stdio: ["ignore", "pipe", "pipe"] });
    program.stderr.setEncoding("utf8").on("data", (text) => { program.said = (program.said ?? "") + text; });
    return program;
}

async function ended(program) {
    const [code, signal] = await once(program, "exit");
    return signal ?? code;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    served(`${signal} revokes, then ends the program`, {}, async (server) => {
        const program = start(server, "await keybrake.withVaultKey(policy, wait);");
        await once(program.stdout, "data");
        program.kill(signal);
        assert.equal(await ended(program), signal);
        assert.deepEqual(server.revoked(), [keyId(1)]);
    });
}

served("a signal while the key is issued", { delayMs: 200 }, async (server) => {
    const arrived = new Promise((resolve) => { server.onCall = resolve; });
    const program = start(server, "await keybrake.withVaultKey(policy, wait);");
    await arrived;
    program.kill("SIGTERM");
    assert.equal(await ended(program), "SIGTERM");
    assert.deepEqual(server.revoked(), [keyId(1)]);
});

served("who handles signals keeps them", {}, async (server) => {
    const program = start(server, `
        process.on("SIGTERM", () => { console.log("mine"); });
        await keybrake.withVaultKey(policy, async () => { console.log("ready"); await new Promise((r) => setTimeout(r, 700)); });
        process.removeAllListeners("SIGTERM");`);
    await once(program.stdout, "data");
    program.kill("SIGTERM");
    await sleep(200);
    assert.deepEqual(server.revoked(), []);
    assert.equal(await ended(program), 0);
    assert.deepEqual(server.revoked(), [keyId(1)]);
});

for (const [how, body, code] of [
    ["process.exit", "await keybrake.vaultKey(policy); await keybrake.vaultKey(policy); process.exit(3);", 3],
    ["an uncaught exception", "await keybrake.vaultKey(policy); await keybrake.vaultKey(policy); throw new Error('mine');", 1],
    ["an unhandled rejection", "await keybrake.vaultKey(policy); await keybrake.vaultKey(policy); Promise.reject(new Error('mine')); await wait();", 1],
    ["a program that forgets", "await keybrake.vaultKey(policy); await keybrake.vaultKey(policy);", 0],
]) {
    served(`ends by ${how}`, {}, async (server) => {
        const program = start(server, body);
        assert.equal(await ended(program), code, program.said);
        assert.deepEqual(server.revoked().sort(), [keyId(1), keyId(2)], program.said);
        assert.ok(server.calls.every((call) => call.headers.authorization === "Bearer kbo_x"));
    });
}

served("at exit too, over the local socket", { unix: true }, async (server) => {
    const program = start(server, "await keybrake.vaultKey(policy); process.exit(0);");
    assert.equal(await ended(program), 0, program.said);
    assert.deepEqual(server.revoked(), [keyId(1)]);
});

served("a revocation that fails at exit is said", {}, async (server) => {
    server.answers = [[201, issued()], problem(403, "forbidden"), problem(403, "forbidden")];
    const program = start(server, "await keybrake.vaultKey(policy); process.exit(0);");
    await ended(program);
    assert.match(program.said, /key_0000000000000001 could not be revoked at exit: the server said 403/);
    assert.ok(!program.said.includes("kbo_") && !program.said.includes("vk_"));
});
