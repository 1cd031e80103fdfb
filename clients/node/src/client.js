/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's side of keybrake's API (docs/api.md), call by call: see index.d.ts. */

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";

import { seconds, ttlFor } from "./duration.js";
import { apiError, BadAnswer, ConnectionFailed, KeybrakeError, NotFound } from "./errors.js";
import { ask, defaultSocket, parseServer } from "./transport.js";

export const CONNECTION = Symbol("connection");
const TIMEOUT_MS = 3000;
const ATTEMPTS = 3;
const RETRIED = [429, 500, 502, 503, 504];

function parseObject(text) {
    let parsed;
    try {
        parsed = JSON.parse(text);
    } catch {
        parsed = null;
    }
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
        throw new BadAnswer("the answer is no JSON object");
    }
    return parsed;
}

function refusal(status, text) {
    try {
        return apiError(status, parseObject(text));
    } catch {
        return apiError(status, {});
    }
}

function keyPath(id) {
    if (typeof id !== "string" || id === "") {
        throw new NotFound(404, "not_found", "there is no key without an id");
    }
    return `/v1/keys/${encodeURIComponent(id)}`;
}

function withoutUndefined(object) {
    return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

/* The body of an issue; times as the API takes them. */
function issueBody({ idempotency_key, expires_in, ...policy }) {
    for (const name of ["vendor", "daily_usd_cap", "allowed_endpoints"]) {
        if (policy[name] === undefined) {
            throw new TypeError(`${name} is missing`);
        }
    }
    return expires_in === undefined ? policy : { ...policy, expires_in: `${seconds(expires_in)}s` };
}

export class IssuedKey {
    #token;
    #env;

    constructor(raw) {
        const { token, env, ...policy } = raw;
        if ([raw.id, token, raw.vendor, raw.expires_at].some((t) => typeof t !== "string") || typeof env !== "object" || env === null) {
            throw new BadAnswer("the answer is no issued key");
        }
        this.id = raw.id;
        this.vendor = raw.vendor;
        this.expires_at = raw.expires_at;
        this.policy = policy;
        this.#token = token;
        this.#env = { ...env };
    }

    /* Not an enumerable property: printing or serialising a key shows no token. */
    get token() {
        return this.#token;
    }

    env(vendor) {
        if (vendor !== undefined && vendor !== this.vendor) {
            throw new RangeError(`this vault key is for ${this.vendor}, not for ${vendor}`);
        }
        return { ...this.#env };
    }
}

export class Client {
    #server;
    #token;
    #timeoutMs;

    constructor({ url, token, timeoutMs = TIMEOUT_MS, caFile, insecure = false } = {}) {
        const where = url || process.env.KEYBRAKE_URL || `unix:${defaultSocket()}`;
        this.#server = parseServer(where, { caFile: caFile ?? process.env.KEYBRAKE_CA, insecure });
        this.#token = token ?? (where.startsWith("unix:") ? undefined : process.env.KEYBRAKE_TOKEN);
        this.#timeoutMs = timeoutMs;
        if (this.#token !== undefined && !/^[\x21-\x7e]+$/.test(this.#token)) {
            throw new KeybrakeError("the operator's token is not one line of text");
        }
    }

    [inspect.custom]() {
        return `<keybrake.Client ${this.#server.where}>`;
    }

    /* For the revocation at exit, which another process does. */
    get [CONNECTION]() {
        return { server: this.#server, headers: this.#headers() };
    }

    async issue(policy) {
        return new IssuedKey(await this.issueRaw(policy));
    }

    async issueRaw(policy) {
        const headers = { "Idempotency-Key": policy.idempotency_key ?? randomUUID() };
        const raw = await this.#json("POST", "/v1/keys", { body: issueBody(policy), headers, repeat: true });
        for (const text of raw.warnings ?? []) {
            process.emitWarning(text, "KeybrakeWarning");
        }
        return raw;
    }

    show(id) {
        return this.#json("GET", keyPath(id), { repeat: true });
    }

    list(filters = {}) {
        return this.#pages("/v1/keys", filters);
    }

    revoke(id) {
        return this.#json("DELETE", keyPath(id), { repeat: true });
    }

    pause(id) {
        return this.#json("POST", `${keyPath(id)}/pause`);
    }

    resume(id) {
        return this.#json("POST", `${keyPath(id)}/resume`);
    }

    change(id, members, { ifVersion } = {}) {
        const headers = ifVersion === undefined ? {} : { "If-Match": `"${ifVersion}"` };
        return this.#json("PATCH", keyPath(id), { body: members, headers });
    }

    extend(id, lifetime, ttl) {
        return this.change(id, { expires_in: `${ttlFor(lifetime, ttl)}s` });
    }

    explain(key, method, path, request = {}) {
        return this.#json("POST", "/v1/explain", { body: { key, method, path, ...request }, repeat: true });
    }

    audit({ limit, ...filters } = {}) {
        return this.#pages("/v1/audit", filters, limit);
    }

    async spend(by = "key", filters = {}) {
        const rows = [];
        for await (const row of this.#pages("/v1/spend", { group_by: by, ...filters })) {
            rows.push(row);
        }
        return rows;
    }

    async *#pages(path, filters, limit = Infinity) {
        const query = new URLSearchParams(withoutUndefined(filters));
        let left = limit;
        while (left > 0) {
            query.set("limit", String(Math.min(left, 1000)));
            const page = await this.#json("GET", `${path}?${query}`, { repeat: true });
            if (!Array.isArray(page.data)) {
                throw new BadAnswer("the answer is no list");
            }
            yield* page.data.slice(0, left);
            left -= page.data.length;
            if (page.next_cursor === null || page.next_cursor === undefined) {
                return;
            }
            query.set("cursor", String(page.next_cursor));
        }
    }

    #headers() {
        return {
            Accept: "application/json",
            ...(this.#token === undefined ? {} : { Authorization: `Bearer ${this.#token}` }),
        };
    }

    /* `repeat`: the call may be sent again although the server may have acted on it. */
    async #json(method, path, { body, headers = {}, repeat = false } = {}) {
        const data = body === undefined ? undefined : JSON.stringify(body);
        const sent = { ...this.#headers(), ...headers };
        if (data !== undefined) {
            sent["Content-Type"] = "application/json";
            sent["Content-Length"] = Buffer.byteLength(data);
        }
        for (let attempt = 1; ; attempt++) {
            const last = !repeat || attempt === ATTEMPTS;
            let pause = 100 * 3 ** (attempt - 1) * (0.7 + 0.6 * Math.random());
            try {
                const answer = await ask(this.#server, {
                    method, path, headers: sent, body: data, timeoutMs: this.#timeoutMs,
                });
                if (answer.status < 300) {
                    return parseObject(answer.text);
                }
                const error = refusal(answer.status, answer.text);
                if (last || !RETRIED.includes(answer.status) || error.code === "limit_reached") {
                    throw error;
                }
                const after = Number(answer.headers["retry-after"] ?? 0);
                pause = Math.max(pause, Math.min(Number.isFinite(after) ? after * 1000 : 0, 2000));
            } catch (error) {
                if (last || !(error instanceof ConnectionFailed)) {
                    throw error;
                }
            }
            await sleep(pause);
        }
    }
}
