/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
// @ts-check
/**
 * The page: reads the stream of messages and sends what is written. Text of
 * others only ever goes through `textContent`.
 */

/** @typedef {{ nickname: string, message: string, timestamp: string, time: string }} ChatMessage */

/** How near the end of the conversation counts as reading along, in pixels. */
const NEAR_END_PX = 80;
/** How long the page waits to open a new stream when the browser has given up on it. */
const REOPEN_MS = 5000;

const log = find("[role=log]", HTMLElement);
const transcript = find(".transcript", HTMLElement);
const template = find("#message-template", HTMLTemplateElement);
const connection = find(".connection", HTMLElement);
const form = find("form", HTMLFormElement);
const text = find("#message", HTMLTextAreaElement);
const problem = find("#problem", HTMLElement);
const button = find("button", HTMLButtonElement);

openStream();
form.addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
text.addEventListener("keydown", (event) => {
  // keyCode 229: some browsers end composing before they tell of the Enter that did it.
  const composing = event.isComposing || event.keyCode === 229;
  if (event.key !== "Enter" || event.shiftKey || composing) return;
  event.preventDefault();
  form.requestSubmit();
});

function openStream() {
  showConnection("connecting", "Connecting…");
  const stream = new EventSource("/chat");
  stream.addEventListener("message", ({ data }) => append(JSON.parse(data)));
  stream.addEventListener("online", ({ data }) => showConnection("live", `${data} online`));
  stream.addEventListener("error", () => {
    showConnection("connecting", "Reconnecting…");
    if (stream.readyState === EventSource.CLOSED) setTimeout(openStream, REOPEN_MS);
  });
}

/** @param {ChatMessage} message */
function append({ nickname, message, time }) {
  const reading = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END_PX;
  const entry = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
  find(".author", HTMLElement, entry).textContent = nickname;
  find(".text", HTMLElement, entry).textContent = message;
  const stamp = find("time", HTMLTimeElement, entry);
  const date = new Date(time);
  stamp.dateTime = time;
  stamp.textContent = date.toLocaleTimeString([], { timeStyle: "short" });
  stamp.title = date.toLocaleString([], { dateStyle: "full", timeStyle: "medium" });
  transcript.append(entry);
  if (reading) log.scrollTop = log.scrollHeight;
}

/** Sends the form; what is written stays until the server has it. */
async function send() {
  button.disabled = true;
  problem.textContent = "";
  const sent = text.value;
  try {
    const response = await fetch(form.action, { method: "POST", body: new FormData(form) });
    if (!response.ok) throw new Error((await response.json()).detail);
    if (text.value === sent) text.value = "";
  } catch (error) {
    problem.textContent = `Not sent. ${
      error instanceof TypeError
        ? "The server can't be reached; try again."
        : error instanceof Error
        ? error.message
        : error
    }`;
  }
  button.disabled = false;
  text.focus();
}

/**
 * @param {"connecting" | "live"} state
 * @param {string} words
 */
function showConnection(state, words) {
  connection.dataset.state = state;
  connection.textContent = words;
}

/**
 * The one element that a selector names.
 *
 * @template {Element} Kind
 * @param {string} selector
 * @param {new () => Kind} kind
 * @param {ParentNode} within
 * @returns {Kind}
 */
function find(selector, kind, within = document) {
  const element = within.querySelector(selector);
  if (element instanceof kind) return element;
  throw new TypeError(`There is no ${kind.name} at ${selector}`);
}
