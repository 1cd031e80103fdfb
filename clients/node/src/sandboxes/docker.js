/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Docker (and podman's Docker API): spawn(docker, {key, lifetime, create}), with a dockerode object.
 *
 *   socket: "/run/keybrake/door.sock"   the strict form: no network at all, keybrake's Unix socket
 *                                       (serve --listen unix:PATH) mounted at /run/keybrake.sock
 *   network: "NAME"                     a network that reaches keybrake and nothing else
 *
 * (`keybrake attach` is the third way: it issues, and revokes, by itself.)
 *
 * A container has no lifetime: a timer ends it.  The keys die with it, by the engine's "die" event.
 */

import { seconds } from "../duration.js";
import { KeybrakeError } from "../errors.js";
import { spawn as spawnWith } from "./common.js";
import { Timer } from "./timer.js";

export const SOCKET_INSIDE = "/run/keybrake.sock";

function envList(given = [], env) {
    return [...given, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)];
}

function ways({ socket, network }) {
    const given = [socket, network].filter((way) => way !== undefined);
    if (given.length !== 1) {
        throw new TypeError("how the container reaches keybrake: one of `socket`, `network`");
    }
    if (network === "host" || network === "bridge" || network === "default") {
        throw new KeybrakeError(`the network '${network}' reaches more than keybrake`);
    }
}

/* The engine's word that the container has died, as a promise; its stream is let go of by stop(). */
async function deathOf(docker, id) {
    const stream = await docker.getEvents({ filters: { type: ["container"], container: [id], event: ["die"] } });
    const died = new Promise((resolve, reject) => {
        stream.once("data", resolve);
        stream.once("end", reject);
        stream.once("error", reject);
    });
    stream.resume?.();
    return { died, stop: () => stream.destroy() };
}

export async function spawn(docker, { create, socket, network, ...options }) {
    ways({ socket, network });
    const timer = new Timer();
    let watched;
    const spawned = await spawnWith({ ...options, broker: network === undefined ? undefined : options.broker }, {
        remote: network !== undefined,
        async create({ env, keys }) {
            const host = create.HostConfig ?? {};
            const container = await docker.createContainer({
                ...create,
                Env: envList(create.Env, socket === undefined ? env : { ...env, KEYBRAKE_SOCKET: SOCKET_INSIDE }),
                Labels: { ...create.Labels, keybrake_key: keys[0].id },
                HostConfig: {
                    ...host,
                    NetworkMode: network ?? "none",
                    ...(socket === undefined ? {} : { Binds: [...(host.Binds ?? []), `${socket}:${SOCKET_INSIDE}`] }),
                },
            });
            try {
                watched = await deathOf(docker, container.id);
                await container.start();
                return container;
            } catch (error) {
                /* Keys first: the caller revokes, then sweeps by label. */
                watched?.stop();
                throw error;
            }
        },
        async kill(container) {
            timer.stop();
            watched?.stop();
            await remove(container);
        },
        extend: async (container, s) => timer.set(s),
        async sweep(keys) {
            const left = await docker.listContainers({ all: true, filters: { label: [`keybrake_key=${keys[0].id}`] } });
            for (const { Id } of left) {
                await remove(docker.getContainer(Id));
            }
        },
    });
    /* Revoked at once when the container ends by itself.  The event is the first to come; the wait is
     * for engines whose events begin late. */
    spawned.died = Promise.any([watched.died, spawned.sandbox.wait()]).catch(() => {}).then(async () => {
        timer.stop();
        await Promise.allSettled(spawned.keys.map((key) => key.revoke()));
    });
    return timer.start(spawned, seconds(options.lifetime));
}

async function remove(container) {
    try {
        await container.remove({ force: true, v: true });
    } catch (error) {
        if (error.statusCode !== 404 && error.statusCode !== 409) {
            throw error;
        }
    }
}
