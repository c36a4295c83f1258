/**
 * The page, as a table of contents: what comes goes to the transcript, what is written to the outbox,
 * and a message that both know is shown once.
 */

/** @import { Removal } from "./client.js" */
import { Attention, Tabs } from "./attention.js";
import { Composer } from "./composer.js";
import { find, make } from "./page.js";
import { Outbox } from "./outbox.js";
import { Stream } from "./stream.js";
import { Transcript } from "./transcript.js";
import { ConnectionView, OutboxView } from "./views.js";

/** Many are removed together. */
const REMOVED_MS = 100;

const tabs = new Tabs();
const connection = new ConnectionView();
const outbox = new Outbox({
  onChange() {
    outboxView.update();
    transcript.update();
  },
  onSent(message) {
    if (transcript.inRange(message.id)) transcript.add([message], false);
  },
  onRemoved() {
    transcript.sayRemoved();
  },
  onRefused({ key, message }, field, detail) {
    if (field !== "nickname" && field !== "message") return;
    if (!composer.takeBack(message)) return;
    outbox.discard(key);
    composer.showProblem(field, detail);
  },
});
const outboxView = new OutboxView(outbox);
const transcript = new Transcript(outbox);
const composer = new Composer((post) => {
  outbox.add(post);
  transcript.showEnd();
});
/** @type {Removal[]} */
const removals = [];
/** @type {ReturnType<typeof setTimeout>=} */
let pause;
const attention = new Attention(tabs, transcript);
const stream = new Stream(tabs, {
  onMessages(messages, isHistory, missed) {
    const added = transcript.add(messages, isHistory, missed);
    if (!isHistory) attention.receive(added.filter(({ id }) => !outbox.isOwn(id)));
  },
  onRemoved(more) {
    removals.push(...transcript.remove(more));
    clearTimeout(pause);
    pause = setTimeout(() => {
      transcript.takeOut();
      attention.remove(removals.splice(0));
    }, REMOVED_MS);
  },
  onStatus(status) {
    const isConnected = status.status === "live" || status.status === "polling";
    connection.update(status);
    if (status.status !== "connecting") outboxView.isConnected = isConnected;
    transcript.setWaiting(!isConnected);
    attention.isConnected = isConnected;
    if (isConnected) outbox.retryNow();
  },
});
outboxView.update();
find(".address", HTMLElement).textContent = location.href;
const invite = find(".invite", HTMLButtonElement);
invite.hidden = false;
invite.addEventListener("click", async () => (await import("./invitation.js")).invite());
const heading = find("h1", HTMLElement);
const menu = make("heading-template");
menu.textContent = heading.textContent;
heading.replaceChildren(menu);
menu.addEventListener("click", async () => (await import("./menu.js")).openMenu());
if (document.documentElement.dataset.moderator !== undefined) {
  import("./moderation.js").then(({ moderate }) => moderate(transcript));
}
find(".local", HTMLElement).hidden = !/^(localhost|127\..*|\[::1\])$/.test(location.hostname);
stream.start();
tabs.start(() => {
  attention.look();
  stream.look();
});
