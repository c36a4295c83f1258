// @ts-check
/// <reference lib="dom" />
/**
 * The page, as a table of contents: what comes from the stream goes to the transcript, what is
 * written goes to the outbox, and each message that both know is shown once.
 */

/** @import { ChatMessage } from "./message.js" */
import { Attention } from "./attention.js";
import { Composer } from "./composer.js";
import { ConnectionView } from "./connection_view.js";
import { find } from "./dom.js";
import { Outbox } from "./outbox.js";
import { OutboxView } from "./outbox_view.js";
import { Stream } from "./stream.js";
import { Transcript } from "./transcript.js";

const news = find("#news", HTMLElement);
const attention = new Attention();
const connection = new ConnectionView();
/** @type {Outbox} */
const outbox = new Outbox({
  onChange() {
    outboxView.update();
    transcript.update();
  },
  onSent(message) {
    if (transcript.covers(message.id)) transcript.add([message], false);
  },
  onRefused({ key, message }, field, detail) {
    if (field !== "nickname" && field !== "message") return;
    if (composer.takeBack(message)) outbox.discard(key);
    composer.showProblem(field, detail);
  },
});
const outboxView = new OutboxView(outbox);
const transcript = new Transcript(outbox);
const composer = new Composer((post) => {
  outbox.add(post);
  transcript.showEnd();
});

const stream = new Stream(Number(document.documentElement.dataset.heartbeat) * 1000, {
  onMessages: receive,
  onGap(missed) {
    transcript.say(
      missed === null
        ? "Some messages are no longer kept"
        : `${count(missed)} ${missed === 1 ? "is" : "are"} no longer kept`,
    );
  },
  onStatus(status) {
    connection.update(status);
    transcript.isBusy = status.status !== "live";
    if (status.status === "live") outbox.hurry();
  },
  onReturn(missed) {
    const others = missed.filter(({ id }) => !outbox.isOwn(id));
    if (others.length === 0) return;
    const words = `${count(others.length)} while you were away`;
    news.textContent = words;
    if (attention.unread === 0) transcript.mark(others[0].id, words);
  },
});
outboxView.update();
stream.start();

/**
 * @param {ChatMessage[]} messages
 * @param {boolean} isHistory
 */
function receive(messages, isHistory) {
  transcript.add(messages, isHistory);
  if (isHistory || !document.hidden) return;
  for (const message of messages) {
    if (outbox.isOwn(message.id) || outbox.expects(message)) continue;
    if (attention.unread === 0) transcript.mark(message.id, "New since you left");
    attention.call(message);
  }
}

/** @param {number} messages */
function count(messages) {
  return `${messages.toLocaleString()} ${messages === 1 ? "message" : "messages"}`;
}
