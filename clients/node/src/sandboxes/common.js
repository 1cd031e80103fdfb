/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all platforms share: keys before the sandbox, the sandbox with them, and on every way back
 * the keys first, then the sandbox.
 */

import { isIP } from "node:net";

import { ttlFor, seconds } from "../duration.js";
import { KeybrakeError, TimedOut } from "../errors.js";
import { vaultKey } from "../vault_key.js";

/* The platform may be slow; the caller's own SDK may have no time-out at all. */
export const PLATFORM_TIMEOUT_MS = 60000;

function addressesOf(key) {
    const said = [key.policy.public_url, ...Object.values(key.env())];
    return said.filter((value) => /^https?:\/\//.test(value ?? ""));
}

function isLoopback(host) {
    return host === "localhost" || host.endsWith(".localhost") || host === "[::1]" || host === "0.0.0.0" || host === "[::]" || (/^127\./.test(host) && isIP(host) === 4);
}

/* Where the sandbox will look for keybrake: {host, port, cidr (of an address) or domain}. */
export function brokerOf(keys, given) {
    const found = given === undefined ? keys.flatMap(addressesOf) : [given];
    if (found.length === 0) {
        throw new KeybrakeError("the server does not say where it is: give `broker`, its public URL");
    }
    const url = new URL(found[0]);
    if (isLoopback(url.hostname)) {
        throw new KeybrakeError(
            `a sandbox elsewhere cannot reach ${url.host}; start the server with --public-url and an address that it can reach`,
        );
    }
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const kind = isIP(host);
    return {
        host, port: Number(url.port || (url.protocol === "https:" ? 443 : 80)),
        ...(kind ? { cidr: `${host}/${kind === 4 ? 32 : 128}` } : { domain: host }),
    };
}

export async function within(promise, ms, what) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new TimedOut(`${what}: no answer within ${ms} ms`)), ms);
    });
    try {
        return await Promise.race([promise, late]);
    } finally {
        clearTimeout(timer);
    }
}

/* All of them, then the first failure. */
async function revokeAll(keys) {
    const results = await Promise.allSettled(keys.map((key) => key.revoke()));
    return results.filter((r) => r.status === "rejected").map((r) => r.reason);
}

async function issueAll(policies, common) {
    const keys = [];
    try {
        for (const policy of policies) {
            keys.push(await vaultKey({ ...policy, ...common }));
        }
        return keys;
    } catch (error) {
        await revokeAll(keys);
        throw error;
    }
}

function envOf(keys) {
    const env = {};
    for (const key of keys) {
        for (const [name, value] of Object.entries(key.env())) {
            if (name in env && env[name] !== value) {
                throw new KeybrakeError(`two keys of one sandbox both set ${name}`);
            }
            env[name] = value;
        }
    }
    return env;
}

/* A sandbox and its keys. */
export class Spawned {
    #platform;
    #ending;

    constructor(keys, sandbox, platform) {
        this.keys = keys;
        this.sandbox = sandbox;
        this.#platform = platform;
        this.ended = false;
    }

    env(vendor) {
        if (vendor === undefined) {
            return envOf(this.keys);
        }
        const key = this.keys.find((one) => one.vendor === vendor);
        if (!key) {
            throw new RangeError(`this sandbox has no vault key for ${vendor}`);
        }
        return key.env();
    }

    /* The keys first: then what the sandbox still does costs nothing. */
    teardown() {
        this.#ending ??= this.#teardown();
        return this.#ending;
    }

    async #teardown() {
        const failures = await revokeAll(this.keys);
        try {
            await within(this.#platform.kill(this.sandbox), this.#platform.timeoutMs, "ending the sandbox");
        } catch (error) {
            failures.push(error);
        }
        if (failures.length > 0) {
            this.#ending = undefined; /* may be tried again */
            throw failures.length === 1 ? failures[0] : new AggregateError(failures, failures.map((f) => f.message).join("; "));
        }
        this.ended = true;
    }

    /* Keys first here too: should the platform refuse, they go back to their old end. */
    async extend(lifetime) {
        if (!this.#platform.extend) {
            throw new KeybrakeError("this platform cannot extend a sandbox's life");
        }
        const before = this.keys.map((key) => key.expires_at);
        try {
            for (const key of this.keys) {
                await key.extend(lifetime);
            }
            await within(this.#platform.extend(this.sandbox, seconds(lifetime)), this.#platform.timeoutMs, "extending the sandbox");
        } catch (error) {
            const back = await Promise.allSettled(this.keys.map((key, i) => key.endAt(before[i])));
            if (back.some((one) => one.status === "rejected")) {
                await this.teardown().catch(() => {});
            }
            throw error;
        }
    }

    [Symbol.asyncDispose]() {
        return this.teardown();
    }
}

/*
 * options: key (a policy) or keys (several), lifetime, ttl, client, broker, timeoutMs.
 * platform: create({env, keys, broker, lifetimeS}) -> sandbox; kill(sandbox); extend(sandbox, s);
 * sweep(keys): ends what a create that failed may have left behind; remote: is it elsewhere?
 */
export async function spawn(options, platform) {
    const { key, keys: several, lifetime, ttl, client, broker: given, timeoutMs = PLATFORM_TIMEOUT_MS } = options;
    const policies = several ?? [key];
    if (policies.length === 0 || policies.some((policy) => policy === undefined || policy === null)) {
        throw new TypeError("a sandbox's keys: give `key`, a policy, or `keys`, several");
    }
    ttlFor(lifetime, ttl);
    const keys = await issueAll(policies, { lifetime, ttl, client });
    const ours = { ...platform, timeoutMs };
    try {
        const broker = platform.remote === false ? undefined : brokerOf(keys, given);
        const creating = platform.create({ env: envOf(keys), keys, broker, lifetimeS: seconds(lifetime) });
        const late = (sandbox) => platform.kill(sandbox).catch(() => {});
        let inTime = true;
        creating.then((sandbox) => (inTime ? undefined : late(sandbox)), () => {});
        try {
            return new Spawned(keys, await within(creating, timeoutMs, "creating the sandbox"), ours);
        } catch (error) {
            inTime = false;
            throw error;
        }
    } catch (error) {
        const failures = await revokeAll(keys);
        await within(Promise.resolve(platform.sweep?.(keys)), timeoutMs, "looking for what is left").catch(() => {});
        if (failures.length > 0 && error instanceof Error && error.suppressed === undefined) {
            error.suppressed = failures[0];
        }
        throw error;
    }
}

/* Neither is the caller's to say: they follow from the key's rules. */
export function refuseGiven(create, names, why) {
    for (const name of names) {
        if (create[name] !== undefined) {
            throw new TypeError(`${name} is not to be given: ${why}`);
        }
    }
}
