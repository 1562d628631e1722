/** What no generator gives, held against a server that answers in turn. */

import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { after, beforeEach, describe, test } from "node:test";
import { connect, every, etag, Refused, Unreachable } from "../src/index.ts";
import { patient } from "../src/patience.ts";

type Answer = { status: number; body?: unknown; text?: string };

const asked: { method: string; url: string; headers: IncomingMessage["headers"] }[] = [];
let answers: Answer[] = [];

function answer(request: IncomingMessage, response: ServerResponse): void {
  asked.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers });
  const next = (answers.length > 1 ? answers.shift() : answers[0]) ?? { status: 500 };
  response.writeHead(next.status, { "Content-Type": "application/json", "X-Request-ID": "from-the-header" });
  response.end(next.text ?? JSON.stringify(next.body ?? {}));
}

const server = createServer(answer).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const address = server.address();
assert(typeof address === "object" && address !== null);
const url = `http://127.0.0.1:${address.port}`;
const patience = { unreachableMs: 300, unavailableMs: 300 };
const cloud = connect({ ipamUrl: url, placementUrl: url, token: () => "secret", patience });

after(() => server.close());
beforeEach(() => {
  asked.length = 0;
});

const problem = (status: number, code: string): Answer => ({
  status,
  body: { code, detail: "a sentence", retryable: status === 503, errors: [{ field: "zone", message: "?" }], request_id: "r1" },
});
const reserve = () => cloud.ipam.reserveFlexibleIp({ body: { zone: "zone-1" } });

describe("patience", () => {
  for (const first of [problem(503, "database.unavailable"), problem(409, "idempotency.in_flight")]) {
    test(`what may be repeated after ${first.status} is repeated under one key`, async () => {
      answers = [first, { status: 201, body: { id: "x" } }];
      assert.equal((await reserve()).id, "x");
      const [one, two] = asked.map((request) => request.headers["idempotency-key"]);
      assert(one);
      assert.equal(one, two);
      assert.equal(asked.length, 2);
    });
  }

  test("two requests have two keys, a caller's own is kept, and reading has none", async () => {
    answers = [{ status: 200, body: { items: [], next_cursor: null } }];
    await reserve();
    await reserve();
    await cloud.ipam.reserveFlexibleIp({ body: { zone: "zone-1" }, headers: { "Idempotency-Key": "mine" } });
    await cloud.ipam.listFlexibleIps();
    const [one, two, mine, none] = asked.map((request) => request.headers["idempotency-key"]);
    assert.notEqual(one, two);
    assert.equal(mine, "mine");
    assert.equal(none, undefined);
  });

  test("it ends", async () => {
    let now = 0;
    const silence = patient(
      { unreachableMs: 3_000, unavailableMs: 15_000 },
      () => Promise.reject(new TypeError("silence")),
      () => now,
      async (ms) => void (now += ms),
    );
    await assert.rejects(silence(new Request("http://nowhere")), TypeError);
    assert(now > 1_000 && now <= 3_000);
  });
});

describe("errors", () => {
  for (const [status, code] of [[401, "auth.token_refused"], [412, "revision.stale"], [422, "request.invalid"]] as const) {
    test(`${code} is thrown with its code, words and request id, and is not repeated`, async () => {
      answers = [problem(status, code)];
      await assert.rejects(reserve(), (error) => {
        assert(error instanceof Refused);
        assert.deepEqual([error.status, error.code, error.message, error.requestId], [status, code, "a sentence", "r1"]);
        assert.deepEqual(error.errors, [{ field: "zone", message: "?" }]);
        return true;
      });
      assert.equal(asked.length, 1);
    });
  }

  for (const text of ["", "<html>", "[]", '"x"', "{}"]) {
    test(`an error that is no problem document, ${JSON.stringify(text)}, still says something`, async () => {
      answers = [{ status: 502, text }];
      await assert.rejects(reserve(), (error) => {
        assert(error instanceof Refused);
        assert.equal(error.code, "http.502");
        assert.equal(error.requestId, "from-the-header");
        return error.message !== "";
      });
    });
  }

  test("silence is Unreachable", async () => {
    const nobody = connect({ ipamUrl: "http://127.0.0.1:1", placementUrl: url, token: "x", patience });
    await assert.rejects(nobody.ipam.listZones(), Unreachable);
  });
});

test("the token is asked for at each request and sent once", async () => {
  answers = [{ status: 200, body: { items: [], next_cursor: null } }];
  await cloud.placement.listZones();
  assert.equal(asked[0]?.headers.authorization, "Bearer secret");
  assert.equal(asked[0]?.headers["x-auth-token"], undefined);
});

test("a list is read page after page, as far as it is wanted", async () => {
  const page = (ids: string[], next: string | null): Answer => ({
    status: 200,
    body: { items: ids.map((name) => ({ name })), next_cursor: next },
  });
  answers = [page(["a", "b"], "c1"), page([], "c2"), page(["c"], null)];
  const names: string[] = [];
  for await (const zone of every((cursor) => cloud.ipam.listZones({ query: { cursor, limit: 2 } }))) names.push(zone.name);
  assert.deepEqual(names, ["a", "b", "c"]);
  assert.deepEqual(asked.map((request) => request.url.split("?")[1]), ["limit=2", "cursor=c1&limit=2", "cursor=c2&limit=2"]);
});

test("an ETag is the revision, quoted", () => assert.equal(etag({ revision: 7 }), '"7"'));
