/** The program and its file: a disk that is full, and a second server. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { compareIds } from "../chat_message.ts";
import { ChatProcess, runToEnd } from "./chat_process.ts";
import { EventReader } from "./event_reader.ts";
import { until } from "./until.ts";

const ignore = (await Deno.permissions.query({ name: "run" })).state !== "granted";
const REFUSALS = 20;
/** More than fit on the disk. */
const MAX_POSTS = 1000;

/** A file of its own for a test. */
async function newFile() {
  const folder = await Deno.makeTempDir();
  return {
    flags: ["--message-log", `sqlite:${folder}/chat.db`],
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

function post({ port }: ChatProcess, fields: Record<string, string>): Promise<Response> {
  const body = new URLSearchParams(fields);
  return fetch(`http://127.0.0.1:${port}/chat`, { method: "POST", body });
}

async function history({ port }: ChatProcess): Promise<unknown[]> {
  const headers = { accept: "application/json" };
  return await (await fetch(`http://127.0.0.1:${port}/chat?since=all`, { headers })).json();
}

Deno.test("a full disk refuses posts, ends no stream and leaves no message half-written", {
  ignore: ignore || Deno.build.os === "windows",
}, async () => {
  await using file = await newFile();
  const stored: { id: string }[] = [];
  const refused: Record<string, string>[] = [];
  {
    await using chat = await ChatProcess.start(file.flags, { maxFileBytes: 1024 * 1024 });
    const url = `http://127.0.0.1:${chat.port}/chat`;
    await using reader = new EventReader(await fetch(url));
    assertEquals(await reader.nextOf("online"), "1");
    for (let n = 0; refused.length < REFUSALS; n++) {
      assert(n < MAX_POSTS, "posts are answered 201 that do not fit on the disk");
      // A short message may still find room where a long one did not.
      const fields = { message: "👋".repeat(n % 3 === 0 ? 1 : 4000), key: `key ${n}` };
      const response = await post(chat, fields);
      const answer = await response.json();
      if (response.status === 201) {
        stored.push(answer);
        continue;
      }
      assertEquals(response.status, 503);
      assertEquals(response.headers.get("content-type"), "application/problem+json");
      assertMatch(response.headers.get("retry-after")!, /^\d+$/);
      assertStringIncludes(answer.detail, "nothing was stored");
      refused.push(fields);
    }
    // The log can be read all the same, and the first reader is still there to hear of a second.
    await using second = new EventReader(await fetch(`${url}?since=all`));
    assertEquals(await second.nextMessage(), stored[0]);
    const received: unknown[] = [];
    for (let event = await reader.next(); event?.data !== "2"; event = await reader.next()) {
      assert(event, "the stream ended");
      if (!event.event) received.push(JSON.parse(event.data!));
    }
    assertEquals(received, stored);
    assertEquals(await history(chat), stored);

    const { code, output } = await chat.stop("SIGTERM");
    assertEquals(code, 0);
    // One line a second, and at the end how many there were besides.
    const complaints = output.split("\n").filter((line) => line.includes("Cannot answer"));
    assertStringIncludes(complaints[0], "The message log can't be used just now");
    const others = [
      ...output.matchAll(/Failures since the last line: (\d+)|since the last line: (\d+)\)/g),
    ];
    const counted = others.reduce((sum, [, last, before]) => sum + Number(last ?? before), 0);
    assertEquals(complaints.length + counted, REFUSALS, output);
    assert(complaints.length < REFUSALS);
  }

  await using chat = await ChatProcess.start(file.flags);
  assertEquals(await history(chat), stored);
  const response = await post(chat, refused[0]);
  assertEquals(response.status, 201);
  const { id } = await response.json();
  assert(compareIds(id, stored.at(-1)!.id) > 0);
});

Deno.test("GET /healthz is a 503 on a full disk, and a 200 once there is room", {
  ignore: ignore || Deno.build.os === "windows",
}, async () => {
  await using file = await newFile();
  const health = async ({ port }: ChatProcess) => {
    const response = await fetch(`http://127.0.0.1:${port}/healthz`);
    return [response.status, (await response.json()).status];
  };
  {
    await using chat = await ChatProcess.start(file.flags, { maxFileBytes: 256 * 1024 });
    assertEquals(await health(chat), [200, "ok"]);
    // What a long message does not fit into a short one may.
    for (const message of ["👋".repeat(4000), "👋"]) {
      let status = 201;
      for (let n = 0; status === 201; n++) {
        assert(n < MAX_POSTS, "posts are answered 201 that do not fit on the disk");
        const response = await post(chat, { message });
        status = response.status;
        await response.body?.cancel();
      }
      assertEquals(status, 503);
    }
    await until(async () => (await health(chat))[0] === 503);
    assertEquals(await health(chat), [503, "unavailable"]);
  }
  await using chat = await ChatProcess.start(file.flags);
  assertEquals(await health(chat), [200, "ok"]);
});

Deno.test("errors that can't be printed on a full disk end nothing", {
  ignore: ignore || Deno.build.os !== "linux",
}, async () => {
  await using file = await newFile();
  const options = { maxFileBytes: 256 * 1024, errorFile: "/dev/full" };
  await using chat = await ChatProcess.start(file.flags, options);
  let refusals = 0;
  for (let n = 0; refusals < REFUSALS; n++) {
    assert(n < MAX_POSTS, "posts are answered 201 that do not fit on the disk");
    const response = await post(chat, { message: "👋".repeat(4000) });
    if (response.status === 503) refusals++;
    await response.body?.cancel();
  }
  assert((await history(chat)).length > 0);
  assertEquals((await chat.stop("SIGTERM")).code, 0);
});

Deno.test("a start on a disk that fails is one clear line", {
  ignore: ignore || Deno.build.os === "windows",
}, async () => {
  await using file = await newFile();
  const ended = await runToEnd(["--port", "0", ...file.flags], { maxFileBytes: 8 * 1024 });
  assertEquals(ended.code, 1);
  assertMatch(
    ended.stderr,
    /^Cannot start: the message log .* can't be read or written; .* --message-log\n$/,
  );
});

Deno.test("a second server on the same file is refused in one line, and the first goes on", {
  ignore,
}, async () => {
  await using file = await newFile();
  await using first = await ChatProcess.start(file.flags);
  assertEquals((await (await post(first, { message: "before" })).json()).message, "before");
  const second = await runToEnd(["--port", "0", ...file.flags]);
  assertEquals(second.code, 1);
  assertEquals(second.stdout, "");
  assertMatch(
    second.stderr,
    /^Cannot start: the message log .* is in use by another server; .* --message-log\n$/,
  );
  assertEquals((await (await post(first, { message: "after" })).json()).message, "after");
});
