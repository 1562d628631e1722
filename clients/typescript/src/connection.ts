/** The two generated clients as one connection. */

import { createClient as createIpamClient } from "./ipam/client/index.ts";
import { Ipam } from "./ipam/index.ts";
import { type Patience, patient } from "./patience.ts";
import { createClient as createPlacementClient } from "./placement/client/index.ts";
import { Placement } from "./placement/index.ts";
import { thrown } from "./refused.ts";

/** Clients of both services for one token. Their methods answer with the resource, or throw Refused or Unreachable. */
export interface Connection {
  readonly ipam: Ipam;
  readonly placement: Placement;
}

export interface ConnectOptions {
  ipamUrl: string;
  placementUrl: string;
  /** A bearer token, or what gets a fresh one when a request is made. */
  token: string | (() => string | Promise<string>);
  patience?: Patience;
}

/** Opens nothing yet: connections are made at the first call. */
export function connect({ ipamUrl, placementUrl, token, patience }: ConnectOptions): Connection {
  const config = {
    auth: async (scheme: { type: string }) =>
      scheme.type === "http" ? (typeof token === "string" ? token : await token()) : undefined,
    fetch: patient(patience) as typeof fetch,
    throwOnError: true,
  };
  const ipam = createIpamClient({ ...config, baseUrl: ipamUrl });
  const placement = createPlacementClient({ ...config, baseUrl: placementUrl });
  ipam.interceptors.error.use(thrown);
  placement.interceptors.error.use(thrown);
  return { ipam: new Ipam({ client: ipam }), placement: new Placement({ client: placement }) };
}

/** To where GODWIT_IPAM_URL, GODWIT_PLACEMENT_URL and GODWIT_TOKEN say, as the `godwit` command reads them. */
export function fromEnvironment(environment: Record<string, string | undefined> = process.env): Connection {
  const read = (name: string): string => {
    const value = environment[name];
    if (!value) throw new Error(`${name} is not set`);
    return value;
  };
  return connect({
    ipamUrl: read("GODWIT_IPAM_URL"),
    placementUrl: read("GODWIT_PLACEMENT_URL"),
    token: read("GODWIT_TOKEN"),
  });
}
