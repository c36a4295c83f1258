/** The dialog that the heading opens. Loaded when somebody asks for it. */

import { openDialog } from "./dialog.js";
import { listRooms } from "./room_list.js";

export async function openMenu() {
  listRooms(await openDialog("menu-template"));
}
