/* SPDX-License-Identifier: Apache-2.0 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";

import * as keybrake from "../src/index.js";
import { deadPort, double, issued, problem, shown, TOKEN } from "./double.js";

const POLICY = { vendor: "stripe", daily_usd_cap: 50, allowed_endpoints: ["/v1/charges"] };

function client(server, more = {}) {
    return new keybrake.Client({ url: server.url, token: "kbo_x", timeoutMs: 300, ...more });
}

/* A double for the time of a test. */
function served(name, answers, use, options) {
    test(name, async () => {
        const server = await double(answers, options);
        try {
            await use(server);
        } finally {
            await server.close();
        }
    });
}

async function rows(iterator) {
    const found = [];
    for await (const row of iterator) {
        found.push(row);
    }
    return found;
}

test("the key outlives its sandbox by a fifth, at most twice", () => {
    for (const [lifetime, expected] of [["10m", 720], ["1s", 2], ["2s", 3], ["5s", 6], ["24h", 103680], [600, 720], [1.2, 3]]) {
        assert.equal(keybrake.ttlFor(lifetime), expected, lifetime);
    }
    assert.equal(keybrake.ttlFor("10m", "20m"), 1200);
    assert.equal(keybrake.ttlFor("10m", "1m"), 60);
    assert.throws(() => keybrake.ttlFor("10m", 1201), RangeError);
});

test("what is no time", () => {
    for (const given of ["", "10", "m", "1.5h", "-1s", "10 m", "10M", "0s", "\u0663s", "9999999999s", 0, -5, 0.5, NaN, Infinity]) {
        assert.throws(() => keybrake.ttlFor(given), RangeError, String(given));
    }
    for (const given of [null, true, [], {}, undefined]) {
        assert.throws(() => keybrake.ttlFor(given), TypeError, String(given));
    }
});

served("what the server has to say about a policy", [[201, issued(1, { warnings: ["'/v1/charge' fits no operation"] })]], async (server) => {
    const warned = new Promise((resolve) => process.once("warning", resolve));
    await client(server).issue(POLICY);
    const warning = await warned;
    assert.deepEqual([warning.name, warning.message], ["KeybrakeWarning", "'/v1/charge' fits no operation"]);
});

served("issue says what was asked", [], async (server) => {
    const key = await client(server).issue({ ...POLICY, expires_in: "12m", label: "run/1", params: { models: [] } });
    const [call] = server.calls;
    assert.deepEqual([call.method, call.path], ["POST", "/v1/keys"]);
    assert.deepEqual(call.body, { ...POLICY, expires_in: "720s", label: "run/1", params: { models: [] } });
    assert.equal(call.headers.authorization, "Bearer kbo_x");
    assert.match(call.headers["idempotency-key"], /^[0-9a-f-]{36}$/);
    assert.deepEqual([key.id, key.token, key.vendor], ["key_0000000000000001", TOKEN, "stripe"]);
    assert.ok(!`${inspect(key, { showHidden: true, depth: 9 })}${JSON.stringify(key)}`.includes("vk_"));
});

served("no cap is said as null, and some cap must be said", [], async (server) => {
    await client(server).issue({ ...POLICY, daily_usd_cap: null });
    assert.equal(server.calls[0].body.daily_usd_cap, null);
    await assert.rejects(client(server).issue({ vendor: "stripe", allowed_endpoints: [] }), TypeError);
    assert.equal(server.calls.length, 1);
});

served("over the local socket without a token", [], async (server) => {
    process.env.KEYBRAKE_TOKEN = "kbo_y";
    try {
        await new keybrake.Client({ url: server.url }).issue(POLICY);
    } finally {
        delete process.env.KEYBRAKE_TOKEN;
    }
    assert.equal(server.calls[0].headers.authorization, undefined);
}, { unix: true });

served("where the environment says", [], async (server) => {
    Object.assign(process.env, { KEYBRAKE_URL: `${server.url}/behind/`, KEYBRAKE_TOKEN: "kbo_y" });
    try {
        await new keybrake.Client().issue(POLICY);
    } finally {
        delete process.env.KEYBRAKE_URL;
        delete process.env.KEYBRAKE_TOKEN;
    }
    assert.deepEqual([server.calls[0].headers.authorization, server.calls[0].path], ["Bearer kbo_y", "/behind/v1/keys"]);
});

