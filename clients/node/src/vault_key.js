/* SPDX-License-Identifier: Apache-2.0 */
/* A vault key for as long as a block lasts: see index.d.ts. */

import { Client, CONNECTION, IssuedKey } from "./client.js";
import { ttlFor } from "./duration.js";
import { KeybrakeError, NotFound, RevokeFailed } from "./errors.js";
import { forget, register, underway } from "./ways_out.js";

export class VaultKey extends IssuedKey {
    #client;
    #ending;

    constructor(client, raw) {
        super(raw);
        this.#client = client;
        this.revoked = false;
        register(this.id, { revoke: () => this.revoke(), connection: client[CONNECTION] });
    }

    /* Whoever calls while it is under way waits for the same end. */
    revoke() {
        this.#ending ??= this.#revoke();
        return this.#ending;
    }

    async #revoke() {
        try {
            await this.#client.revoke(this.id);
        } catch (error) {
            if (!(error instanceof NotFound)) {
                this.#ending = undefined;
                if (!(error instanceof KeybrakeError)) {
                    throw error;
                }
                throw new RevokeFailed(
                    `${this.id} could not be revoked and ends at ${this.expires_at}: ${error.message}`,
                    this.id, this.expires_at, { cause: error },
                );
            }
        }
        this.revoked = true;
        forget(this.id);
    }

    show() {
        return this.#client.show(this.id);
    }

    async extend(lifetime, ttl) {
        const changed = await this.#client.extend(this.id, lifetime, ttl);
        this.expires_at = changed.expires_at ?? this.expires_at;
    }

    /* A time of the API's, such as expires_at once was. */
    async endAt(expires_at) {
        await this.#client.change(this.id, { expires_at });
        this.expires_at = expires_at;
    }

    [Symbol.asyncDispose]() {
        return this.revoke();
    }
}

export async function vaultKey({ lifetime, ttl, client = new Client(), ...policy }) {
    const request = { ...policy, expires_in: ttlFor(lifetime, ttl) };
    return underway(client.issueRaw(request).then((raw) => new VaultKey(client, raw)));
}

/* What it throws is what `use` threw; a revocation that fails besides is the error's `suppressed`. */
export async function withVaultKey(policy, use) {
    const key = await vaultKey(policy);
    let result;
    try {
        result = await use(key);
    } catch (error) {
        await key.revoke().catch((failed) => {
            if (error instanceof Error && error.suppressed === undefined) {
                error.suppressed = failed;
            }
        });
        throw error;
    }
    await key.revoke();
    return result;
}
