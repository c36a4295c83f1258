/** Replaces a method of an object until it is disposed of. */
export function replaced<Name extends string>(
  object: Record<Name, unknown>,
  name: Name,
  method: (...args: never[]) => unknown,
): Disposable {
  const original = object[name];
  object[name] = method;
  return { [Symbol.dispose]: () => void (object[name] = original) };
}