test("the default is the local socket", async () => {
    process.env.KEYBRAKE_DATA = "/no/such";
    try {
        await assert.rejects(new keybrake.Client().show("key_1"), (error) =>
            error instanceof keybrake.ConnectionFailed && /\/no\/such\/run\/control.sock/.test(error.message));
    } finally {
        delete process.env.KEYBRAKE_DATA;
    }
});

test("a token never goes out in the clear", () => {
    for (const url of ["http://broker.example.com", "http://192.0.2.1:8788", "http://[2001:db8::1]", "http://127.example.com"]) {
        assert.throws(() => new keybrake.Client({ url, token: "kbo_x" }), /in the clear/);
        assert.ok(new keybrake.Client({ url, token: "kbo_x", insecure: true }));
    }
    for (const url of ["http://localhost:1", "http://127.9.9.9", "http://[::1]:8788", "https://broker.example.com"]) {
        assert.ok(!inspect(new keybrake.Client({ url, token: "kbo_x" }), { showHidden: true }).includes("kbo_x"));
    }
});

test("URLs that are none", () => {
    for (const url of ["ftp://h", "h:80", "https://", "https://u:p@h", "https://h/?q", "https://h/#f"]) {
        assert.throws(() => new keybrake.Client({ url, token: "kbo_x" }), keybrake.KeybrakeError, url);
    }
    assert.throws(() => new keybrake.Client({ url: "https://h", token: "kbo_x\r\nX: y" }), (error) =>
        error instanceof keybrake.KeybrakeError && !error.message.includes("kbo_x"));
});

for (const [status, code, Kind] of [
    [400, "bad_request", "BadRequest"], [401, "unknown_token", "Unauthorized"], [403, "out_of_bounds", "Forbidden"],
    [404, "not_found", "NotFound"], [409, "already_issued", "Conflict"], [412, "changed", "Conflict"],
    [422, "idempotency_mismatch", "Refused"], [503, "limit_reached", "Unavailable"],
]) {
    served(`a refusal with type and code: ${status}`, [problem(status, code, "says why")], async (server) => {
        await assert.rejects(client(server).issue(POLICY), (error) => {
            assert.ok(error instanceof keybrake[Kind] && error instanceof keybrake.ApiError);
            assert.deepEqual([error.name, error.status, error.code, error.detail], [Kind, status, code, "says why"]);
            return true;
        });
        assert.equal(server.calls.length, 1, "asked again");
    });
}

for (const [status, value] of [[404, "<html>"], [418, { code: 5, detail: [] }], [500, "\xff"]]) {
    served(`no problem document: ${status}`, Array(3).fill([status, value]), async (server) => {
        await assert.rejects(client(server).revoke("key_1"), { code: `http_${status}` });
    });
}

for (const said of [[200, "hello"], [200, ""], [200, [1]], [200, { id: 1 }], [200, "null"]]) {
    served(`no answer of ours: ${JSON.stringify(said)}`, [said], async (server) => {
        await assert.rejects(client(server).issue(POLICY), keybrake.BadAnswer);
    });
}

served("not even HTTP", Array(3).fill("SSH-2.0-x\r\n"), async (server) => {
    await assert.rejects(client(server).issue(POLICY), keybrake.ConnectionFailed);
});

for (const fault of [
    { fault: "silence" }, { fault: "cut" }, { fault: "reset" }, { fault: "drip" },
    problem(503, "ledger_unavailable"), problem(500, "internal"), [502, "bad gateway"],
]) {
    served(`issue is repeated with the same idempotency key: ${JSON.stringify(fault).slice(0, 30)}`, [fault, fault], async (server) => {
        await client(server).issue(POLICY);
        assert.equal(server.calls.length, 3);
        assert.equal(new Set(server.calls.map((c) => c.headers["idempotency-key"])).size, 1);
    });
}

served("three times at most", Array(9).fill({ fault: "drip" }), async (server) => {
    await assert.rejects(client(server).issue(POLICY), { name: "TimedOut" });
    assert.equal(server.calls.length, 3);
    server.answers = Array(9).fill({ fault: "reset" });
    await assert.rejects(client(server).revoke("key_1"), { name: "ConnectionFailed" });
    assert.equal(server.calls.length, 6);
});

