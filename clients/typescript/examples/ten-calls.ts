/**
 * What an address goes through, call by call, on a running cloud; every answer is checked.
 *
 *     eval "$(godwit token env)"; node examples/ten-calls.ts
 */

import assert from "node:assert/strict";
import { connect, etag, every, fromEnvironment, type ipam, Refused, resourceId, wait, watch } from "../src/index.ts";

const cloud = fromEnvironment();
const zone = process.env.GODWIT_ZONE ?? "zone-1";

async function instance(name: string): Promise<ipam.TargetRef> {
  const creating = await cloud.placement.createInstance({ body: { name, zone, flavor: "small" } });
  return { kind: "instance", id: resourceId(await wait(cloud, creating, 60)) };
}

/** Insists that the call is refused with this code, typed, with words and a request id. */
async function refused(call: Promise<unknown>, status: number, code: string): Promise<void> {
  const error: unknown = await call.then(
    () => assert.fail(`not refused with ${code}`),
    (thrown: unknown) => thrown,
  );
  assert(error instanceof Refused, String(error));
  assert.deepEqual([error.status, error.code], [status, code]);
  assert(error.message && error.requestId);
  console.log(`${status}: ${error.message} (${error.code}, request ${error.requestId})`);
}

const [web, database] = await Promise.all([instance("ten-web"), instance("ten-db")]);

const reserved = await cloud.ipam.reserveFlexibleIp({ body: { zone, name: "ten" } });
const path = { flexible_ip_id: reserved.id };
console.log(`reserve: ${reserved.address} is ${reserved.state}`);

const attaching = await cloud.ipam.attachFlexibleIp({ path, body: { target: web } });
console.log(`attach: ${attaching.id} is ${attaching.state}`);

await wait(cloud, attaching, 60);
const attached = await cloud.ipam.getFlexibleIp({ path });
assert.equal(attached.state, "attached");
console.log(`wait: ${attached.address} is ${attached.state}`);

const twice = cloud.ipam.attachFlexibleIp({ path, body: { target: database } });
await refused(twice, 409, "ipam.flexible_ip.already_attached");

const headers = { "If-Match": etag(attached) };
await cloud.ipam.updateFlexibleIp({ path, body: { name: "eleven" }, headers });
await refused(cloud.ipam.updateFlexibleIp({ path, body: { name: "twelve" }, headers }), 412, "revision.stale");

const moving = await cloud.ipam.moveFlexibleIp({ path, body: { from: web, to: database } });
console.log(`move: ${moving.id} is ${moving.state}`);

const states: string[] = [];
for await (const now of watch(cloud, moving, 1)) states.push(now.state);
assert.equal(states.at(-1), "succeeded");
assert.equal((await cloud.ipam.getFlexibleIp({ path })).attachment?.target.id, database.id);
console.log(`watch: ${states.join(", ")}`);

await wait(cloud, await cloud.ipam.detachFlexibleIp({ path, body: { from: database } }), 60);
console.log("detach: done");

const more = await cloud.ipam.reserveFlexibleIp({ body: { zone, family: "ipv6" } });
const listed = new Set<string>();
for await (const ip of every((cursor) => cloud.ipam.listFlexibleIps({ query: { zone, limit: 1, cursor } }))) {
  listed.add(ip.id);
}
assert(listed.has(reserved.id) && listed.has(more.id));
console.log(`list: ${listed.size} addresses, one a page`);

const released = await cloud.ipam.releaseFlexibleIp({ path });
assert.equal(released.state, "quarantined");
console.log(`release: ${released.address} rests until ${released.quarantined_until}`);

const stranger = connect({
  ipamUrl: process.env.GODWIT_IPAM_URL ?? "",
  placementUrl: process.env.GODWIT_PLACEMENT_URL ?? "",
  token: "nobody's",
});
await refused(stranger.ipam.listZones(), 401, "auth.token_refused");
const family = "ipv5" as ipam.Family; // as a program that was not compiled might say
await refused(cloud.ipam.reserveFlexibleIp({ body: { zone, family } }), 422, "request.invalid");
