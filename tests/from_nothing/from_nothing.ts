/** docs/operations.md, "A server from nothing": its commands as they stand there, and what is then there. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { readExamples } from "../documents.ts";
import { EventReader } from "../event_reader.ts";
import { until } from "../until.ts";
import { Debian } from "./debian.ts";

const PAGE = "https://chat.example.com/";
const CHAT = `${PAGE}chat`;
/** What brings the project from the address that a reader puts in; here it is in a folder. */
const CLONE = /^git clone https:\S+ /;

Deno.test("a Debian becomes a chat behind Caddy with TLS, a password and systemd, as operations.md has it", async () => {
  await using debian = await Debian.start();
  const follow = async (heading: string, start?: RegExp) => {
    for (const command of await commandsIn(heading, start)) {
      await debian.run(command.replace(CLONE, "cp -R sse-chat "));
    }
  };
  await follow("## A server from nothing");
  await follow("## The kernel");
  assertEquals(await debian.run("sysctl --values net.ipv4.tcp_retries2"), "8\n");
  const [, password] = /^CHAT_PASSWORD=([0-9a-f]{24})$/m.exec(await debian.read("/etc/chat.env"))!;
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

  await follow("### A copy", /^(cp|systemctl) /);
  await debian.run(`
    install -d -o chat -m 700 /var/lib/chat-backups
    touch -d "-15 days" /var/lib/chat-backups/old.db /var/lib/chat-backups/old.db.1a2b.part
    systemctl start chat-backup`);
  assertMatch(
    await debian.run("stat --format '%U %a %n' /var/lib/chat-backups/*"),
    /^chat 600 .*\.db\n$/,
  );
  // The settings of the chat hold for its copies.
  const { length } = await debian.read("/etc/chat.env");
  await debian.run(`
    echo CHAT_MESSAGE_LOG=memory: >> /etc/chat.env
    ! systemctl start chat-backup
    truncate --size ${length} /etc/chat.env
    systemctl reset-failed chat-backup`);
  assertStringIncludes(
    await debian.run("journalctl --unit chat-backup --no-pager"),
    "memory: is in no file",
  );

  assertEquals(
    await debian.run(
      "systemd-analyze verify /etc/systemd/system/chat*.service /etc/systemd/system/chat*.timer 2>&1",
    ),
    "",
  );
  // Tenths: an exposure of 2.0 at most.
  await debian.run("systemd-analyze security --threshold=20 chat");

  await debian.run("systemctl stop chat");
  while (await resumed.reader.next());
  await resumed.process.status;

  const journal = await debian.run("journalctl --unit chat --no-pager");
  assertEquals(journal.match(/The chat is at /g)?.length, 2, journal);
  assert(!journal.includes(password));
  const warnings = await debian.run("journalctl -u chat -p warning");
  assert(!warnings.includes("The chat is at"), warnings);
  assertMatch(await debian.run("systemctl show --property Result chat"), /Result=success/);
  assertEquals(
    await debian.run("stat --format '%U %a' /etc/chat.env /var/lib/chat /var/lib/chat/chat.db"),
    "root 600\nchat 700\nchat 600\n",
  );

  await debian.run("mkdir -p /etc/letsencrypt/renewal-hooks/deploy");
  await follow("## TLS", /^openssl req /);
  await follow("### TLS under systemd");
  const served = () =>
    print(
      ...["--insecure", "--retry", "9", "--retry-all-errors", "--retry-delay", "1"],
      ...["--output", "/dev/null", "--write-out", "%{certs}"],
      "https://chat.example.com:8443/livez",
    );
  const before = await served();
  assertStringIncludes(before, "laptop.local");
  // As certbot does after a renewal.
  await follow("## TLS", /^openssl req /);
  await debian.run(`
    mkdir /run/renewed
    mv cert.pem /run/renewed/fullchain.pem
    mv key.pem /run/renewed/privkey.pem
    RENEWED_LINEAGE=/run/renewed /etc/letsencrypt/renewal-hooks/deploy/chat`);
  await until(async () => await served() !== before);
});

/** The commands in docs/operations.md under a heading, or those that begin with certain words. */
async function commandsIn(heading: string, start = /^/): Promise<string[]> {
  const examples = await readExamples();
  return examples.filter((example) =>
    example.at.startsWith("docs/operations.md:") && example.heading === heading &&
    example.language === "sh" && start.test(example.text)
  ).map(({ text }) => text);
}
