/** What tests of the page's scripts need, where there is no page. */

/** Imports by a name that is not known before: the page's types must not be those of all tests. */
export function loadScript(name: string) {
  return import(new URL(`../static/${name}`, import.meta.url).href);
}

/** Puts something in the place of a global until it is disposed of. */
export function replaceGlobal(name: string, value: unknown): Disposable {
  const before = Object.getOwnPropertyDescriptor(globalThis, name);
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  return {
    [Symbol.dispose]() {
      if (before) Object.defineProperty(globalThis, name, before);
      else Reflect.deleteProperty(globalThis, name);
    },
  };
}
