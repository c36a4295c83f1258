/** The programs in docs/clients.md do what they say, through a restart of the server. */

import { assert, assertEquals } from "@std/assert";
import { Chat } from "../static/client.js";
import { numbered, post, postAll, readHistory, readTexts } from "./chat_client.ts";
import { ChatProcess } from "./chat_process.ts";
import { example } from "./client_examples.ts";
import { newFolder } from "./folder.ts";
import { until } from "./until.ts";

const { state } = await Deno.permissions.query({ name: "run" });
const ignore = state !== "granted";

/** A program of the examples. */
interface Program {
  readonly language: string;
  readonly file: string;
  /** What makes it ready to run, in its folder. */
  readonly build?: readonly string[];
  /** What runs it there. @default {what the document says} */
  readonly command?: readonly string[];
}

const DENO: Program = { language: "ts", file: "echo.ts" };
const NODE: Program = { language: "js", file: "log.mjs", command: ["node", "log.mjs"] };
const PYTHON: Program = { language: "python", file: "chat.py", command: ["python3", "chat.py"] };
const GO: Program = {
  language: "go",
  file: "chat.go",
  build: ["go", "build", "-o", "chat", "chat.go"],
  command: ["./chat"],
};

/** A chat whose messages outlive it, in a folder. */
function startChat(folder: string, port = 0): Promise<ChatProcess> {
  const log = `sqlite:${folder}/chat.db`;
  return ChatProcess.start(["--message-log", log, "--port", String(port)]);
}

/** A program that runs in a folder; disposing of it ends it. */
class RunningProgram implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #reading: Promise<unknown>;
  output = "";

  private constructor(command: Deno.Command) {
    this.#process = command.spawn();
    const { stdout, stderr } = this.#process;
    this.#reading = Promise.all([stdout, stderr].map(async (stream) => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) this.output += text;
    }));
  }

  static async start(program: Program, folder: string, url: string): Promise<RunningProgram> {
    const { language, file, build, command } = program;
    await Deno.writeTextFile(`${folder}/${file}`, await example(language, url));
    const options = {
      cwd: folder,
      // What it downloads goes with the folder.
      env: { NO_COLOR: "1", DENO_DIR: `${folder}/deno` },
      stdout: "piped",
      stderr: "piped",
    } as const;
    if (build) {
      const { success, stderr } = await toCommand(build, options).output();
      if (!success) throw new Error(new TextDecoder().decode(stderr));
    }
    return new RunningProgram(toCommand(command ?? await commandLine(url), options));
  }

  /** Waits until it has printed a text. */
  async prints(text: string): Promise<void> {
    await until(() => this.output.includes(text)).catch(() => {
      throw new Error(`It has not printed "${text}" but: ${this.output}`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch (error) {
      // TypeError: it has ended already.
      if (!(error instanceof TypeError)) throw error;
    }
    await this.#process.status;
    await this.#reading;
  }
}

/** The command line that the document has for Deno. */
async function commandLine(url: string): Promise<string[]> {
  const [, ...args] = (await example("sh", url)).trim().split(" ");
  return [Deno.execPath(), ...args];
}

function toCommand([program, ...args]: readonly string[], options: Deno.CommandOptions) {
  return new Deno.Command(program, { ...options, args });
}

/** Waits until so many read in a room, this one included. */
async function whenReadBy(count: number, url: string): Promise<void> {
  const chat = new Chat(url, { since: "none" });
  const { promise, resolve } = Promise.withResolvers<void>();
  chat.addEventListener("online", ({ detail }) => detail === count && resolve());
  await promise;
  chat.close();
}

/** Whether a program is on this machine. Go is large, and not everywhere. */
async function isThere(program: string): Promise<boolean> {
  try {
    await toCommand([program, "version"], { stdout: "null", stderr: "null" }).output();
    return true;
  } catch {
    // NotFound: it is not. NotCapable: nothing may be run.
    return false;
  }
}

/** Only the texts of what it has printed, line by line. */
function textsOf(output: string): string[] {
  return output.trimEnd().split("\n").map((line) => line.replace(/^.*?: /, ""));
}

Deno.test("the example for Deno passes `deno check`, and answers through a restart", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  await using chat = await startChat(folder.path);
  const room = `${chat.numericUrl}/biology`;
  await post(room, "!echo before it came");
  await using _program = await RunningProgram.start(DENO, folder.path, chat.numericUrl);
  await whenReadBy(2, room);
  await post(room, "!echo one");
  await until(async () => (await readTexts(room)).includes("one"));
  await chat.stop("SIGKILL");
  await using _again = await startChat(folder.path, chat.port);
  await post(room, "!echo two");
  await until(async () => (await readTexts(room)).includes("two"));
  assertEquals(await readTexts(room), [
    "!echo before it came",
    "!echo one",
    "one",
    "!echo two",
    "two",
  ]);
});

Deno.test("client.js brings its types along to whoever imports it from a chat", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  await using chat = await startChat(folder.path);
  const file = `${folder.path}/types.ts`;
  await Deno.writeTextFile(
    file,
    `import { Chat, RequestError } from "${chat.numericUrl}/client.js";
    const chat = new Chat("biology", { nickname: "ann", since: "all", password: "secret" });
    const { id }: { id: string } = await chat.send("hi", { key: "1" });
    for await (const event of chat) {
      if (event.type === "gap") event.detail.missed satisfies number | null;
      else event.detail.id satisfies string;
    }
    chat.addEventListener("online", ({ detail }) => detail satisfies number);
    chat.removeEventListener("online", ({ detail }) => detail satisfies number);
    chat.addEventListener("state", ({ detail }) => detail.problem satisfies RequestError | undefined);
    chat.state satisfies "closed" | "connecting" | "live" | "waiting" | "polling" | "signed-out";
    // @ts-expect-error
    chat.send(id satisfies number);
    // @ts-expect-error
    new Chat("biology", { nick: "ann" });
    // @ts-expect-error
    chat.addEventListener("massage", () => {});
    // @ts-expect-error
    for await (const { detail } of chat) detail.message;
    `,
  );
  const { success, stderr } = await toCommand(
    [Deno.execPath(), "check", "--allow-import", file],
    { env: { NO_COLOR: "1", DENO_DIR: `${folder.path}/deno` }, stdout: "null", stderr: "piped" },
  ).output();
  assert(success, new TextDecoder().decode(stderr));
});

