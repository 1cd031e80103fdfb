/* SPDX-License-Identifier: Apache-2.0 */
import type { Client, Duration, Policy, VaultKey } from "../index.js";

export interface SpawnOptions {
    /** One vault key's policy, or several in `keys`. */
    key?: Policy;
    keys?: Policy[];
    /** Of the sandbox; its keys live a fifth longer. */
    lifetime: Duration;
    ttl?: Duration;
    client?: Client;
    /** keybrake's public URL, if the server does not say it. */
    broker?: string;
    /** How long the platform may take for one step; 60000. */
    timeoutMs?: number;
}

/** A sandbox and its keys. */
export interface Spawned<S> extends AsyncDisposable {
    readonly sandbox: S;
    readonly keys: VaultKey[];
    readonly ended: boolean;
    env(vendor?: string): Record<string, string>;
    /** Revokes the keys, then ends the sandbox. What fails is thrown; it may be called again. */
    teardown(): Promise<void>;
    /** From now on. The keys first; they go back to their old end if the platform refuses. */
    extend(lifetime: Duration): Promise<void>;
}
