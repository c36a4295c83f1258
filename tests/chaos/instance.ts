/** What is known of one server of a run: where it is, whether it runs, whether it can reach its log. */

/** One of the servers of a run, which are one chat. */
export class Instance {
  readonly port: number;
  /** Counts its starts; undefined from a signal on until it is up again. */
  life: number | undefined;
  /** The last signal that it was sent. */
  signal: Deno.Signal = "SIGKILL";
  #outages = 0;
  #isAway = false;

  constructor(port: number) {
    this.port = port;
  }

  /** Its address, without a path. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** From now on its log may be out of its reach. */
  beginOutage(): void {
    this.#isAway = true;
    this.#outages++;
  }

  endOutage(): void {
    this.#isAway = false;
  }

  /** Returns what says whether its log has been within its reach all the time since. */
  watchLog(): () => boolean {
    const outages = this.#outages;
    const wasAway = this.#isAway;
    return () => !wasAway && this.#outages === outages;
  }
}
