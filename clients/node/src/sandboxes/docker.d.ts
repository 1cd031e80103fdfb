/* SPDX-License-Identifier: Apache-2.0 */
import type { Spawned, SpawnOptions } from "./common.js";

/** Where the door's socket is inside the container. */
export const SOCKET_INSIDE: string;

interface DockerContainer {
    id: string;
    start(): Promise<unknown>;
    remove(options?: any): Promise<unknown>;
    wait(options?: any): Promise<unknown>;
}

/** `docker` is a dockerode object. One of `socket` and `network` says how the container reaches
 * keybrake. A timer here ends it when its lifetime is over; its death ends the keys. */
export function spawn<C extends DockerContainer>(
    docker: {
        createContainer(options: any): Promise<C>;
        getContainer(id: string): C;
        getEvents(options: any): Promise<NodeJS.ReadableStream>;
        listContainers(options: any): Promise<{ Id: string }[]>;
    },
    options: SpawnOptions & {
        create: Record<string, any>;
        socket?: string;
        network?: string;
    },
): Promise<Spawned<C> & { died: Promise<void> }>;
