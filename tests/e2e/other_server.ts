/** Servers that are not ours, each in a process of its own. */

/** A running server; disposing of it ends it. */
export interface OtherServer extends AsyncDisposable {
  readonly port: number;
  /** Its address, without a slash at the end. */
  readonly url: string;
  readonly pid: number;
}

/** What starts a server that listens at a port of this machine. */
export interface ServerCommand {
  readonly program: string;
  readonly args: string[];
  readonly env?: Record<string, string>;
}

/** Starts a server at a free port, and waits until it accepts connections. */
export async function startServer(
  toCommand: (port: number) => ServerCommand | Promise<ServerCommand>,
): Promise<OtherServer> {
  const port = freePort();
  const { program, args, env } = await toCommand(port);
  const process = new Deno.Command(program, {
    args,
    // Where Debian has servers, which not everybody's path leads to.
    env: { PATH: `${Deno.env.get("PATH")}:/usr/sbin`, ...env },
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const errors = new Response(process.stderr).text();
  let hasEnded = false;
  process.status.then(() => hasEnded = true);
  while (!hasEnded && !await accepts(port));
  if (hasEnded) throw new Error(`${program} ended: ${await errors}`);
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    pid: process.pid,
    async [Symbol.asyncDispose]() {
      if (!hasEnded) process.kill("SIGTERM");
      await process.status;
      await errors;
    },
  };
}

async function accepts(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    return false;
  }
}

/** None of them can be told to take any free port and say which. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
