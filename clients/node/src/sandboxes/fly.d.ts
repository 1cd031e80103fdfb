/* SPDX-License-Identifier: Apache-2.0 */
import { KeybrakeError } from "../index.js";
import type { Spawned, SpawnOptions } from "./common.js";

export interface Machine {
    id: string;
    [more: string]: unknown;
}

export class FlyError extends KeybrakeError {
    readonly status: number;
}

/** A timer here ends the machine when its lifetime is over. */
export function spawn(
    options: SpawnOptions & {
        app: string;
        /** Of Fly, not of keybrake. */
        token: string;
        apiUrl?: string;
        name?: string;
        region?: string;
        /** The machine's config: image, guest, init, ... */
        config?: Record<string, unknown>;
        /** Also allow egress to keybrake's port only; Fly's rules know ports, no addresses. */
        networkPolicy?: boolean;
    },
): Promise<Spawned<Machine>>;
