/** `deno task dev`: it restarts politely, and ends when it is asked to. */

import { EventReader } from "./event_reader.ts";
import { copyProject } from "./project_copy.ts";
import { until } from "./until.ts";

const ignore = (await Deno.permissions.query({ name: "run" })).state !== "granted" ||
  Deno.build.os === "windows";

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  Deno.test(`deno task dev restarts for a change, and ${signal} ends it`, { ignore }, async () => {
    await using project = await copyProject();
    await using dev = new Deno.Command(Deno.execPath(), {
      args: ["task", "dev", "--port", "0"],
      cwd: project.path,
      env: { NO_COLOR: "1" },
      stdout: "piped",
      stderr: "null",
    }).spawn();
    let output = "";
    const ended = (async () => {
      for await (const text of dev.stdout.pipeThrough(new TextDecoderStream())) output += text;
    })();
    const ports = () => [...output.matchAll(/The chat is at http:\/\/localhost:(\d+)\n/g)];
    const read = async () => {
      const [, port] = ports().at(-1)!;
      return new EventReader(await fetch(`http://127.0.0.1:${port}/chat`));
    };

    await until(() => ports().length === 1);
    await using first = await read();
    await first.nextOf("online");
    await Deno.writeTextFile(`${project.path}/terminal.ts`, "\n", { append: true });
    while (await first.next());
    await until(() => ports().length === 2);
    await using second = await read();
    await second.nextOf("online");
    dev.kill(signal);
    while (await second.next());
    await dev.status;
    // Closes with the last process that has it, the watcher.
    await ended;
  });
}
