/** The proxies of docs/operations.md, with the configurations that stand there. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { EventSource } from "eventsource";
import { ChatProcess } from "../chat_process.ts";
import { newFolder } from "../folder.ts";
import { until } from "../until.ts";
import { type ServerCommand, startServer } from "./other_server.ts";

const OPERATIONS = new URL("../../docs/operations.md", import.meta.url);

interface Proxy {
  /** The language of its block in the document. */
  readonly name: string;
  /** The whole configuration file around the block. */
  readonly wrap: (block: string, port: number, folder: string) => string;
  readonly command: (file: string) => ServerCommand;
  /** Whether readers that follow the standard outlive a restart of the chat. */
  readonly keepsReaders: boolean;
}

const PROXIES: readonly Proxy[] = [
  {
    name: "nginx",
    wrap: (block, port, folder) =>
      `daemon off; error_log stderr; pid ${folder}/pid; events {}
       http { access_log off; client_body_temp_path ${folder}; proxy_temp_path ${folder};
       fastcgi_temp_path ${folder}; uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
       ${block.replace("listen 80;", `listen 127.0.0.1:${port};`)} }`,
    command: (file) => ({ program: "nginx", args: ["-c", file] }),
    keepsReaders: true,
  },
  {
    name: "caddyfile",
    wrap: (block, port) => `{\n admin off\n}\n${block.replace(":80 ", `http://:${port} `)}`,
    command: (file) => ({
      program: "caddy",
      args: ["run", "--adapter", "caddyfile", "--config", file],
    }),
    keepsReaders: true,
  },
  {
    name: "haproxy",
    wrap: (block, port) => block.replace("bind :80", `bind 127.0.0.1:${port}`),
    command: (file) => ({ program: "haproxy", args: ["-f", file] }),
    keepsReaders: true,
  },
  {
    name: "apache",
    wrap: (block, port, folder) => {
      const modules = ["mpm_event", "authz_core", "proxy", "proxy_http"]
        .map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`);
      return `${modules.join("\n")}\nListen 127.0.0.1:${port}\nServerName localhost
        PidFile ${folder}/pid\nErrorLog ${folder}/error\n${block}`;
    },
    command: (file) => ({ program: "apache2", args: ["-X", "-f", file] }),
    keepsReaders: false,
  },
];

for (const proxy of PROXIES) {
  Deno.test(`${proxy.name} passes the chat on as docs/operations.md configures it`, async () => {
    await using folder = await newFolder();
    const log = ["--message-log", `sqlite:${folder.path}/chat.db`];
    let chat = await ChatProcess.start(log);
    const chatPort = chat.port;
    try {
      await using running = await startServer(async (port) => {
        const config = proxy.wrap(await block(proxy.name, chatPort), port, folder.path);
        await Deno.writeTextFile(`${folder.path}/config`, config);
        return proxy.command(`${folder.path}/config`);
      });
      const { port, url } = running;
      const page = await fetch(url);
      assertEquals(page.status, 200);
      assertStringIncludes(await page.text(), "<h1>");

      const source = new EventSource(`${url}/chat`);
      const received: string[] = [];
      source.addEventListener("message", ({ data }) => received.push(JSON.parse(data).message));
      let lives = 0;
      source.addEventListener("online", () => lives++);
      try {
        await until(() => lives > 0);
        const delays: number[] = [];
        for (let n = 0; n < 7; n++) {
          const began = performance.now();
          assertEquals(await post(port, `message ${n}`), 201);
          await until(() => received.length === n + 1);
          delays.push(performance.now() - began);
        }
        const median = delays.toSorted((a, b) => a - b)[3];
        assert(median < 150, `the median message took ${median} ms`);

        if (!proxy.keepsReaders) return;
        await chat[Symbol.asyncDispose]();
        // What a reader gets while the chat is down. One that waits for it gets its stream later.
        const headers = { accept: "text/event-stream" };
        const meanwhile = fetch(`${url}/chat`, { headers });
        chat = await ChatProcess.start([...log, "--port", `${chatPort}`]);
        const response = await meanwhile;
        assertEquals(response.status, 200);
        await response.body!.cancel();
        const before = lives;
        assertEquals(await post(port, "after the restart"), 201);
        await until(() => lives > before && received.includes("after the restart"));
        assertEquals(received.length, 8);
      } finally {
        source.close();
      }
    } finally {
      await chat[Symbol.asyncDispose]();
    }
  });
}

/** A post as the page makes it over plain HTTP, at the address it was reached by. */
async function post(port: number, message: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/chat`, {
    method: "POST",
    body: new URLSearchParams({ message }),
    headers: { origin: `http://127.0.0.1:${port}` },
  });
  await response.body?.cancel();
  return response.status;
}

/** The block of the document in a language, for a chat at another port. */
async function block(language: string, chatPort: number): Promise<string> {
  const text = await Deno.readTextFile(OPERATIONS);
  const [, found] = new RegExp("```" + language + "\n([^]*?)```").exec(text)!;
  return found.replaceAll("127.0.0.1:4567", `127.0.0.1:${chatPort}`);
}
