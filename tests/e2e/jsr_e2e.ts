/** The project without its mirror of the standard library. */

import { assert, assertEquals } from "@std/assert";
import { copyProject } from "../project_copy.ts";

const ROOT = new URL("../../", import.meta.url);

Deno.test("without the links line @std comes from JSR, and nothing else differs", async () => {
  const folder = await Deno.makeTempDir();
  await using _removed = {
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
  await run("cp", "-R", ...await entries(), folder);
  const config = JSON.parse(await Deno.readTextFile(`${folder}/deno.json`));
  delete config.links;
  await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(config));

  const { code, errors } = await run(
    Deno.execPath(),
    "check",
    "--config",
    `${folder}/deno.json`,
    folder,
  );
  if (code === 0) return;
  // Where JSR can't be reached, that is all there is to complain about.
  const problems = errors.split("\n").filter((line) => /error|TS\d+/i.test(line));
  assert(problems.length > 0, errors);
  assertEquals(problems.filter((line) => !/jsr\.io|jsr:@std/.test(line)), [], errors);
});

Deno.test("the package can be published: the program and nothing else, without a warning", async () => {
  await using project = await copyProject();
  for (const name of ["chat-copy.db", "chat-copy.db-wal", "chat-copy.db.part", "key.pem"]) {
    await Deno.writeTextFile(`${project.path}/${name}`, "");
  }
  const args = ["publish", "--dry-run", "--allow-dirty"];
  const { code, errors } = await runIn(project.path, Deno.execPath(), ...args);
  assertEquals(code, 0, errors);
  assert(!/^Warning|(?:warning|error)\[/m.test(errors), errors);
  const files = Array.from(
    errors.matchAll(/^ +file:\S+ \(.+\)$/gm),
    ([line]) => line.trim().split(" ")[0].slice(`file://${project.path}/`.length),
  );
  const page = await Array.fromAsync(Deno.readDir(new URL("static/", ROOT)), ({ name }) => name);
  const needed = [
    "main.ts",
    "message_log/redis/write.lua",
    ...page.map((name) => `static/${name}`),
  ];
  assertEquals(needed.filter((file) => !files.includes(file)), [], errors);
  assertEquals(
    files.filter((file) =>
      /^(tests|bench|docs|deploy|\.)|_(test|bench)\.ts$|chat-copy|pem$/.test(file)
    ),
    [],
  );
});

/** What the project consists of, without the mirror and the lock file that knows of it. */
async function entries(): Promise<string[]> {
  const names = await Array.fromAsync(Deno.readDir(ROOT), ({ name }) => name);
  return names.filter((name) => !/^(\.|std_mirror$|deno\.lock$|sse-chat$|chat\.db)/.test(name));
}

function run(name: string, ...args: string[]) {
  return runIn(ROOT, name, ...args);
}

async function runIn(cwd: string | URL, name: string, ...args: string[]) {
  const command = new Deno.Command(name, {
    args,
    cwd,
    env: { NO_COLOR: "1" },
    stderr: "piped",
  });
  const { code, stderr } = await command.output();
  return { code, errors: new TextDecoder().decode(stderr) };
}
