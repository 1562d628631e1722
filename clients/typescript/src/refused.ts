/** Errors of either API, typed. */

import type { FieldError, Problem } from "./ipam/index.ts";

/** The API answered with an error. `code` is stable; `retryable` says whether the same request may succeed later. */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly status: number;
  readonly code: string;
  readonly retryable: boolean;
  readonly errors: readonly FieldError[];
  /** What the service's logs know the request by. */
  readonly requestId: string;

  constructor(status: number, problem: Partial<Problem>) {
    super(problem.detail || `the server answered ${status} and said nothing more`);
    this.status = status;
    this.code = problem.code ?? `http.${status}`;
    this.retryable = problem.retryable ?? false;
    this.errors = problem.errors ?? [];
    this.requestId = problem.request_id ?? "";
  }
}

/** Nothing answered; whether the request took effect is unknown. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
  readonly code = "api.unreachable";
}

/** What a generated client is to throw: `error` is the body that came, parsed where it is JSON, or why none came. */
export function thrown(error: unknown, response: Response | undefined): unknown {
  if (response === undefined) {
    return error instanceof TypeError ? new Unreachable(String(error.cause ?? error.message), { cause: error }) : error;
  }
  if (response.ok) return error; // a body that is no JSON
  const said = typeof error === "object" && error !== null ? error : { detail: String(error).trim().slice(0, 200) };
  return new Refused(response.status, { request_id: response.headers.get("X-Request-ID") ?? "", ...said });
}

/** The value for `If-Match` that lets a change through only while the resource is as it was read. */
export function etag(resource: { revision: number }): string {
  return `"${resource.revision}"`;
}
