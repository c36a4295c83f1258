/**
 * The documents: their links, and the examples in them and in the comments of deploy/, which are
 * the blocks of code, those of a shell command by command, and the commands in running text.
 */

const ROOT = new URL("../", import.meta.url);
/** A block of code in Markdown, with its indentation and its language. */
const BLOCK = /^( *)```(\w*)[^\n]*\n([^]*?)^ *```$/gm;
/** What a command in running text or in a comment begins with. */
const PROGRAM =
  /^(?!deno task$)(?:[A-Z_]+=\S* )*(?:sudo )?(?:apt|apt-get|caddy|certbot|cp|curl|deno|docker|git|go|journalctl|mkcert|nginx|node|npx|openssl|perf|python3|redis-cli|redis-server|scp|sqlite3|systemctl|systemd-analyze|useradd) [^ ]/;

/** Something that a reader may try. */
export interface Example {
  /** Where it stands: `docs/protocol.md:52`. */
  readonly at: string;
  /** The heading over a block: `## Rooms`. */
  readonly heading?: string;
  /** `sh` for a command. */
  readonly language: string;
  /** The block; of a block in sh, one command. */
  readonly text: string;
}

/** A document, or a file with comments. */
interface Document {
  /** From the root of the project. */
  readonly file: string;
  readonly text: string;
}

/** All examples, document by document. */
export async function readExamples(): Promise<Example[]> {
  const documents = await readFiles(["", "docs/", "std_mirror/"], ".md");
  const commented = await readFiles(["deploy/"], "");
  return [...documents.flatMap(inMarkdown), ...commented.flatMap(inComments)];
}

/** The links that lead to no file of the project, or to no heading in it. */
export async function brokenLinks(): Promise<string[]> {
  const broken: string[] = [];
  for (const { file, text } of await readFiles(["", "docs/", "std_mirror/"], ".md")) {
    for (const [, target] of text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
      const url = new URL(target, new URL(file, ROOT));
      const heading = url.hash.slice(1);
      url.hash = "";
      const isThere = heading === ""
        ? await Deno.stat(url).then(() => true, () => false)
        : headings(await Deno.readTextFile(url)).includes(heading);
      if (!isThere) broken.push(`${file}: ${target}`);
    }
  }
  return broken;
}

async function readFiles(folders: readonly string[], ending: string): Promise<Document[]> {
  const documents: Document[] = [];
  for (const folder of folders) {
    for await (const { name, isFile } of Deno.readDir(new URL(folder, ROOT))) {
      if (!isFile || !name.endsWith(ending)) continue;
      const file = `${folder}${name}`;
      documents.push({ file, text: await Deno.readTextFile(new URL(file, ROOT)) });
    }
  }
  return documents;
}

/** What GitHub puts into the addresses of headings. */
function headings(markdown: string): string[] {
  return Array.from(
    markdown.matchAll(/^#+ (.+)$/gm),
    ([, text]) => text.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-"),
  );
}

/** The first block of a document in a language. */
export function block(language: string, markdown: string): string {
  for (const [, indent, name, text] of markdown.matchAll(BLOCK)) {
    if (name === language) return dedent(text, indent);
  }
  throw new Error(`there is no block in ${language}`);
}

function inMarkdown({ file, text: markdown }: Document): Example[] {
  const examples: Example[] = [];
  const prose = markdown.replaceAll(BLOCK, (block) => block.replaceAll(/[^\n]/g, " "));
  const at = (index: number) => `${file}:${markdown.slice(0, index).split("\n").length}`;
  for (const { index, 1: indent, 2: language, 3: block } of markdown.matchAll(BLOCK)) {
    // Without a language it is a drawing.
    if (language === "") continue;
    const text = dedent(block, indent);
    const heading = prose.slice(0, index).match(/^#+ .+$/gm)?.at(-1);
    for (const part of language === "sh" ? commands(text) : [text.trimEnd()]) {
      examples.push({ at: at(index), heading, language, text: part });
    }
  }
  for (const { index, 1: code } of prose.matchAll(/`([^`]+)`/g)) {
    const text = code.replaceAll(/\s+/g, " ");
    if (PROGRAM.test(text)) examples.push({ at: at(index), language: "sh", text });
  }
  return examples;
}

/** The commands that stand indented in comments, or in backquotes. */
function inComments({ file, text }: Document): Example[] {
  return text.split("\n").flatMap((line, index) => {
    const found = /^\s*#\s{2,}(.+)$/.exec(line)?.[1] ?? /#.*`([^`]+)`/.exec(line)?.[1] ?? "";
    return PROGRAM.test(found)
      ? [{ at: `${file}:${index + 1}`, language: "sh", text: found.trim() }]
      : [];
  });
}

/** The commands of a script: a line each, but for lines that are continued and texts up to an END. */
function commands(script: string): string[] {
  const found = script.matchAll(/^\S.*<<'?END'?\n[^]*?^END$|^\S(?:.*\\\n)*.*$/gm);
  return Array.from(found, ([command]) => command.replace(/ {2,}# .*$/, ""))
    .filter((command) => !command.startsWith("#"));
}

function dedent(text: string, indent: string): string {
  return text.replaceAll(new RegExp(`^${indent}`, "gm"), "");
}
