/** A real nginx between browser and chat. */

import { newFolder } from "../folder.ts";
import { type OtherServer, startServer } from "./other_server.ts";

export interface Nginx extends OtherServer {
  /** The requests it has answered: status and method of each. */
  readonly answers: Promise<readonly string[]>;
}

/** Starts nginx with the given directives in its server block. */
export async function startNginx(directives: string): Promise<Nginx> {
  const folder = await newFolder();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `${kind}_temp_path ${folder.path}/${kind};`);
  const file = `${folder.path}/nginx.conf`;
  const server = await startServer(async (port) => {
    await Deno.writeTextFile(
      file,
      `daemon off; master_process off; pid ${folder.path}/pid; error_log stderr; events {}
       http { log_format short "$status $request_method"; access_log ${folder.path}/log short;
       ${temporary.join(" ")}
       server { listen 127.0.0.1:${port}; ${directives} } }`,
    );
    return { program: "nginx", args: ["-c", file] };
  });
  return {
    ...server,
    get answers() {
      return Deno.readTextFile(`${folder.path}/log`).then((text) => text.split("\n"));
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
