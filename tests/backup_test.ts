/** `deno task backup`, as it is typed, while the chat runs. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { runBackup } from "./backup_process.ts";
import { openLog } from "./open_log.ts";
import { ChatProcess } from "./chat_process.ts";
import { newFolder } from "./folder.ts";

const ignore = (await Deno.permissions.query({ name: "run" })).state !== "granted";

Deno.test("a backup of a chat that is written to has all that was answered before, and no holes", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const [url, copy] = [`sqlite:${folder.path}/chat.db`, `${folder.path}/copy.db`];
  await using chat = await ChatProcess.start(["--message-log", url]);
  const ids: string[] = [];
  const post = async () => {
    const response = await fetch(`${chat.numericUrl}/chat`, {
      method: "POST",
      body: new URLSearchParams({ message: `message ${ids.length}` }),
    });
    assertEquals(response.status, 201);
    ids.push((await response.json()).id);
  };
  for (let n = 0; n < 100; n++) await post();
  let isOver = false;
  const backup = runBackup([copy], { env: { CHAT_MESSAGE_LOG: url } }).finally(() => isOver = true);
  const before = ids.length;
  while (!isOver) await post();
  const { code, stdout, stderr } = await backup;
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /^Copied [\d,]+ messages \([\d.]+ MB\) to \/.*copy\.db in [\d.]+ s\n$/);
  await post();
  await using log = await openLog(`sqlite:${copy}`, { keep: 10_000 });
  const copied: string[] = [];
  for (let since: string | undefined, end = false; !end;) {
    const page = await log.read({ since });
    copied.push(...page.entries.map(({ id }) => id));
    since = page.cursor;
    end = page.cursor === page.end;
  }
  assert(copied.length >= before && copied.length < ids.length, `${copied.length}`);
  assertEquals(copied, ids.slice(0, copied.length));
});

Deno.test("a backup of one message says so in good English", { ignore }, async () => {
  await using folder = await newFolder();
  const [url, copy] = [`sqlite:${folder.path}/chat.db`, `${folder.path}/copy.db`];
  await using chat = await ChatProcess.start(["--message-log", url]);
  const body = new URLSearchParams({ message: "hi" });
  await (await fetch(`${chat.numericUrl}/chat`, { method: "POST", body })).body?.cancel();
  const { stdout } = await runBackup([copy, "--message-log", url]);
  assertMatch(stdout, /^Copied 1 message \(/);
});

Deno.test(
  "a backup that is not possible is one clear line, and an exit code",
  { ignore },
  async () => {
    await using folder = await newFolder();
    const copy = `${folder.path}/copy.db`;
    const cases: [args: string[], line: RegExp][] = [
      [[], /name one file to copy to/],
      [[copy, "two"], /name one file to copy to/],
      [[copy, "--verbose"], /Unknown option '--verbose'; --help/],
      [[copy, "--message-log", "chat.db"], /--message-log must be sqlite:PATH/],
      [[copy, "--message-log", "memory:"], /memory: is in no file/],
      [
        [copy, "--message-log", "redis://:secret@127.0.0.1"],
        /messages in Redis are copied with Redis itself/,
      ],
      [
        [copy, "--message-log", `sqlite:${folder.path}/none.db`],
        /there is no message log .*none\.db/,
      ],
    ];
    for (const [args, line] of cases) {
      const { code, stdout, stderr } = await runBackup(args);
      assertEquals([code, stdout], [1, ""]);
      assertMatch(stderr, line);
      assertMatch(stderr, /^Cannot back up: .*\n$/);
      assert(!stderr.includes("secret"));
    }
    const { code, stdout } = await runBackup(["--help"]);
    assertEquals(code, 0);
    assertMatch(stdout, /deno task backup TARGET/);
  },
);

Deno.test("a backup that does not fit on the disk leaves nothing there", {
  ignore: ignore || Deno.build.os === "windows",
}, async () => {
  await using folder = await newFolder();
  const [path, copies] = [`${folder.path}/chat.db`, `${folder.path}/copies`];
  await Deno.mkdir(copies);
  {
    await using log = await openLog(`sqlite:${path}`, { keep: 1000 });
    const message = "x".repeat(4000);
    const posts = Array.from({ length: 500 }, () => log.append({ nickname: "ann", message }));
    await Promise.all(posts);
  }
  const { code, stderr } = await runBackup([`${copies}/copy.db`], {
    env: { CHAT_MESSAGE_LOG: `sqlite:${path}` },
    maxFileBytes: 512 * 1024,
  });
  assertEquals(code, 1);
  assertMatch(stderr, /^Cannot back up: [^\n]* make room[^\n]*\n$/);
  assertEquals([...Deno.readDirSync(copies)], []);
});

Deno.test("the timer's service copies what its chat has, and deletes copies older than two weeks", {
  ignore: ignore || Deno.build.os !== "linux",
}, async () => {
  await using folder = await newFolder();
  const copies = `${folder.path}/chat-backups`;
  await Deno.mkdir(copies);
  await Deno.mkdir(`${folder.path}/chat`);
  {
    await using log = await openLog(`sqlite:${folder.path}/chat/chat.db`, { keep: 10 });
    await log.append({ nickname: "ann", message: "hi" });
  }
  const now = Date.now() / 1000;
  for (const days of [13, 15]) {
    await Deno.writeTextFile(`${copies}/${days}.db`, "");
    const time = now - days * 24 * 60 * 60;
    await Deno.utime(`${copies}/${days}.db`, time, time);
  }
  const unit = await Deno.readTextFile(new URL("../deploy/chat-backup.service", import.meta.url));
  const values = (name: string) =>
    Array.from(
      unit.matchAll(new RegExp(`^${name}=(.*)$`, "gm")),
      ([, value]) => value.replaceAll("/var/lib", folder.path),
    );
  const [log] = values("Environment").filter((each) => each.startsWith("CHAT_"));
  for (const command of [...values("ExecStart"), ...values("ExecStartPost")]) {
    const { code, stderr } = await new Deno.Command("sh", {
      // systemd's own escapes.
      args: [
        "-c",
        command.replaceAll("$$", "$").replaceAll("%%", "%").replace("deno", Deno.execPath()),
      ],
      cwd: new URL("..", import.meta.url),
      env: { NO_COLOR: "1", CHAT_MESSAGE_LOG: log.slice("CHAT_MESSAGE_LOG=".length) },
    }).output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
  }
  const names = Array.from(Deno.readDirSync(copies), ({ name }) => name).sort();
  assertEquals(names[0], "13.db");
  assertMatch(names[1], /^\d{4}-\d\d-\d\d-\d{6}\.db$/);
  assertEquals(names.length, 2);
});