Deno.test("the example for Node goes on where it was, when the server or it is started again", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  await using chat = await startChat(folder.path);
  const url = chat.numericUrl;
  const client = await (await fetch(`${url}/client.js`)).text();
  await Deno.writeTextFile(`${folder.path}/client.mjs`, client);
  await postAll(url, numbered("message", 100));
  let output = "";
  {
    await using program = await RunningProgram.start(NODE, folder.path, url);
    await program.prints("message 100");
    await chat.stop("SIGKILL");
    await using again = await startChat(folder.path, chat.port);
    await postAll(url, numbered("message", 200, 101));
    await program.prints("message 200\n");
    // It writes its cursor after each.
    const { id } = (await readHistory(url)).at(-1)!;
    await until(async () => await Deno.readTextFile(`${folder.path}/cursor`) === id);
    output += program.output;
    await again.stop("SIGTERM");
  }
  await using _last = await startChat(folder.path, chat.port);
  await post(url, "message 201");
  await using program = await RunningProgram.start(NODE, folder.path, url);
  await program.prints("message 201\n");
  assertEquals(textsOf(output + program.output), numbered("message", 201));
});

for (const [name, command, program] of [["Python", "python3", PYTHON], ["Go", "go", GO]] as const) {
  Deno.test(
    `the example in ${name} takes no other's answer for the chat's, and ends when refused`,
    {
      ignore: ignore || !await isThere(command),
    },
    async () => {
      await using folder = await newFolder();
      const message = {
        id: "5-1",
        nickname: "ann",
        message: "hi",
        time: "2026-03-01T12:00:00.000Z",
      };
      const asked: string[] = [];
      const signIn = () =>
        new Response("<h1>Sign in", { headers: { "content-type": "text/html" } });
      const refusal = () =>
        new Response('{"detail":"Why."}', {
          status: 401,
          headers: { "content-type": "application/problem+json" },
        });
      const stream = () =>
        new Response(`retry: 10\n\nid: 5-1\ndata: ${JSON.stringify(message)}\n\n`, {
          headers: { "content-type": "text/event-stream" },
        });
      const answers = [
        signIn,
        () => Response.json(message, { status: 201 }),
        signIn,
        stream,
        refusal,
      ];
      await using server = Deno.serve(
        { port: 0, hostname: "127.0.0.1", onListen() {} },
        (request) => {
          asked.push(request.method + new URL(request.url).search);
          return (answers.shift() ?? refusal)();
        },
      );
      const url = `http://127.0.0.1:${server.addr.port}`;
      await using running = await RunningProgram.start(program, folder.path, url);
      await running.prints("401");
      assertEquals(asked, ["POST", "POST", "GET?since=all", "GET?since=all", "GET?since=5-1"]);
      assert(running.output.includes("ann: hi"), running.output);
    },
  );

  Deno.test(`the example in ${name} sends once, and follows through a restart`, {
    ignore: ignore || !await isThere(command),
  }, async () => {
    await using folder = await newFolder();
    await using chat = await startChat(folder.path);
    const url = chat.numericUrl;
    await postAll(url, numbered("message", 60));
    await using running = await RunningProgram.start(program, folder.path, url);
    await running.prints(`hi from ${name}`);
    await chat.stop("SIGKILL");
    await using _again = await startChat(folder.path, chat.port);
    await postAll(url, numbered("message", 120, 61));
    await running.prints("message 120\n");
    const texts = [...numbered("message", 60), `hi from ${name}`, ...numbered("message", 120, 61)];
    assertEquals(textsOf(running.output), texts);
    assertEquals(await readTexts(url), texts);
  });
}
