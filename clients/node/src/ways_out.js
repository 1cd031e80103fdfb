/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sees to it that keys are revoked on every way out of this process.
 *
 * While any key lives, SIGINT, SIGTERM and SIGHUP, where nobody handles them, first revoke and then
 * end the process as they would have.  At "exit" (process.exit, an uncaught exception, the end of
 * the program) nothing asynchronous can run any more: another node, waited for, does it.  SIGKILL
 * is left to the key's TTL.
 */

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];
const AT_EXIT_MS = 10000;
const REVOKER = fileURLToPath(new URL("revoke_at_exit.js", import.meta.url));

const live = new Map(); /* key id -> {revoke, connection} */
const issuing = new Set();
let watching = false;

const handlers = Object.fromEntries(SIGNALS.map((name) => [name, () => onSignal(name)]));

async function onSignal(name) {
    /* Whoever else listens decides what the signal means; keys then end with their blocks. */
    if (process.listenerCount(name) > 1) {
        return;
    }
    await Promise.allSettled([...issuing]);
    await Promise.allSettled([...live.values()].map((key) => key.revoke()));
    process.removeListener(name, handlers[name]);
    process.kill(process.pid, name);
}

function onExit() {
    if (live.size === 0) {
        return;
    }
    const work = [...live].map(([id, { connection }]) => ({
        id,
        secure: connection.server.module.globalAgent.protocol === "https:",
        where: connection.server.where,
        prefix: connection.server.prefix,
        options: { ...connection.server.options, ca: connection.server.options.ca?.toString() },
        headers: connection.headers,
    }));
    live.clear();
    /* By standard input: a token has no place among arguments or variables. */
    const done = spawnSync(process.execPath, [REVOKER], {
        input: JSON.stringify(work), timeout: AT_EXIT_MS, stdio: ["pipe", "ignore", "inherit"],
        env: { NODE_EXTRA_CA_CERTS: process.env.NODE_EXTRA_CA_CERTS ?? "" },
    });
    if (done.error) {
        process.stderr.write(`keybrake: keys could not be revoked at exit: ${done.error.message}\n`);
    }
}

function watch() {
    if (watching) {
        return;
    }
    watching = true;
    process.on("exit", onExit);
    for (const name of SIGNALS) {
        process.on(name, handlers[name]);
    }
}

function unwatch() {
    if (!watching || live.size > 0 || issuing.size > 0) {
        return;
    }
    watching = false;
    process.removeListener("exit", onExit);
    for (const name of SIGNALS) {
        process.removeListener(name, handlers[name]);
    }
}

/* A key being issued: a signal waits for it. */
export async function underway(promise) {
    issuing.add(promise);
    watch();
    try {
        return await promise;
    } finally {
        issuing.delete(promise);
        unwatch();
    }
}

export function register(id, key) {
    live.set(id, key);
    watch();
}

export function forget(id) {
    live.delete(id);
    unwatch();
}
