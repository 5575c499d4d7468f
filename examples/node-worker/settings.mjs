// What the worker is told, by environment variables.

import { hostname } from "node:os";
import { fileURLToPath } from "node:url";

const { env } = process;

export const settings = {
  address: env.MILLSTREAM_GRPC ?? "127.0.0.1:8322",
  apiKey: env.MILLSTREAM_API_KEY ?? "",
  steps: (env.STEPS ?? "parse").split(",").map((name) => name.trim()),
  slots: Number(env.SLOTS ?? 2),
  worker: (env.WORKER ?? `node-${hostname()}`).replace(/[^A-Za-z0-9._-]/g, "-").slice(0, 64),
  protos: env.PROTOS ?? fileURLToPath(new URL("../../proto", import.meta.url)),
  embeddingsUrl: env.EMBEDDINGS_URL ?? "",
  embeddingsKey: env.EMBEDDINGS_KEY ?? "",
};

for (const step of settings.steps) {
  if (!["parse", "embed"].includes(step)) throw new Error(`STEPS names ${step}; there are parse and embed`);
}
if (settings.steps.includes("embed") && !settings.embeddingsUrl) {
  throw new Error("set EMBEDDINGS_URL to an OpenAI-compatible endpoint (…/v1/embeddings), or leave embed out of STEPS");
}

/** One JSON object a line, for people and programs. */
export function log(event, fields = {}) {
  console.log(JSON.stringify({ event, ...fields }));
}
