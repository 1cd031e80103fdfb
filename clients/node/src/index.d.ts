/* SPDX-License-Identifier: Apache-2.0 */
/**
 * keybrake: vault keys for sandboxes.
 *
 *     await using key = await keybrake.vaultKey({ vendor: "stripe", daily_usd_cap: 50,
 *         allowed_endpoints: ["/v1/payment_intents"], lifetime: "10m" });
 *     spawn(agent, { env: key.env("stripe") });
 *
 * Members have the names of the API (docs/api.md), as they go over the wire.
 */

/** "90s", "10m", "2h", "1d", or a number of seconds. */
export type Duration = string | number;
/** Whole dollars, or a text with up to 9 decimals; null: no cap. */
export type Usd = number | string | null;

export interface Policy {
    vendor: string;
    daily_usd_cap: Usd;
    allowed_endpoints: string[];
    label?: string;
    run_id?: string;
    tenant?: string;
    credential?: string;
    parent?: string;
    idempotency_scope?: string;
    total_usd_cap?: Usd;
    limits?: {
        requests_per_minute?: number | null;
        requests_per_day?: number | null;
        concurrency?: number | null;
        sources?: string[];
    };
    params?: Record<string, unknown>;
    mode?: "enforce" | "observe";
    token_style?: "vk" | "sk" | "rk";
}

export interface IssueRequest extends Policy {
    expires_in?: Duration;
    expires_at?: string;
    /** Else one is made; a repeat within 10 minutes gives the same key. */
    idempotency_key?: string;
}

/** A vault key as the server shows it. */
export interface Key {
    id: string;
    status: "active" | "paused" | "revoked" | "expired";
    vendor: string;
    label: string | null;
    expires_at: string;
    daily_usd_cap: string | null;
    spent_usd: string;
    held_usd: string;
    remaining_usd: string | null;
    policy_version: number;
    [more: string]: unknown;
}

export interface Revoked {
    id: string;
    status: string;
    spent_usd: string;
    held_usd: string;
    open_objects: unknown[];
    [more: string]: unknown;
}

export interface AuditRow {
    sequence: number;
    at: string;
    event: string;
    key: string | null;
    verdict: string | null;
    reason: string | null;
    [more: string]: unknown;
}

export interface KeyFilters {
    label?: string;
    vendor?: string;
    tenant?: string;
    status?: string;
    run_id?: string;
}

export interface AuditFilters {
    key?: string;
    label?: string;
    run?: string;
    tenant?: string;
    vendor?: string;
    verdict?: string;
    event?: string;
    since?: string;
    until?: string;
    limit?: number;
}

export interface SpendFilters {
    key?: string;
    label?: string;
    run?: string;
    tenant?: string;
    vendor?: string;
    since?: string;
    until?: string;
}

export interface ClientOptions {
    /** "https://HOST:PORT", "http://127.0.0.1:8788" or "unix:/PATH/control.sock"; else
     * KEYBRAKE_URL, else the local socket of KEYBRAKE_DATA or of the default place. */
    url?: string;
    /** An operator's; else KEYBRAKE_TOKEN; the local socket needs none. */
    token?: string;
    /** For one attempt, from connecting to the answer's last byte; 3000. */
    timeoutMs?: number;
    /** A CA to trust instead of the system's; else KEYBRAKE_CA. */
    caFile?: string;
    /** Send the token over http:// to another machine. */
    insecure?: boolean;
}

/** Fresh from the server, with the token that is shown this once. */
export class IssuedKey {
    constructor(raw: Record<string, unknown>);
    readonly id: string;
    readonly vendor: string;
    expires_at: string;
    readonly policy: Record<string, unknown>;
    readonly token: string;
    /** The variables that the vendor's SDKs read; `vendor` only makes sure. */
    env(vendor?: string): Record<string, string>;
}

