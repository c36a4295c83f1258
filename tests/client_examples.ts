/** The examples of docs/clients.md, for a server that listens elsewhere than in the document. */

/** The one example in a language, as the fence names it. */
export async function example(language: string, url: string): Promise<string> {
  const text = await Deno.readTextFile(new URL("../docs/clients.md", import.meta.url));
  const [, code] = new RegExp(`^\`\`\`${language}\\b.*\\n([^]*?)^\`\`\`$`, "m").exec(text) ?? [];
  if (code === undefined) throw new TypeError(`There is no example in ${language}`);
  return code.replaceAll("localhost:4567", new URL(url).host);
}
