// Texts to vectors, by an OpenAI-compatible endpoint. Put your own model here: the service checks what comes back.

import { settings } from "./settings.mjs";

/** Vectors, one for each text, in their order. Throws where the endpoint gives none. */
export async function embed({ model, texts }, signal) {
  const answer = await fetch(settings.embeddingsUrl, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${settings.embeddingsKey}` },
    body: JSON.stringify({ model: model.replace(/^openai:/, ""), input: texts, encoding_format: "float" }),
    signal,
  });
  if (!answer.ok) throw new Error(`the endpoint answers ${answer.status}`);
  const { data } = await answer.json();
  data.sort((one, other) => one.index - other.index);
  return { vectors: data.map(({ embedding }) => ({ values: embedding })) };
}
