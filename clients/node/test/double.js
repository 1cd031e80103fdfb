/* SPDX-License-Identifier: Apache-2.0 */
/* A server that answers as it is told and remembers what it was asked. */

import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";

export const TOKEN = `vk_${"A".repeat(38)}`;

export function keyId(number) {
    return `key_${String(number).padStart(16, "0")}`;
}

export function shown(number = 1, more = {}) {
    return {
        id: keyId(number), status: "active", vendor: "stripe", label: "run/1",
        expires_at: "2026-11-23T12:12:00.000Z", spent_usd: "0.00", held_usd: "0.00",
        remaining_usd: "50.00", ...more,
    };
}

export function issued(number = 1, more = {}) {
    const env = { STRIPE_API_KEY: TOKEN, STRIPE_API_BASE: "http://127.0.0.1:1/stripe" };
    return shown(number, { token: TOKEN, env, ...more });
}

export function problem(status, code, detail = "no", headers = {}) {
    return [status, { type: `urn:keybrake:${code}`, title: "x", status, detail, code }, headers];
}

/* Answers: [status, value, headers], a text of raw bytes, or {fault: "silence" | "cut" | "reset" |
 * "drip"}.  When they are used up issue and revoke are answered as they should be, after delayMs. */
export async function double(answers = [], { unix = false, delayMs = 0 } = {}) {
    const self = { answers: [...answers], calls: [], issues: 0, delayMs, onCall: undefined };
    self.revoked = () => self.calls.filter((c) => c.method === "DELETE").map((c) => c.path.split("/").pop());

    function usual(method, target) {
        if (method === "POST" && target.endsWith("/v1/keys")) {
            return [201, issued(++self.issues)];
        }
        if (method === "DELETE") {
            return [200, { id: target.split("/").pop(), status: "revoked", open_objects: [] }];
        }
        return problem(404, "not_found");
    }

    function send(response, said) {
        const socket = response.socket;
        if (typeof said === "string") {
            socket.end(said);
        } else if (said.fault === "reset") {
            socket.destroy();
        } else if (said.fault === "cut") {
            socket.end("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}");
        } else if (said.fault === "drip") {
            socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
            const timer = setInterval(() => socket.write(" "), 50);
            socket.on("close", () => clearInterval(timer));
        } else if (said.fault !== "silence") {
            const [status, value, headers = {}] = said;
            response.writeHead(status, headers);
            response.end(typeof value === "string" ? value : JSON.stringify(value));
        }
    }

    const server = http.createServer(async (request, response) => {
        let text = "";
        for await (const piece of request) {
            text += piece;
        }
        self.calls.push({
            method: request.method, path: request.url, headers: request.headers,
            body: text ? JSON.parse(text) : null,
        });
        self.onCall?.(request.method);
        const said = self.answers.shift() ?? usual(request.method, request.url);
        setTimeout(send, self.delayMs, response, said);
    });
    server.on("clientError", () => {});
    let directory;
    if (unix) {
        directory = mkdtempSync(path.join(tmpdir(), "keybrake-double-"));
        const socketPath = path.join(directory, "control.sock");
        await new Promise((resolve) => server.listen(socketPath, resolve));
        self.url = `unix:${socketPath}`;
    } else {
        await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
        self.url = `http://127.0.0.1:${server.address().port}`;
    }
    self.close = async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
        if (directory) {
            rmSync(directory, { recursive: true });
        }
    };
    return self;
}

export async function deadPort() {
    const server = net.createServer();
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address();
    await new Promise((resolve) => server.close(resolve));
    return port;
}
