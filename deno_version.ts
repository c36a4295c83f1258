/**
 * Says which Deno is needed where this one is too old: it could not load main.ts
 * and would complain of its imports. `deno task start` runs this file before that.
 */

const NEEDED = "2.9";

const [major, minor] = Deno.version.deno.split(".").map(Number);
const [neededMajor, neededMinor] = NEEDED.split(".").map(Number);
if (major < neededMajor || (major === neededMajor && minor < neededMinor)) {
  const { Terminal } = await import("./terminal.ts");
  const terminal = Terminal.open();
  terminal.report({
    event: "start_failed",
    reason: `this is Deno ${Deno.version.deno}, and the chat needs ${NEEDED} or newer; ` +
      "run deno upgrade, or start it with npx -y deno@2.9.6 task start",
  });
  await terminal.close();
  Deno.exit(1);
}
