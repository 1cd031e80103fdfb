/* SPDX-License-Identifier: Apache-2.0 */
/* Run by ways_out.js: revokes what stands on standard input, twice if need be. */

import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";

import { ask } from "./transport.js";

const TIMEOUT_MS = 3000;

async function revoke({ id, secure, where, prefix, options, headers }) {
    const server = { where, prefix, options, module: secure ? https : http };
    for (let attempt = 1; ; attempt++) {
        try {
            const answer = await ask(server, {
                method: "DELETE", path: `/v1/keys/${encodeURIComponent(id)}`, headers, timeoutMs: TIMEOUT_MS,
            });
            if (answer.status < 300 || answer.status === 404) {
                return;
            }
            throw new Error(`the server said ${answer.status}`);
        } catch (error) {
            if (attempt === 2) {
                process.stderr.write(`keybrake: ${id} could not be revoked at exit: ${error.message}\n`);
                return;
            }
        }
    }
}

await Promise.all(JSON.parse(readFileSync(0, "utf8")).map(revoke));
