/**
 * The proxies that the project has configurations for, which are run as they stand in deploy/ but for
 * ports and paths. Without a certificate they speak plain HTTP in place of HTTPS.
 */

import { assert } from "@std/assert";
import type { CertificateFiles } from "../certificate_files.ts";
import { freePort } from "../free_port.ts";
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
  /** With a certificate: its file, with the key, and the port that leads to HTTPS. */
  readonly tls?: { readonly pem: string; readonly redirectPort: number };
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

/** A running proxy. */
export interface RunningProxy extends OtherServer {
  /** What listens at the port for plain HTTP, if there is a certificate. */
  readonly redirectUrl?: string;
}

export const NGINX: Proxy = {
  name: "nginx",
  source: "deploy/nginx.conf",
  complete: ({ port, instances: [first, second], folder, tls }, source) => {
    const ports: Changes = tls
      ? [
        ["listen 80;", `listen 127.0.0.1:${tls.redirectPort};`],
        ["listen 443 ", `listen 127.0.0.1:${port} `],
        [/\/etc\/letsencrypt\/.*(?=;)/g, tls.pem],
      ]
      : [
        [/^server \{\n\s+listen 80;[^}]*\}\n/m, ""],
        ["listen 443 ssl http2;", `listen 127.0.0.1:${port};`],
        [/ +ssl_certificate.*\n/g, ""],
      ];
    const other = / +server 127\.0\.0\.1:4568 .*\n/;
    const site = change(source, [
      ...ports,
      [FIRST, `127.0.0.1:${first}`],
      second === undefined ? [other, ""] : [SECOND, `127.0.0.1:${second}`],
    ]);
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
  source: "deploy/haproxy.cfg",
  complete: ({ port, instances: [instance], tls }, source) => {
    const ports: Changes = tls
      ? [
        ["bind :80", `bind 127.0.0.1:${tls.redirectPort}`],
        ["bind :443", `bind 127.0.0.1:${port}`],
        ["/etc/haproxy/chat.pem", tls.pem],
      ]
      : [
        ["bind :80", `bind 127.0.0.1:${port}`],
        [/ +bind :443.*\n/, ""],
        [/ +http-request redirect.*\n/, ""],
      ];
    return change(source, [
      ...ports,
      [/127\.0\.0\.1:4567/g, `127.0.0.1:${instance}`],
      ["timeout http-request 10s", "timeout http-request 1s"],
      // A machine for tests may let nobody open that many files.
      ["maxconn 20000", "maxconn 1000"],
      // Only root can become somebody else.
      ...Deno.uid() === 0 ? [] : [[/ +(?:user|group|chroot) .*\n/g, ""] as const],
    ]);
  },
  command: (file) => ({ program: "haproxy", args: ["-f", file] }),
};

export const APACHE: Proxy = {
  name: "Apache",
  source: "deploy/apache.conf",
  complete: ({ port, instances: [instance], folder, tls }, source) => {
    const names = ["mpm_event", "authz_core", "alias", "headers", "proxy", "proxy_http", "ssl"];
    const modules = names
      .map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`);
    const ports: Changes = tls
      ? [
        ["*:80>", `127.0.0.1:${tls.redirectPort}>`],
        ["*:443>", `127.0.0.1:${port}>`],
        [/\/etc\/letsencrypt\/.*/g, tls.pem],
      ]
      : [
        [/<VirtualHost \*:80>[^]*?<\/VirtualHost>\n/, ""],
        ["*:443>", `127.0.0.1:${port}>`],
        [/ +SSL.*\n/g, ""],
        [/ +RequestHeader.*\n/, ""],
      ];
    return `${modules.join("\n")}\nListen 127.0.0.1:${port}
      ${tls ? `Listen 127.0.0.1:${tls.redirectPort}` : ""}
      PidFile ${folder}/pid\nErrorLog ${folder}/error
      ${change(source, [...ports, [/127\.0\.0\.1:4567/g, `127.0.0.1:${instance}`]])}`;
  },
  command: (file) => ({ program: "apache2", args: ["-X", "-f", file] }),
};

/** Starts a proxy in front of instances of the chat; with a certificate, it speaks HTTPS. */
export async function startProxy(
  { source, complete, command }: Proxy,
  instances: readonly number[],
  certificate?: CertificateFiles,
): Promise<RunningProxy> {
  const folder = await newFolder();
  const text = await Deno.readTextFile(new URL(`../../${source}`, import.meta.url));
  const file = `${folder.path}/config`;
  const tls = certificate && { pem: `${folder.path}/pem`, redirectPort: freePort() };
  if (certificate) {
    const parts = [certificate.cert, certificate.key].map((part) => Deno.readTextFile(part));
    await Deno.writeTextFile(tls!.pem, (await Promise.all(parts)).join(""));
  }
  const server = await startServer(async (port) => {
    const setup = { port, instances, folder: folder.path, tls };
    await Deno.writeTextFile(file, complete(setup, text));
    return command(file, setup);
  });
  return {
    ...server,
    redirectUrl: tls && `http://127.0.0.1:${tls.redirectPort}`,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** What is put in place of what. */
type Changes = readonly (readonly [from: string | RegExp, to: string])[];

/** A text with changes, each of which it must have a place for. */
function change(text: string, changes: Changes): string {
  for (const [from, to] of changes) {
    const changed = text.replace(from, to);
    assert(changed !== text, `there is no ${from} in:\n${text}`);
    text = changed;
  }
  return text;
}
