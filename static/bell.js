/**
 * A quiet sound and a notification, for those who have asked for them. Where notifications are not
 * allowed, as over plain HTTP, there is only the sound. Loaded once it is on.
 */

/** @import { ChatMessage, Removal } from "./client.js" */
import { compareIds } from "./message.js";
import { ROOM } from "./page.js";

const TONE = { hertz: 660, volume: 0.06, seconds: 0.25 };
const PAUSE_MS = 2000;

/** @type {AudioContext=} */
let audio;
/** @type {Notification=} */
let notification;
/** In the notification. @type {ChatMessage=} */
let shown;
/** @type {ChatMessage=} */
let latest;
/** @type {ReturnType<typeof setTimeout>=} */
let pause;

// A page plays nothing before it has been touched.
for (const type of ["pointerdown", "keydown"]) addEventListener(type, openAudio);
addEventListener("pagehide", hush);

export function ring(/** @type {ChatMessage} */ message) {
  latest = message;
  if (pause) return;
  playTone();
  notify(message);
  // In a busy chat it rings no more often, and then shows the last.
  pause = setTimeout(() => {
    pause = undefined;
    if (latest && latest !== message) notify(latest);
  }, PAUSE_MS);
}

/** Takes the notification back: somebody looks, or wants no more. */
export function hush() {
  latest = undefined;
  notification?.close();
  notification = undefined;
}

/** Takes back what says what was removed. */
export function withdraw(/** @type {Removal} */ { id, removes }) {
  const isGone = (/** @type {ChatMessage=} */ message) =>
    message && (removes === "all" ? compareIds(message.id, id) < 0 : message.id === removes);
  if (isGone(latest) || isGone(shown)) hush();
}

/** Asks the person whether it may, right after a click. */
export async function askFor() {
  openAudio();
  try {
    await Notification.requestPermission();
  } catch {
    // ReferenceError, TypeError: there are no notifications here.
  }
}

function openAudio() {
  try {
    audio ??= new AudioContext();
    audio.resume();
  } catch {
    // ReferenceError, NotSupportedError: there is no sound here.
  }
}

function playTone() {
  if (!audio) return;
  const { hertz, volume, seconds } = TONE;
  const { currentTime, destination } = audio;
  const tone = new OscillatorNode(audio, { frequency: hertz });
  const gain = new GainNode(audio, { gain: volume });
  gain.gain.exponentialRampToValueAtTime(0.0001, currentTime + seconds);
  tone.connect(gain).connect(destination);
  tone.start();
  tone.stop(currentTime + seconds);
}

function notify(/** @type {ChatMessage} */ message) {
  shown = message;
  try {
    // One tag: a busy chat replaces its notification.
    notification = new Notification(message.nickname, {
      body: message.message,
      tag: ROOM,
      silent: true,
    });
    notification.addEventListener("click", () => focus());
  } catch {
    // ReferenceError: there are none here. TypeError: on phones only service workers may show one.
  }
}
