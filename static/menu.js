/**
 * The dialog that the heading opens: other rooms, what a moderator does to this one, and what concerns
 * oneself. Loaded when somebody asks for it.
 */

import { openDialog } from "./dialog.js";
import { listRooms } from "./room_list.js";
import { showSelf } from "./session.js";

export async function openMenu() {
  const dialog = await openDialog("menu-template");
  listRooms(dialog);
  showSelf(dialog);
  if (document.documentElement.dataset.moderator !== undefined) {
    (await import("./moderation.js")).showRoom(dialog);
  }
}
