/**
 * The baseline: the plain hub that anyone would write first. It writes each
 * message to each reader at once, and stores, checks and resumes nothing.
 */

const encoder = new TextEncoder();
const readers = new Set<ReadableStreamDefaultController<Uint8Array>>();

function openStream(): Response {
  let reader: ReadableStreamDefaultController<Uint8Array>;
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      readers.add(reader = controller);
      reader.enqueue(encoder.encode(`event: online\ndata: ${readers.size}\n\n`));
    },
    cancel: () => void readers.delete(reader),
  });
  return new Response(stream, { headers: { "content-type": "text/event-stream" } });
}

async function postMessage(request: Request): Promise<Response> {
  const form = new URLSearchParams(await request.text());
  const message = {
    nickname: form.get("nickname"),
    message: form.get("message"),
    timestamp: new Date().toTimeString().slice(0, 8),
  };
  const bytes = encoder.encode(`data: ${JSON.stringify(message)}\n\n`);
  for (const reader of readers) reader.enqueue(bytes);
  return new Response(null, { status: 204 });
}

if (import.meta.main) {
  Deno.serve({
    port: 0,
    hostname: "127.0.0.1",
    tcpBacklog: 4096,
    onListen: ({ port }) => console.log(`The baseline is at http://localhost:${port}`),
  }, (request) => request.method === "POST" ? postMessage(request) : openStream());
}
