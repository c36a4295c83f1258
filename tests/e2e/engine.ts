/**
 * What the tests of behaviours need of a browser engine, however it is driven. Code for a page is
 * given as a function and goes there as text: it can use nothing but its arguments.
 */

/** A browser engine. */
export interface Engine {
  readonly name: string;
  /** How many tabs are many to it: more than the six connections that a browser has for a server. */
  readonly manyTabs: number;
  /** What it can't be brought to do, and why. */
  readonly lacks: { readonly [feature in Feature]?: string };
  /** Starts what all its browsers need. */
  start(): Promise<RunningEngine>;
}

/** Something that not every engine can be brought to do. */
export type Feature = "notifications";

/** An engine that is ready; disposing of it ends what it has started. */
export interface RunningEngine extends AsyncDisposable {
  /** Starts a browser of somebody's own, which shares nothing with other people's. */
  startBrowser(options?: BrowserOptions): Promise<EngineBrowser>;
}

export interface BrowserOptions {
  /** Pages may keep nothing. */
  readonly storage?: "blocked";
  /** Pages that are left are kept for going back, where the engine does not always do so. */
  readonly leftPages?: "kept";
  /** Pages may show notifications. */
  readonly notifications?: "granted";
}

/** Somebody's browser; disposing of it closes all its tabs. */
export interface EngineBrowser extends AsyncDisposable {
  openTab(url: string, size?: Size): Promise<Tab>;
}

/** Of a page, in CSS pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** A tab; what it does to elements it does as a person would, with mouse and keyboard. */
export interface Tab {
  /** Loads a page, as from the address bar. */
  open(url: string): Promise<void>;
  reload(): Promise<void>;
  /** Goes back to the page before, as with the button. */
  back(): Promise<void>;
  /** The value of an expression in the page, awaited, as JSON brings it here. */
  evaluate(expression: string): Promise<unknown>;
  click(selector: string): Promise<void>;
  /** Types into a field; a line feed is the Enter key. */
  type(selector: string, text: string): Promise<void>;
  /** The page as a PNG. */
  screenshot(): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** The result of a function that runs in the page. */
export async function inPage<Arguments extends unknown[], Result>(
  tab: Tab,
  run: (...args: Arguments) => Result,
  ...args: Arguments
): Promise<Awaited<Result>> {
  const texts = args.map((arg) => JSON.stringify(arg));
  return await tab.evaluate(`(${run})(${texts})`) as Awaited<Result>;
}
