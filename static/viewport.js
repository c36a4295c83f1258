/**
 * How the conversation is looked at: at the end, following what comes, or in the middle, where the
 * topmost message stays put whatever changes; and more is fetched when the reader gets near an end.
 */

/** @import { Transcript } from "./transcript.js" */
import { fetchMessages, PAGE_SIZE } from "./client.js";
import { CHAT, find, write } from "./page.js";

/** This close to the end is at the end. */
const END_PX = 48;
/** This close to either end, more messages are fetched. */
const NEAR_PX = 300;

export class Viewport {
  #log = find("[role=log]", HTMLElement);
  #transcript;
  #isAtEnd = true;
  /** As of the last time that it was settled. */
  #height = 0;
  #scrollTop = 0;
  /**
   * What stays put, `top` below the top of the view; what of it is above that grows with it.
   * @type {{ element: Element, top: number, height?: number }=}
   */
  #anchor;

  constructor(/** @type {Transcript} */ transcript) {
    this.#transcript = transcript;
    this.#log.addEventListener("scroll", () => {
      // Whatever gets shorter scrolls by itself.
      if (this.#log.scrollHeight === this.#height) this.#look();
      else this.#settle();
      transcript.onScroll();
    }, { passive: true });
    // A keyboard opens, text is enlarged.
    const observer = new ResizeObserver(() => this.#settle());
    for (const element of [this.#log, ...this.#log.children]) observer.observe(element);
  }

  get isAtEnd() {
    return this.#isAtEnd;
  }

  get fromStart() {
    return this.#log.scrollTop;
  }

  get fromEnd() {
    return this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight;
  }

  get isNearerStart() {
    return this.fromStart < this.fromEnd;
  }

  keep(/** @type {() => void} */ change) {
    const { scrollTop, scrollHeight } = this.#log;
    // The event of it is still to come.
    const hasScrolled = scrollTop !== this.#scrollTop && scrollHeight === this.#height;
    if (hasScrolled) this.#look();
    else if (!this.#isAtEnd) this.#setAnchor();
    change();
    this.#settle();
  }

  /** Keeps an element where it is, even at the end. */
  keepElement(/** @type {Element} */ element, /** @type {() => void} */ change) {
    this.#anchor = { element, top: this.#topOf(element) };
    this.#isAtEnd = false;
    change();
    this.#settle();
    this.#look();
  }

  showEnd() {
    this.#isAtEnd = true;
    this.#settle();
  }

  #look() {
    this.#isAtEnd = this.fromEnd <= END_PX && this.#transcript.endsHere;
    this.#setAnchor();
  }

  #setAnchor() {
    const { elements } = this.#transcript;
    const top = this.#log.getBoundingClientRect().top;
    let [low, high] = [0, elements.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (elements[middle].getBoundingClientRect().bottom > top) high = middle;
      else low = middle + 1;
    }
    // Its text: day headings and bylines come and go.
    const element = elements[low]?.querySelector(".text");
    const height = element?.getBoundingClientRect().height;
    this.#anchor = element ? { element, top: this.#topOf(element), height } : undefined;
  }

  #settle() {
    if (this.#isAtEnd) this.#log.scrollTop = this.#log.scrollHeight;
    else if (this.#anchor?.element.isConnected) {
      const { element, top, height } = this.#anchor;
      const growth = top < 0 && height ? element.getBoundingClientRect().height / height : 1;
      this.#log.scrollTop += this.#topOf(element) - top * growth;
    }
    this.#height = this.#log.scrollHeight;
    this.#scrollTop = this.#log.scrollTop;
  }

  #topOf(/** @type {Element} */ element) {
    return element.getBoundingClientRect().top - this.#log.getBoundingClientRect().top;
  }
}

/** Its button says that older messages are loading, or could not be. */
export class Paging {
  #transcript;
  #viewport;
  #button = find(".older", HTMLButtonElement);
  #beginsHere = true;
  #hasFailed = false;
  #isLoading = false;
  #isLatestWanted = false;

  constructor(/** @type {Transcript} */ transcript, /** @type {Viewport} */ viewport) {
    this.#transcript = transcript;
    this.#viewport = viewport;
    this.#button.addEventListener("click", () => this.tryAgain());
  }

  get isLoading() {
    return this.#isLoading;
  }

  set beginsHere(/** @type {boolean} */ beginsHere) {
    this.#beginsHere = beginsHere;
    this.#update();
  }

  look() {
    const { isEmpty, firstId, lastId, endsHere } = this.#transcript;
    if (this.#isLoading || this.#hasFailed) return;
    if (!firstId) {
      if (isEmpty && !this.#beginsHere) this.loadLatest();
    } else if (!this.#beginsHere && this.#viewport.fromStart < NEAR_PX) {
      this.#load(async () => {
        const { messages } = await fetchMessages(CHAT, { before: firstId });
        this.#transcript.insert(messages, true);
        this.beginsHere = messages.length < PAGE_SIZE;
      });
    } else if (!endsHere && this.#viewport.fromEnd < NEAR_PX) {
      this.#load(async () => {
        const { newestId } = this.#transcript;
        const { messages } = await fetchMessages(CHAT, { since: lastId, max: PAGE_SIZE });
        this.#transcript.insert(messages, false);
        const isLast = this.#transcript.lastId === newestId;
        if (isLast || messages.length < PAGE_SIZE) this.#transcript.endAt(newestId);
      });
    }
  }

  tryAgain() {
    this.#hasFailed = false;
    this.look();
  }

  loadLatest() {
    if (this.#isLoading) {
      this.#isLatestWanted = true;
      return;
    }
    this.#load(() => this.#transcript.startOver(fetchMessages(CHAT)));
  }

  async #load(/** @type {() => Promise<void>} */ load) {
    this.#isLoading = true;
    this.#hasFailed = false;
    this.#update();
    try {
      await load();
    } catch {
      // RequestError: no server just now.
      this.#hasFailed = true;
    }
    this.#isLoading = false;
    this.#update();
    if (!this.#isLatestWanted) return;
    this.#isLatestWanted = false;
    this.loadLatest();
  }

  #update() {
    this.#button.hidden = this.#beginsHere;
    write(
      this.#button,
      this.#hasFailed
        ? "Older messages could not be loaded. Try again"
        : this.#isLoading
        ? "Loading older messages…"
        : "Load older messages",
    );
    this.#transcript.onLoading();
  }
}