for (const call of ["pause", "resume", "change", "extend"]) {
    served(`not safe, and so not repeated: ${call}`, Array(3).fill({ fault: "reset" }), async (server) => {
        await assert.rejects(client(server)[call]("key_1", call === "extend" ? "10m" : {}), keybrake.ConnectionFailed);
        assert.equal(server.calls.length, 1);
    });
}

served("retry-after is heeded", [problem(503, "ledger_unavailable", "no", { "retry-after": "1" })], async (server) => {
    const began = performance.now();
    await client(server).revoke("key_1");
    assert.ok(performance.now() - began >= 990);
});

test("nobody there", async () => {
    const lonely = new keybrake.Client({ url: `http://127.0.0.1:${await deadPort()}`, token: "kbo_x" });
    await assert.rejects(lonely.show("key_1"), keybrake.ConnectionFailed);
});

test("redirects are not followed", async () => {
    const other = await double();
    const server = await double([[307, "", { location: `${other.url}/v1/keys` }]]);
    await assert.rejects(client(server).pause("key_1"), keybrake.ApiError);
    assert.equal(other.calls.length, 0);
    await Promise.all([other.close(), server.close()]);
});

served("show, change, pause, extend", Array(4).fill([200, shown()]), async (server) => {
    const asked = client(server);
    assert.equal((await asked.show("key_1/../x")).remaining_usd, "50.00");
    await asked.pause("key_1");
    await asked.change("key_1", { daily_usd_cap: "1.5" }, { ifVersion: 3 });
    await asked.extend("key_1", "10m");
    assert.equal(server.calls[0].path, "/v1/keys/key_1%2F..%2Fx");
    assert.equal(server.calls[1].path, "/v1/keys/key_1/pause");
    assert.equal(server.calls[2].headers["if-match"], '"3"');
    assert.deepEqual(server.calls[2].body, { daily_usd_cap: "1.5" });
    assert.deepEqual(server.calls[3].body, { expires_in: "720s" });
});

served("an empty id is no list", [], async (server) => {
    for (const id of ["", undefined, null]) {
        assert.throws(() => client(server).revoke(id), keybrake.NotFound);
    }
    assert.equal(server.calls.length, 0);
});

served("lists go on to the end", [
    [200, { data: [shown(), shown()], next_cursor: "a b" }], [200, { data: [shown()], next_cursor: null }],
], async (server) => {
    assert.equal((await rows(client(server).list({ label: "run/", vendor: undefined }))).length, 3);
    assert.deepEqual(server.calls.map((c) => c.path), [
        "/v1/keys?label=run%2F&limit=1000", "/v1/keys?label=run%2F&limit=1000&cursor=a+b",
    ]);
});

served("a short page is not the end", [
    [200, { data: [], next_cursor: "x" }], [200, { data: [{ sequence: 3 }, { sequence: 2 }, { sequence: 1 }], next_cursor: "y" }],
], async (server) => {
    assert.deepEqual(await rows(client(server).audit({ key: "key_1", limit: 2 })), [{ sequence: 3 }, { sequence: 2 }]);
    assert.equal(server.calls.length, 2);
});

served("spend and explain", [[200, { data: [{ key: "k" }], next_cursor: null }], [200, { verdict: "denied" }]], async (server) => {
    assert.deepEqual(await client(server).spend("key", { since: "2026-11-01" }), [{ key: "k" }]);
    assert.deepEqual(await client(server).explain("key_1", "POST", "/v1/payouts", { body: "a=1" }), { verdict: "denied" });
    assert.equal(server.calls[0].path, "/v1/spend?group_by=key&since=2026-11-01&limit=1000");
    assert.deepEqual(server.calls[1].body, { key: "key_1", method: "POST", path: "/v1/payouts", body: "a=1" });
});

test("the variables are of one vendor", () => {
    const key = new keybrake.IssuedKey(issued());
    assert.equal(key.env("stripe").STRIPE_API_KEY, TOKEN);
    key.env().STRIPE_API_KEY = "changed";
    assert.equal(key.env().STRIPE_API_KEY, TOKEN);
    assert.throws(() => key.env("twilio"), RangeError);
});
