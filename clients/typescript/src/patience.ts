/** A fetch with patience: a request that may be repeated is repeated, and repeating it changes nothing twice. */

/** How long to go on, in milliseconds: while nothing answers, and while the answer is 503 (try again). */
export interface Patience {
  unreachableMs: number;
  unavailableMs: number;
}

export const PATIENCE: Patience = { unreachableMs: 3_000, unavailableMs: 15_000 };

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1_000;

type Fetch = (request: Request) => Promise<Response>;

/** Gives every change an Idempotency-Key of its own, unless it has one, so that one whose answer was lost is sent again. */
export function patient(
  patience: Patience = PATIENCE,
  inner: Fetch = fetch,
  clock: () => number = () => performance.now(),
  pause: (ms: number) => Promise<void> = (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
): Fetch {
  return async (request) => {
    if (request.method !== "GET" && !request.headers.has("Idempotency-Key")) {
      request.headers.set("Idempotency-Key", crypto.randomUUID());
    }
    const started = clock();
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * pauseMs)) {
      const spentMs = clock() - started + pauseMs;
      try {
        const response = await inner(request.clone());
        if (!(await mayBeRepeated(response)) || spentMs > patience.unavailableMs) return response;
      } catch (error) {
        if (request.signal.aborted || spentMs > patience.unreachableMs) throw error;
      }
      await pause(pauseMs);
    }
  };
}

async function mayBeRepeated(response: Response): Promise<boolean> {
  if (response.status !== 409) return response.status === 503;
  const problem = await response.clone().json().catch(() => null);
  return problem?.code === "idempotency.in_flight";
}
