/** Pages that the server makes as HTML, without a script. */

/** What a page is made of. */
export interface DocumentParts {
  /** Its title and heading. */
  readonly title: string;
  /** What leads from the page to the server's own files. */
  readonly base: string;
  /** More for the head, as HTML. @default {""} */
  readonly head?: string;
  /** What it says, as HTML. */
  readonly main: string;
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** Text as it may stand in HTML, also in a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ENTITIES[character]);
}

/** A page in the chat's own look. */
export function toDocument({ title, base, head = "", main }: DocumentParts): string {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>${escapeHtml(title)}</title>
    <link rel="icon" href="${base}icon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="${base}chat.css">
    ${head}
  </head>
  <body>
    <header>
      <h1>${escapeHtml(title)}</h1>
    </header>
    <main>
      ${main}
    </main>
  </body>
</html>
`;
}
