/** Those who are called when something happens, until they want no more. */
export class Listeners<Value = void> {
  readonly #callbacks = new Set<(value: Value) => void>();

  /** Calls back from now on, until that is disposed of. */
  add(callback: (value: Value) => void): Disposable {
    this.#callbacks.add(callback);
    return { [Symbol.dispose]: () => void this.#callbacks.delete(callback) };
  }

  call(value: Value): void {
    for (const callback of this.#callbacks) {
      try {
        callback(value);
      } catch (error) {
        // A listener's own fault; the others and what comes later must not pay for it.
        reportError(error);
      }
    }
  }

  clear(): void {
    this.#callbacks.clear();
  }
}
