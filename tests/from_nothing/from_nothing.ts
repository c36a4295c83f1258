/** docs/operations.md, "A server from nothing": its commands as they stand there, and what is then there. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { EventReader } from "../event_reader.ts";
import { until } from "../until.ts";
import { Debian } from "./debian.ts";

const DOCUMENT = new URL("../../docs/operations.md", import.meta.url);
const UNIT = new URL("../../deploy/chat.service", import.meta.url);
const PAGE = "https://chat.example.com/";
const CHAT = `${PAGE}chat`;

Deno.test("a Debian becomes a chat behind Caddy with TLS, a password and systemd, as operations.md has it", async () => {
  await using debian = await Debian.start();
  for (const heading of ["A server from nothing", "The kernel"]) {
    for (const commands of await readCommands(heading)) await debian.run(commands);
  }
  assertEquals(await debian.run("sysctl --values net.ipv4.tcp_retries2"), "8\n");
  const [, password] = /^CHAT_PASSWORD=(.*)$/m.exec(await debian.read("/etc/chat.env"))!;
  const print = async (...args: string[]) =>
    new TextDecoder().decode((await debian.curl(...args).output()).stdout);
  const status = (...args: string[]) =>
    print("--output", "/dev/null", "--write-out", "%{http_code}", ...args);
  const withPassword = ["--user", `:${password}`];
  const post = (message: string) =>
    status(...withPassword, "--data", `message=${message}&key=key-of-${message}`, CHAT);
  const read = (...args: string[]) => {
    const process = debian.curl(...withPassword, ...args, CHAT).spawn();
    return { reader: new EventReader(new Response(process.stdout)), process };
  };

  assertEquals(await status("http://chat.example.com/"), "308");
  assertEquals(await status(PAGE), "401");
  assertEquals(await status(...withPassword, PAGE), "200");

  const { reader, process } = read();
  await reader.nextOf("online");
  assertEquals(await post("before"), "201");
  const { id, message } = await reader.nextMessage();
  assertEquals(message, "before");
  await debian.run("systemctl kill --signal=SIGKILL chat");
  while (await reader.next());
  await process.status;
  // What Caddy may have sent to the one that was killed it does not send again; authors do, with the key.
  await until(async () => /^20[01]$/.test(await post("after")));
  const resumed = read("--header", `Last-Event-ID: ${id}`);
  assertEquals((await resumed.reader.nextMessage()).message, "after");
  await debian.run("systemctl stop chat");
  while (await resumed.reader.next());
  await resumed.process.status;

  const journal = await debian.run("journalctl --unit chat --no-pager");
  assertEquals(journal.match(/The chat is at /g)?.length, 2, journal);
  assert(!journal.includes(password));
  assertMatch(await debian.run("systemctl show --property Result chat"), /Result=success/);
  assertEquals(
    await debian.run("stat --format '%U %a' /etc/chat.env /var/lib/chat /var/lib/chat/chat.db"),
    "root 600\nchat 700\nchat 600\n",
  );

  const [, makeCertificate] = await readCommands("TLS");
  const [setUp, setUpCertbot] = await readCommands("TLS under systemd");
  await debian.run("mkdir -p /etc/letsencrypt/renewal-hooks/deploy");
  for (const commands of [makeCertificate, setUp, setUpCertbot]) await debian.run(commands);
  const served = () =>
    print(
      ...["--insecure", "--retry", "9", "--retry-all-errors", "--retry-delay", "1"],
      ...[
        "--output",
        "/dev/null",
        "--write-out",
        "%{certs}",
        "https://chat.example.com:8443/livez",
      ],
    );
  const before = await served();
  assertStringIncludes(before, "laptop.local");
  // As certbot does after a renewal.
  await debian.run(`${makeCertificate}
    mkdir /run/renewed
    mv cert.pem /run/renewed/fullchain.pem
    mv key.pem /run/renewed/privkey.pem
    RENEWED_LINEAGE=/run/renewed /etc/letsencrypt/renewal-hooks/deploy/chat`);
  await until(async () => await served() !== before);
});

Deno.test("the service is one that systemd-analyze finds no fault in, and that may do little", async () => {
  for (const args of [["verify"], ["security", "--offline=true", "--threshold=20"]]) {
    const command = new Deno.Command("systemd-analyze", { args: [...args, UNIT.pathname] });
    const { code, stderr } = await command.output();
    assertEquals({ code, errors: new TextDecoder().decode(stderr) }, { code: 0, errors: "" });
  }
});

/** The commands of a section, block by block. */
async function readCommands(heading: string): Promise<string[]> {
  const document = await Deno.readTextFile(DOCUMENT);
  const start = document.search(new RegExp(`^#+ ${heading}$`, "m"));
  const [section] = /.*\n[^]*?(?=^##|$(?![^]))/m.exec(document.slice(start))!;
  return Array.from(
    section.matchAll(/^( *)```sh\n([^]*?)^ *```$/gm),
    ([, indent, commands]) => commands.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
  );
}
