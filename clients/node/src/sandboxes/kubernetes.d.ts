/* SPDX-License-Identifier: Apache-2.0 */
import type { Duration, Policy } from "../index.js";
import type { Spawned, SpawnOptions } from "./common.js";

interface PodAt {
    namespace?: string;
    /** metadata and spec of a pod. */
    pod: { metadata?: Record<string, any>; spec: Record<string, any> };
    /** A NetworkPolicy peer that selects keybrake's pods; needed unless keybrake's URL has an address. */
    brokerPods?: Record<string, unknown>;
    /** Allow the cluster's DNS as well. */
    dns?: boolean;
}

/** The APIs are CoreV1Api and NetworkingV1Api of @kubernetes/client-node. */
export function spawn(
    apis: { core: any; networking: any },
    options: SpawnOptions & PodAt,
): Promise<Spawned<Record<string, any>>>;

/** [NetworkPolicy, Pod]: an init container issues, a sidecar's preStop hook revokes. */
export function manifests(options: PodAt & {
    name: string;
    key: Policy;
    lifetime: Duration;
    ttl?: Duration;
    /** An image with the keybrake program and a shell. */
    image: string;
    /** keybrake's API as the pod reaches it, and the Secret whose `token` is an issuer's. */
    controlUrl: string;
    tokenSecret: string;
    controlPort?: number;
    /** keybrake's public URL. */
    broker: string;
}): [Record<string, any>, Record<string, any>];
