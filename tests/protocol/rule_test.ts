import { assertThrows } from "@std/assert";
import { expectSame, Unmet } from "./rule.ts";

Deno.test("expectSame() lets a server order and add members as it likes", () => {
  const cases: [actual: unknown, expected: unknown][] = [
    [{ b: [1, 2], a: "x" }, { a: "x", b: [1, 2] }],
    [{ a: "x", new: true }, { a: "x" }],
    [{ rooms: [{ name: "", new: true }] }, { rooms: [{ name: "" }] }],
    [{}, { a: undefined }],
    [null, null],
  ];
  for (const [actual, expected] of cases) expectSame("it", actual, expected);
});

Deno.test("expectSame() says what is there in place of what is expected", () => {
  const cases: [actual: unknown, expected: unknown][] = [
    [{ a: 1 }, { a: 1, b: 2 }],
    [{ a: 1 }, { a: undefined }],
    [{ a: { b: 1 } }, { a: { b: 2 } }],
    [[1, 2], [2, 1]],
    [[1, 2, 3], [1, 2]],
    [{ 0: 1, length: 1 }, [1]],
    [[1], { 0: 1 }],
    ["1", 1],
    [null, {}],
    [undefined, null],
  ];
  for (const [actual, expected] of cases) {
    assertThrows(() => expectSame("it", actual, expected), Unmet, "it is ");
  }
});
