/** The proxies that the project has configurations for, which are run as they stand there. */

import { block } from "../documents.ts";
import { newFolder } from "../folder.ts";
import { type OtherServer, type ServerCommand, startServer } from "./other_server.ts";

/** Addresses in the configurations. */
const FIRST = "127.0.0.1:4567";
const SECOND = "127.0.0.1:4568";

/** What a configuration is completed with. */
export interface ProxySetup {
  readonly port: number;
  /** The ports of the instances of the chat, one or two. */
  readonly instances: readonly number[];
  readonly folder: string;
}

/** A proxy with its configuration. */
export interface Proxy {
  readonly name: string;
  /** Where the configuration stands, from the root of the project. */
  readonly source: string;
  /** The whole configuration file. */
  readonly complete: (setup: ProxySetup, source: string) => string;
  readonly command: (file: string, setup: ProxySetup) => ServerCommand;
}

export const NGINX: Proxy = {
  name: "nginx",
  source: "deploy/nginx.conf",
  complete: ({ port, instances: [first, second], folder }, source) => {
    const site = source
      .replace("listen 80;", `listen 127.0.0.1:${port};`)
      .replace(FIRST, `127.0.0.1:${first}`)
      .replace(
        / +server 127\.0\.0\.1:4568 .*\n/,
        (line) => second === undefined ? "" : line.replace(SECOND, `127.0.0.1:${second}`),
      );
    return `daemon off; worker_processes 2; error_log stderr; pid ${folder}/pid; events {}
      http { access_log off; client_body_temp_path ${folder}; proxy_temp_path ${folder};
      fastcgi_temp_path ${folder}; uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
      ${site} }`;
  },
  command: (file) => ({ program: "nginx", args: ["-c", file] }),
};

export const CADDY: Proxy = {
  name: "Caddy",
  source: "deploy/Caddyfile",
  // Its port for administration is the same for all.
  complete: (_, source) => `{\n admin off\n}\n${source}`,
  command: (file, { port, instances }) => ({
    program: "caddy",
    args: ["run", "--adapter", "caddyfile", "--config", file],
    env: {
      SITE: `http://:${port}`,
      INSTANCES: instances.map((instance) => `127.0.0.1:${instance}`).join(" "),
    },
  }),
};

export const HAPROXY: Proxy = {
  name: "HAProxy",
  source: "docs/operations.md",
  complete: ({ port, instances: [instance] }, source) =>
    block("haproxy", source).replace("bind :80", `bind 127.0.0.1:${port}`)
      .replaceAll(FIRST, `127.0.0.1:${instance}`),
  command: (file) => ({ program: "haproxy", args: ["-f", file] }),
};

export const APACHE: Proxy = {
  name: "Apache",
  source: "docs/operations.md",
  complete: ({ port, instances: [instance], folder }, source) => {
    const modules = ["mpm_event", "authz_core", "proxy", "proxy_http"]
      .map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`);
    return `${modules.join("\n")}\nListen 127.0.0.1:${port}\nServerName localhost
      PidFile ${folder}/pid\nErrorLog ${folder}/error
      ${block("apache", source).replaceAll(FIRST, `127.0.0.1:${instance}`)}`;
  },
  command: (file) => ({ program: "apache2", args: ["-X", "-f", file] }),
};

/** Starts a proxy in front of instances of the chat. */
export async function startProxy(
  { source, complete, command }: Proxy,
  instances: readonly number[],
): Promise<OtherServer> {
  const folder = await newFolder();
  const text = await Deno.readTextFile(new URL(`../../${source}`, import.meta.url));
  const file = `${folder.path}/config`;
  const server = await startServer(async (port) => {
    const setup = { port, instances, folder: folder.path };
    await Deno.writeTextFile(file, complete(setup, text));
    return command(file, setup);
  });
  return {
    ...server,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
