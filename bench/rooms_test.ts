import { assertEquals } from "@std/assert";
import { isInRoom, readersOf, roomPaths } from "./rooms.ts";

Deno.test("roomPaths() has the main room alone, or named ones", () => {
  assertEquals(roomPaths(1), ["/chat"]);
  assertEquals(roomPaths(3), ["/room1/chat", "/room2/chat", "/room3/chat"]);
});

Deno.test("readersOf() counts the readers in a message's room, however they divide", () => {
  for (const [readers, rooms] of [[10, 1], [10, 3], [3, 3], [100, 7]]) {
    for (let message = 0; message < 2 * rooms; message++) {
      const all = Array.from({ length: readers }, (_, reader) => reader);
      const there = all.filter((reader) => isInRoom(reader, message, rooms));
      assertEquals(readersOf(message, readers, rooms), there.length);
    }
  }
});