/** A keybrake server. */
export class Client {
    constructor(options?: ClientOptions);
    /** Goes with an idempotency key, and so is repeated without harm if no answer comes. */
    issue(request: IssueRequest): Promise<IssuedKey>;
    /** The server's answer as it is; it has the token in it. */
    issueRaw(request: IssueRequest): Promise<Record<string, unknown>>;
    show(id: string): Promise<Key>;
    /** Newest first. */
    list(filters?: KeyFilters): AsyncGenerator<Key, void, undefined>;
    /** When this resolves no further byte of the key reaches the vendor; repeated if no answer comes. */
    revoke(id: string): Promise<Revoked>;
    pause(id: string): Promise<Key>;
    resume(id: string): Promise<Key>;
    /** A merge patch of caps, endpoints, limits, params, mode, expires_in or expires_at. */
    change(id: string, members: Record<string, unknown>, options?: { ifVersion?: number }): Promise<Key>;
    /** From now on as if issued for a sandbox of that lifetime. */
    extend(id: string, lifetime: Duration, ttl?: Duration): Promise<Key>;
    explain(
        key: string, method: string, path: string,
        request?: { headers?: Record<string, string>; body?: unknown; host?: string; source?: string },
    ): Promise<Record<string, unknown>>;
    audit(filters?: AuditFilters): AsyncGenerator<AuditRow, void, undefined>;
    spend(by?: string, filters?: SpendFilters): Promise<Record<string, unknown>[]>;
}

/** An issued key that knows how to end itself. */
export class VaultKey extends IssuedKey implements AsyncDisposable {
    constructor(client: Client, raw: Record<string, unknown>);
    readonly revoked: boolean;
    /** Ends the key, once. RevokeFailed if the server cannot be asked: then it ends by its TTL. */
    revoke(): Promise<void>;
    show(): Promise<Key>;
    /** ApiError if that is not granted (an issuer may only narrow). */
    extend(lifetime: Duration, ttl?: Duration): Promise<void>;
    /** Moves its end to a time of the API's. */
    endAt(expires_at: string): Promise<void>;
    [Symbol.asyncDispose](): Promise<void>;
}

export interface VaultKeyOptions extends Policy {
    /** Of the sandbox. The key lives a fifth longer. */
    lifetime: Duration;
    /** Instead of a fifth longer; at most twice the lifetime. */
    ttl?: Duration;
    client?: Client;
}

/** Issues a key for a sandbox; revoked when its `await using` block ends, by signals, and at exit. */
export function vaultKey(options: VaultKeyOptions): Promise<VaultKey>;

/** The same where `await using` is not to be had: revoked when `use` is done. */
export function withVaultKey<T>(options: VaultKeyOptions, use: (key: VaultKey) => T | Promise<T>): Promise<T>;

/** Seconds that the key of such a sandbox lives: a fifth longer, never more than twice as long. */
export function ttlFor(lifetime: Duration, ttl?: Duration): number;

/** Anything that this package throws on its own account. */
export class KeybrakeError extends Error {}
/** The server could not be reached, or went away; whether it acted is not known. */
export class ConnectionFailed extends KeybrakeError {}
/** No (whole) answer came in time; whether the server acted is not known. */
export class TimedOut extends ConnectionFailed {}
/** What answered does not speak keybrake's API. */
export class BadAnswer extends KeybrakeError {}
/** A key could not be revoked; it ends by itself. */
export class RevokeFailed extends KeybrakeError {
    constructor(message: string, key_id: string, expires_at: string, options?: ErrorOptions);
    readonly key_id: string;
    readonly expires_at: string;
}
/** The server said no. */
export class ApiError extends KeybrakeError {
    constructor(status: number, code: string, detail: string);
    readonly status: number;
    readonly code: string;
    readonly detail: string;
}
/** 400 */
export class BadRequest extends ApiError {}
/** 401 */
export class Unauthorized extends ApiError {}
/** 403 */
export class Forbidden extends ApiError {}
/** 404 */
export class NotFound extends ApiError {}
/** 409; 412 */
export class Conflict extends ApiError {}
/** 422 */
export class Refused extends ApiError {}
/** 429 and 5xx */
export class Unavailable extends ApiError {}
