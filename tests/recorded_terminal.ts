/** A terminal for tests. */

import { type Style, Terminal } from "../terminal.ts";

/** Keeps what is printed instead of printing it. */
export class RecordedTerminal extends Terminal {
  readonly #output: Recorder;
  readonly #errors: Recorder;

  constructor(style: Style = "text") {
    const [output, errors] = [new Recorder(), new Recorder()];
    super(output, errors, { output: style, errors: style });
    this.#output = output;
    this.#errors = errors;
  }

  /** What standard output got. */
  async output(): Promise<string> {
    await this.close();
    return this.#output.text;
  }

  /** What standard error got. */
  async errors(): Promise<string> {
    await this.close();
    return this.#errors.text;
  }
}

class Recorder {
  text = "";

  write(bytes: Uint8Array): Promise<number> {
    this.text += new TextDecoder().decode(bytes);
    return Promise.resolve(bytes.length);
  }
}
