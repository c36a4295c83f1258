/** What goes into the image of deploy/Dockerfile, which the tests can't build, and into the repository. */

import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { makeCertificate } from "./certificate_files.ts";
import { ChatProcess } from "./chat_process.ts";
import { newFolder } from "./folder.ts";
import { copyProject } from "./project_copy.ts";

const ignore = (await Deno.permissions.query({ name: "run" })).state !== "granted";
const ROOT = new URL("../", import.meta.url);
const read = (path: string) => Deno.readTextFile(new URL(path, ROOT));

/** What a folder may have that is nobody's business. */
const PRIVATE = [
  ...["chat.db", "chat.db-lock", "chat.db-wal", "chat-copy.db", "chat-copy.db.1a2b.part"],
  ...["cert.pem", "key.pem", ".env", "deploy/.env", "backups/chat.db"],
];

Deno.test("the image has what the program imports and is configured by, and nothing else", {
  ignore,
}, async () => {
  const isInImage = await readIgnored("deploy/Dockerfile.dockerignore");
  const modules = await importedBy("main.ts", "backup.ts", "deno_version.ts");
  const files = await filesIn(ROOT);
  const mirror = files.filter((file) => /^std_mirror\/.*\.(ts|json)$/.test(file));
  assertEquals(
    files.filter(isInImage),
    [...new Set([...modules, ...mirror, "deno.json", "deno.lock"])].sort(),
  );
  assertEquals([...PRIVATE, ".git/config", "tests/key.pem"].filter(isInImage), []);
});

Deno.test("what is in the image starts the chat and copies its messages", { ignore }, async () => {
  const isInImage = await readIgnored("deploy/Dockerfile.dockerignore");
  await using project = await copyProject();
  for (const file of await filesIn(new URL(`file://${project.path}/`))) {
    if (!isInImage(file)) await Deno.remove(`${project.path}/${file}`);
  }
  for (const args of [["start", "--version"], ["backup", "--help"]]) {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["task", ...args],
      cwd: project.path,
    }).output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
  }
});

for (const scheme of ["http", "https"]) {
  Deno.test(
    `the image finds out by ${scheme}, at any port, whether its chat is well`,
    { ignore },
    async () => {
      await using folder = await newFolder();
      const { cert, key } = await makeCertificate(folder.path, "chat");
      const hasTls = scheme === "https";
      const chat = await ChatProcess.start(hasTls ? ["--tls-cert", cert, "--tls-key", key] : []);
      const [, probe] = /^HEALTHCHECK .*?CMD ([^]*?[^\\])\n/m.exec(
        await read("deploy/Dockerfile"),
      )!;
      const isWell = async () => {
        const { success } = await new Deno.Command("sh", {
          args: ["-c", probe],
          env: { PORT: String(chat.port), ...hasTls && { CHAT_TLS_CERT: cert } },
        }).output();
        return success;
      };
      try {
        assertEquals(await isWell(), true);
      } finally {
        await chat[Symbol.asyncDispose]();
      }
      assertEquals(await isWell(), false);
    },
  );
}

Deno.test("git ignores databases, copies, keys and passwords", { ignore }, async () => {
  await using repository = await newFolder();
  const git = async (...args: string[]) => {
    const { stdout } = await new Deno.Command("git", { args, cwd: repository.path }).output();
    return new TextDecoder().decode(stdout);
  };
  await git("init");
  await Deno.writeTextFile(`${repository.path}/.gitignore`, await read(".gitignore"));
  const ignored = await git("check-ignore", "--no-index", ...PRIVATE, ...await filesIn(ROOT));
  assertEquals(ignored.trimEnd().split("\n"), PRIVATE);
});

/** Whether a file is let through by a list of patterns as Docker reads it: the last that matches wins. */
async function readIgnored(path: string): Promise<(file: string) => boolean> {
  const lines = (await read(path)).split("\n").filter((line) => /^[^#]/.test(line));
  const patterns = lines.map((line) => {
    const glob = line.replace("!", "").replaceAll(".", "\\.");
    const expression = glob.replace(/\*\*\/|\*/g, (stars) => stars === "*" ? "[^/]*" : "(?:.*/)?");
    // A folder stands for all that is in it.
    return { lets: line.startsWith("!"), expression: new RegExp(`^${expression}(?:/|$)`) };
  });
  return (file) => patterns.findLast(({ expression }) => expression.test(file))?.lets ?? true;
}

/** The files of the project that modules need. */
async function importedBy(...modules: string[]): Promise<string[]> {
  const graphs = await Promise.all(modules.map(async (module) => {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", module],
      cwd: fileURLToPath(ROOT),
    }).output();
    const graph: { modules: { specifier: string }[] } = JSON.parse(
      new TextDecoder().decode(stdout),
    );
    return graph.modules.map(({ specifier }) => specifier);
  }));
  return graphs.flat()
    .filter((specifier) => specifier.startsWith(ROOT.href))
    .map((specifier) => specifier.slice(ROOT.href.length));
}

/** The files in a folder whose names begin with no dot, sorted, without what git ignores. */
async function filesIn(folder: URL): Promise<string[]> {
  const files: string[] = [];
  const visit = async (path: string) => {
    for await (const { name, isDirectory } of Deno.readDir(new URL(path, folder))) {
      if (/^\.|^node_modules$|\.(?:db|pem|part)(?:-|$)|^sse-chat$/.test(name)) continue;
      if (isDirectory) await visit(`${path}${name}/`);
      else files.push(path + name);
    }
  };
  await visit("");
  return files.sort();
}
