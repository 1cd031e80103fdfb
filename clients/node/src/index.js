/* SPDX-License-Identifier: Apache-2.0 */
export { Client, IssuedKey } from "./client.js";
export { ttlFor } from "./duration.js";
export {
    ApiError, BadAnswer, BadRequest, Conflict, ConnectionFailed, Forbidden, KeybrakeError, NotFound,
    Refused, RevokeFailed, TimedOut, Unauthorized, Unavailable,
} from "./errors.js";
export { VaultKey, vaultKey, withVaultKey } from "./vault_key.js";
