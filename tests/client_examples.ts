/** The examples of docs/clients.md, for a chat that listens elsewhere than in the document. */

import { block } from "./documents.ts";

/** The example in a language. */
export async function example(language: string, url: string): Promise<string> {
  const text = await Deno.readTextFile(new URL("../docs/clients.md", import.meta.url));
  return block(language, text).replaceAll("localhost:4567", new URL(url).host);
}
