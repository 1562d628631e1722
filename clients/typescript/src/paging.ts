/** Lists, page after page. */

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

/**
 * All items of a list; a page is asked for when it is needed.
 *
 *     for await (const ip of every((cursor) => cloud.ipam.listFlexibleIps({ query: { zone, cursor } }))) …
 */
export async function* every<T>(fetch: (cursor: string | undefined) => Promise<Page<T>>): AsyncGenerator<T, void> {
  let cursor: string | undefined;
  do {
    const page = await fetch(cursor);
    yield* page.items;
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
}
