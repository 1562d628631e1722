/** Operations of both services: read one, watch it, wait for it. */

import type { Connection } from "./connection.ts";
import type { Operation } from "./ipam/index.ts";

export type { Operation };

const LONG_POLL_S = 10;
const FINAL: ReadonlySet<string> = new Set(["succeeded", "failed", "cancelled"]);

/** An operation that was waited for did not succeed. `code` is that of its error. */
export class OperationFailed extends Error {
  override readonly name = "OperationFailed";
  readonly operation: Operation;
  readonly code: string;

  constructor(operation: Operation) {
    const { kind, state, error } = operation;
    super(error ? `${kind} failed: ${error.message}` : `${kind} was ${state}`);
    this.operation = operation;
    this.code = operation.error?.code ?? `operation.${operation.state}`;
  }
}

/** An operation that was waited for is not final in time; `operation.waiting_for` may say why. It goes on. */
export class OperationUnfinished extends Error {
  override readonly name = "OperationUnfinished";
  readonly operation: Operation;
  readonly code = "operation.unfinished";

  constructor(operation: Operation) {
    super(`${operation.kind} is still ${operation.state}${operation.waiting_for ? `: ${operation.waiting_for.text}` : ""}`);
    this.operation = operation;
  }
}

/** The operation now, or as soon as it is final, at most `waitS` (30) seconds later. Its id says which service knows it. */
export async function readOperation(cloud: Connection, id: string, waitS = 0): Promise<Operation> {
  const options = { path: { operation_id: id }, query: { wait_s: waitS } };
  if (id.startsWith("ipam-")) return cloud.ipam.getOperation(options);
  if (id.startsWith("placement-")) return cloud.placement.getOperation(options);
  throw new RangeError(`${JSON.stringify(id)} is no operation's id; one starts with ipam- or placement-`);
}

/** The operation as it is, and again whenever it is asked for, until it is final. */
export async function* watch(cloud: Connection, from: Operation, pollS = LONG_POLL_S): AsyncGenerator<Operation, void> {
  yield from;
  for (let now = from; !FINAL.has(now.state); ) {
    now = await readOperation(cloud, now.id, pollS);
    yield now;
  }
}

/** Waits until it has succeeded. Throws OperationFailed, or OperationUnfinished when it is not final within `withinS`. */
export async function wait(cloud: Connection, from: Operation, withinS = Number.POSITIVE_INFINITY): Promise<Operation> {
  const ends = performance.now() + withinS * 1000;
  let now = from;
  while (!FINAL.has(now.state)) {
    const leftS = (ends - performance.now()) / 1000;
    if (leftS <= 0) throw new OperationUnfinished(now);
    now = await readOperation(cloud, now.id, Math.min(LONG_POLL_S, leftS));
  }
  if (now.state !== "succeeded") throw new OperationFailed(now);
  return now;
}

/** The id of what an operation changes: the last part of its path. */
export function resourceId(operation: Operation): string {
  return operation.resource.slice(operation.resource.lastIndexOf("/") + 1);
}
