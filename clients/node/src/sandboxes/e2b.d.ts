/* SPDX-License-Identifier: Apache-2.0 */
import type { Spawned, SpawnOptions } from "./common.js";

interface E2bSandbox {
    kill(): Promise<unknown>;
    setTimeout(timeoutMs: number): Promise<unknown>;
}

/** `Sandbox` is the e2b package's; `create` goes to Sandbox.create with envs, time-out and network set. */
export function spawn<S extends E2bSandbox>(
    Sandbox: {
        create(template: any, options?: any): Promise<S>;
        kill(sandboxId: string, options?: any): Promise<unknown>;
        list(options?: any): { hasNext: boolean; nextItems(): Promise<{ sandboxId: string }[]> };
    },
    options: SpawnOptions & { template?: string; create?: Record<string, unknown> },
): Promise<Spawned<S>>;
