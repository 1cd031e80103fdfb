/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP request to a keybrake server: over TCP, TLS, or its local Unix socket. */

import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { BlockList, isIP } from "node:net";
import { homedir } from "node:os";
import path from "node:path";

import { BadAnswer, ConnectionFailed, KeybrakeError, TimedOut } from "./errors.js";

const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/* Where the server of this user, or of the machine, has its local socket. */
export function defaultSocket() {
    const data =
        process.env.KEYBRAKE_DATA ||
        (process.geteuid?.() === 0
            ? "/var/lib/keybrake"
            : path.join(homedir(), ".local/state/keybrake"));
    return path.join(data, "run", "control.sock");
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

function isLoopback(host) {
    const kind = isIP(host);
    if (kind === 0) {
        return host === "localhost" || host.endsWith(".localhost");
    }
    return loopback.check(host, kind === 6 ? "ipv6" : "ipv4");
}

/* {where, request options, module} for a URL; no proxies, no redirects, no cookies. */
export function parseServer(url, { caFile, insecure } = {}) {
    if (url.startsWith("unix:")) {
        const socketPath = url.slice("unix:".length);
        return { where: socketPath, module: http, prefix: "", options: { socketPath, host: "localhost" } };
    }
    const wrong = "the server's URL is http(s)://HOST[:PORT] or unix:/PATH";
    let parsed;
    try {
        parsed = new URL(url);
    } catch {
        throw new KeybrakeError(wrong);
    }
    const tls = parsed.protocol === "https:";
    if ((!tls && parsed.protocol !== "http:") || parsed.username || parsed.password || parsed.search || parsed.hash) {
        throw new KeybrakeError(wrong);
    }
    const host = parsed.hostname.replace(/^\[|\]$/g, "");
    if (!tls && !insecure && !isLoopback(host)) {
        throw new KeybrakeError(
            "http:// to another machine would send the operator's token in the clear: use https://, or say insecure: true",
        );
    }
    return {
        where: parsed.host,
        module: tls ? https : http,
        prefix: parsed.pathname.replace(/\/+$/, ""),
        options: {
            host,
            port: parsed.port || (tls ? 443 : 80),
            ...(tls && caFile ? { ca: readFileSync(caFile) } : {}),
        },
    };
}

/* {status, headers, text}; `timeoutMs` from connecting to the answer's last byte. */
export function ask(server, { method, path: target, headers, body, timeoutMs }) {
    return new Promise((resolve, reject) => {
        let timer;
        let reason; /* ours, when we ended it */
        const done = (settle, value) => {
            clearTimeout(timer);
            settle(value);
        };
        const failed = (found) => {
            const error = reason ?? found;
            const text = `${server.where}: ${error.code ?? error.message}`;
            const certificate = /^(CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|ERR_TLS_CERT)/.test(error.code ?? "");
            done(
                reject,
                error instanceof KeybrakeError
                    ? error
                    : certificate
                      ? new KeybrakeError(`${text}; a CA of your own is given by caFile or KEYBRAKE_CA`)
                      : new ConnectionFailed(text),
            );
        };
        const request = server.module.request(
            { ...server.options, method, path: server.prefix + target, headers, agent: false },
            (answer) => {
                const pieces = [];
                let size = 0;
                answer.on("data", (piece) => {
                    pieces.push(piece);
                    size += piece.length;
                    if (size > ANSWER_BYTES_MAX) {
                        end(new BadAnswer(`an answer of more than ${ANSWER_BYTES_MAX} bytes`));
                    }
                });
                answer.on("error", failed);
                answer.on("end", () =>
                    done(resolve, {
                        status: answer.statusCode,
                        headers: answer.headers,
                        text: Buffer.concat(pieces).toString("utf8"),
                    }),
                );
            },
        );
        const end = (why) => {
            reason ??= why;
            request.destroy(why);
        };
        timer = setTimeout(
            () => end(new TimedOut(`no whole answer from ${server.where} within ${timeoutMs} ms`)),
            timeoutMs,
        );
        request.on("error", failed);
        request.end(body);
    });
}
